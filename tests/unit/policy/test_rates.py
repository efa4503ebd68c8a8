"""authz_server/policy/rates.py."""

import pytest

from authz_server.policy.fields import Fields
from authz_server.policy.rates import NO_RATE, read_rate
from authz_server.policy.words import Place
from tests.policy_nodes import faults_of, read_entry


def _read(rate, constants="{}"):
    node, scope = read_entry(f"{{rate: {rate}}}", constants)
    return read_rate(Fields(node, Place.ENVELOPE_FIELD, ("rate",), scope)), faults_of(scope)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20/s", (20, 1000)),
        ("100/m", (100, 60_000)),
        ("1000/h", (1000, 3_600_000)),
        ("500/10s", (500, 10_000)),
        ("1/24h", (1, 86_400_000)),
        ("1000000/s", (1_000_000, 1000)),
        ('"20/s"', (20, 1000)),
    ],
)
def test_a_rate_is_steps_over_a_span(text, rate):
    """A unit alone is one of it."""
    assert _read(text) == (rate, [])


def test_a_rate_can_be_a_constant():
    """As any plain value."""
    assert _read("$(limit)/s", "{limit: 40}") == ((40, 1000), [])


@pytest.mark.parametrize(
    "text", ["20", "20/d", "20 /s", "20/ s", "/s", "-1/s", "2.5/s", "20/s/s", "٢/s", "true", "1e3/s"]
)
def test_another_form_is_refused(text):
    """With examples of the right one."""
    rate, faults = _read(text)
    assert rate == NO_RATE
    assert faults == [".rate: a rate is steps over a span of time, such as 20/s, 100/m, 1000/h or 500/10s"]


@pytest.mark.parametrize("text", ["0/s", "1000001/s", "1/0s", "1/25h", "1/99999h"])
def test_a_rate_out_of_bounds_is_refused(text):
    """A rate of none is a deny, one over more than a day a budget."""
    rate, faults = _read(text)
    assert rate == NO_RATE
    assert faults == [".rate: a rate is 1 to 1000000 steps over at most 24h"]


def test_what_is_no_plain_value_is_reported_once():
    """A list is no rate, and a faulty constant was reported already."""
    assert _read("[20/s]")[1] == [".rate: a plain value is expected, not a list"]
    assert len(_read("$(limt)", "{limit: 20/s}")[1]) == 1
