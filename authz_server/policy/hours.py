"""Hours of the week in a time zone: `[Mon-Fri ]HH:MM-HH:MM Zone`."""

import re
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY: Final = "|".join(_DAYS)
_HOURS: Final = re.compile(
    rf"(?:(?P<first>{_DAY})(?:-(?P<last>{_DAY}))? )?"
    r"(?P<from>\d\d:\d\d)-(?P<to>\d\d:\d\d) (?P<zone>[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z0-9_+-]{1,31}){0,2})",
    re.ASCII,
)
_LOCAL_ZONES: Final = frozenset({"localtime", "posixrules", "Factory"})
"""Names in the zone database that mean something else on every machine."""
_DAY_MINUTES: Final = 24 * 60
_MAX_ZONE_LENGTH: Final = 64


class Hours:
    """A recurring span of local time; the end is excluded, and the span may cross midnight.

    With days, a span that crosses midnight belongs to the day on which it begins: `Fri 22:00-06:00` holds on Saturday at
    05:59 and not on Friday at 05:59.
    """

    __slots__ = ("_days", "_end", "_last", "_start", "_zone")

    def __init__(self, days: frozenset[int], start: int, end: int, zone: ZoneInfo) -> None:
        """Take the parts.

        Args:
            days: on which it begins, 0 for Monday to 6.
            start: minutes after midnight, 0 to 1 439.
            end: minutes after midnight, 1 to 1 440; not above `start` when the span crosses midnight.
            zone: of the times.
        """
        self._days = days
        self._start = start
        self._end = end
        self._zone = zone
        self._last = (-1, False)

    def contains(self, now: float) -> bool:
        """Whether the moment lies in the span.

        Args:
            now: Unix time in seconds.
        """
        minute = int(now // 60)
        last = self._last
        if last[0] == minute:
            return last[1]
        found = self._contains(now)
        # One tuple, so that two threads never see the minute of one and the answer of the other.
        self._last = (minute, found)
        return found

    def _contains(self, now: float) -> bool:
        local = datetime.fromtimestamp(now, self._zone)
        day = local.weekday()
        minute = local.hour * 60 + local.minute
        if self._start < self._end:
            return day in self._days and self._start <= minute < self._end
        if minute >= self._start:
            return day in self._days
        return minute < self._end and (day - 1) % 7 in self._days


def compile_hours(text: str) -> Hours:
    """Compile a span, such as `Mon-Fri 22:00-06:00 Europe/Berlin`.

    Raises:
        ValueError: it has another form, is empty, or names a zone that the IANA database on this machine lacks.
    """
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError('hours look like "Mon-Fri 08:00-18:00 Europe/Berlin"')
    start, end = _minutes(found["from"]), _minutes(found["to"])
    if start >= _DAY_MINUTES or end == start:
        raise ValueError("these hours are empty; a whole day is 00:00-24:00")
    if end == 0:
        end = _DAY_MINUTES
    return Hours(_days(found["first"], found["last"]), start, end, _zone(found["zone"]))


def _minutes(clock: str) -> int:
    hours, minutes = int(clock[:2]), int(clock[3:])
    total = hours * 60 + minutes
    if minutes >= 60 or total > _DAY_MINUTES:  # noqa: PLR2004 - minutes of an hour
        raise ValueError(f"`{clock}` is no time of day")
    return total


def _days(first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return frozenset(range(7))
    begin = _DAYS.index(first)
    count = (_DAYS.index(last) - begin) % 7 if last is not None else 0
    return frozenset((begin + offset) % 7 for offset in range(count + 1))


def _zone(name: str) -> ZoneInfo:
    message = f"there is no time zone `{name}` on this machine; zones are IANA names such as Europe/Berlin"
    if name in _LOCAL_ZONES or len(name) > _MAX_ZONE_LENGTH:
        raise ValueError(message)
    # `Europe` alone is a folder of the database, which is an OSError.
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(message) from None
