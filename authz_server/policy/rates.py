"""Reading rates, such as `20/s` or `500/10s`."""

import re
from typing import Final

from authz_server.policy.fields import Fields

MAX_RATE_STEPS: Final = 1_000_000
"""Steps of one rate: far above what a caller makes in the shortest span, far below where a stored count loses precision."""
MAX_RATE_SPAN_MS: Final = 86_400_000
"""A day; what is meant to hold for longer is a budget."""
NO_RATE: Final = (0, 0)

_RATE: Final = re.compile(r"([0-9]{1,7})/([0-9]{1,5})?(s|m|h)", re.ASCII)
_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000}


def read_rate(fields: Fields, key: str = "rate") -> tuple[int, int]:
    """A rate as (steps, milliseconds); `NO_RATE` when absent or after a fault."""
    value = fields.scalar(key)
    if value is None:
        return NO_RATE
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        fields.fault("a rate is steps over a span of time, such as 20/s, 100/m, 1000/h or 500/10s", key)
        return NO_RATE
    steps, span = int(found[1]), int(found[2] or "1") * _UNITS_MS[found[3]]
    if not 0 < steps <= MAX_RATE_STEPS or not 0 < span <= MAX_RATE_SPAN_MS:
        fields.fault(f"a rate is 1 to {MAX_RATE_STEPS} steps over at most 24h", key)
        return NO_RATE
    return steps, span
