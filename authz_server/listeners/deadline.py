"""How long the caller still waits: the least of what gRPC and Envoy say.

Envoy sends its timeout as `grpc-timeout` and again as `x-envoy-expected-rq-timeout-ms` in the call's metadata
(envoyproxy/envoy issue 4829). The second stays when a proxy between removes the first.
"""

from collections.abc import Iterable
from typing import Final

EXPECTED_TIMEOUT: Final = "x-envoy-expected-rq-timeout-ms"
MAX_DIGITS: Final = 9
"""A larger number of milliseconds is no deadline (eleven days)."""


def remaining_ms(remaining_s: float | None, metadata: Iterable[tuple[str, str | bytes]]) -> float | None:
    """Milliseconds until the caller stops waiting, or None when it never said so.

    Args:
        remaining_s: what is left of `grpc-timeout`, in seconds.
        metadata: the call's metadata. A value that is no plain positive number counts as not sent.
    """
    least = None if remaining_s is None else remaining_s * 1000.0
    for name, value in metadata:
        if name == EXPECTED_TIMEOUT and len(value) <= MAX_DIGITS and value.isascii() and value.isdigit():
            expected = float(value)
            if expected > 0 and (least is None or expected < least):
                least = expected
    return least
