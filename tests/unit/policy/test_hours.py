"""authz_server/policy/hours.py."""

from datetime import UTC, datetime

import pytest

from authz_server.policy.hours import compile_hours


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_the_end_is_excluded_and_the_beginning_is_not():
    """A span holds from its first second to the one before its last."""
    hours = compile_hours("08:00-18:00 UTC")
    assert not hours.contains(_at("2026-11-23T07:59:59.999"))
    assert hours.contains(_at("2026-11-23T08:00:00"))
    assert hours.contains(_at("2026-11-23T17:59:59.999"))
    assert not hours.contains(_at("2026-11-23T18:00:00"))


def test_a_span_may_cross_midnight():
    """Late evening and early morning are inside, the day is not."""
    hours = compile_hours("22:00-06:00 UTC")
    assert [hours.contains(_at(f"2026-11-23T{clock}")) for clock in ("21:59", "22:00", "23:59", "00:00", "05:59", "06:00")] == [
        False, True, True, True, True, False,
    ]  # fmt: skip


def test_days_are_those_on_which_the_span_begins():
    """A night shift of Monday to Friday ends on Saturday morning and does not begin on Sunday night."""
    hours = compile_hours("Mon-Fri 22:00-06:00 UTC")
    assert hours.contains(_at("2026-11-27T23:00"))  # Friday
    assert hours.contains(_at("2026-11-28T05:00"))  # Saturday
    assert not hours.contains(_at("2026-11-28T22:30"))
    assert not hours.contains(_at("2026-11-30T05:00"))  # Monday, begun on Sunday
    assert hours.contains(_at("2026-11-30T22:00"))


@pytest.mark.parametrize(
    ("days", "inside"), [("Sat", {5}), ("Sat-Mon", {5, 6, 0}), ("Mon-Sun", set(range(7))), ("Wed-Wed", {2})]
)
def test_days_may_be_one_or_a_range_over_the_weekend(days, inside):
    """A range goes round the end of the week."""
    hours = compile_hours(f"{days} 00:00-24:00 UTC")
    monday = _at("2026-11-23T12:00")
    assert {day for day in range(7) if hours.contains(monday + day * 86400)} == inside


def test_times_are_those_of_the_zone_also_when_its_offset_changes():
    """Wall-clock time of the zone counts: 08:00 in Berlin is 07:00 UTC in winter and 06:00 in summer."""
    hours = compile_hours("08:00-09:00 Europe/Berlin")
    assert hours.contains(_at("2026-11-23T07:00"))
    assert not hours.contains(_at("2026-11-23T06:00"))
    assert hours.contains(_at("2026-07-23T06:00"))
    assert not hours.contains(_at("2026-07-23T07:30"))


def test_the_answer_of_a_minute_is_not_taken_for_another():
    """The remembered answer belongs to its minute."""
    hours = compile_hours("08:00-09:00 UTC")
    inside, outside = _at("2026-11-23T08:30"), _at("2026-11-23T09:30")
    assert [hours.contains(now) for now in (inside, outside, inside, inside, outside)] == [
        True,
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("text", ["22:00-00:00 UTC", "22:00-24:00 UTC"])
def test_midnight_ends_a_day_under_both_names(text):
    """00:00 and 24:00 as an end are the same moment."""
    hours = compile_hours(text)
    assert hours.contains(_at("2026-11-23T23:59"))
    assert not hours.contains(_at("2026-11-24T00:00"))


@pytest.mark.parametrize(
    "text",
    [
        "", "08:00-18:00", "8:00-18:00 UTC", "08:00-25:00 UTC", "08:60-09:00 UTC", "24:00-08:00 UTC", "08:00-08:00 UTC", "Mo 08:00-18:00 UTC",
        "mon 08:00-18:00 UTC", "08:00-18:00 Europe/Nowhere", "08:00-18:00 Europe", "08:00-18:00 localtime", "08:00-18:00 ../etc/passwd",
        "08:00-18:00 /etc/localtime", "08:00-18:00 UTC\n", "Mon-Fri  08:00-18:00 UTC", "24:30-08:00 UTC", "٠٨:00-18:00 UTC", "08:00 - 18:00 UTC",
    ],
)  # fmt: skip
def test_other_forms_and_unknown_zones_are_refused(text):
    """What is not exactly the documented form, or names no IANA zone, is a fault at load."""
    with pytest.raises(ValueError, match=r"hours|zone|time of day"):
        compile_hours(text)
