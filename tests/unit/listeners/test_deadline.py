"""The least of what gRPC and Envoy say is the deadline."""

import pytest

from authz_server.listeners.deadline import remaining_ms


@pytest.mark.parametrize(
    ("remaining", "header", "expected"),
    [
        (None, None, None),
        (0.2, None, 200.0),
        (0.0, None, 0.0),
        (None, "150", 150.0),
        (0.2, "150", 150.0),
        (0.1, "150", 100.0),
        (0.2, "0", 200.0),
        (0.2, "", 200.0),
        (0.2, "-1", 200.0),
        (0.2, "1.5", 200.0),
        (0.2, " 15", 200.0),
        (0.2, "15\n", 200.0),
        (0.2, "\u0661\u0665", 200.0),
        (0.2, "\xb2", 200.0),
        (None, "9" * 9, 999_999_999.0),
        (None, "9" * 10, None),
        (None, b"15", 15.0),
    ],
)
def test_the_least_counts_and_what_is_no_number_does_not(remaining, header, expected):
    """Envoy sends whole milliseconds; anything else is as if it had not been sent."""
    metadata = [("user-agent", "envoy")] + ([("x-envoy-expected-rq-timeout-ms", header)] if header is not None else [])
    assert remaining_ms(remaining, metadata) == expected


def test_of_several_headers_the_least_counts():
    """However often it was sent."""
    assert remaining_ms(None, [("x-envoy-expected-rq-timeout-ms", value) for value in ("300", "100", "200")]) == 100.0
