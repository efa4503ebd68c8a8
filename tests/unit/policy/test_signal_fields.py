"""authz_server/policy/signal_fields.py."""

import pytest

from authz_server.policy.fields import Fields
from authz_server.policy.signal_fields import read_learn, read_stages, read_weights
from authz_server.policy.words import Place
from tests.policy_nodes import faults_of, read_entry

_HOUR = 3_600_000


def _read(reader, text, *arguments):
    node, scope = read_entry(text)
    fields = Fields(node, Place.SIGNAL_FIELD, ("walk", "learn", "sequence"), scope)
    return reader(fields, *arguments, scope), faults_of(scope)


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("2", 2000), ("1.5", 1500), ("0.001", 1), ("12.25", 12_250), ("100", 100_000), ("100.000", 100_000), ("007.5", 7500),
    ],
)  # fmt: skip
def test_a_weight_is_counted_in_thousandths(text, weight):
    """No rounding, up or down."""
    assert _read(read_weights, f"{{walk: {{refused: {text}}}}}") == (
        {"refused": weight, "absent": 0, "failed": 0, "success": 0, "discovered": 0},
        [],
    )
    weights, faults = _read(read_weights, f"{{walk: {{refused: 1, success: -{text}}}}}")
    assert (weights["success"], faults) == (-weight, [])


def test_a_discovery_weighs_like_a_success_unless_it_has_a_weight_of_its_own():
    """Reading what there is to find is part of every walk."""
    weights, _ = _read(read_weights, "{walk: {refused: 2, success: -1.5}}")
    assert (weights["success"], weights["discovered"]) == (-1500, -1500)
    weights, _ = _read(read_weights, "{walk: {refused: 2, success: -1.5, discovered: 0}}")
    assert (weights["success"], weights["discovered"]) == (-1500, 0)


@pytest.mark.parametrize(
    "weight",
    ["100.001", "101", "-100.5", "1.2345", "1.", ".5", "+1", "1e2", "0x1",  "'1,5'", "'-'", "'--1'", "' 1'", "'\u0661'", "nan", "true", "1000"],
)  # fmt: skip
def test_a_weight_is_a_small_number_with_few_decimals(weight):
    """Everything else is refused as it was written."""
    weights, faults = _read(read_weights, f"{{walk: {{refused: {weight}, absent: 1}}}}")
    assert len(faults) == 1
    assert faults[0].startswith(".walk.refused: a number between -100 and 100 with at most three decimals is expected")
    assert weights["refused"] == 0


@pytest.mark.parametrize(
    ("walk", "message"),
    [
        ("{}", ".walk: a walk that nothing raises stays at 0"),
        ("{refused: 0, success: -1}", ".walk: a walk that nothing raises stays at 0"),
        ("{refusd: 2}", ".walk.refusd: unknown class of outcomes `refusd`; did you mean `refused`?"),
        ("{refused: [1]}", ".walk.refused: a plain value is expected, not a list"),
        ("{refused: }", ".walk.refused: a plain value is expected, not nothing"),
        ("true", ".walk: a mapping is expected, not true or false"),
        ("[refused]", ".walk: a mapping is expected, not a list"),
    ],
)
def test_every_mistake_of_a_walk_is_named_once_at_its_place(walk, message):
    """What was found and what is expected."""
    weights, faults = _read(read_weights, f"{{walk: {walk}}}")
    assert len(faults) == 1
    assert faults[0].startswith(message)
    assert max(weights.values()) == 0


def test_what_is_broken_already_is_not_reported_again():
    """The reader of the text said so."""
    assert len(_read(read_weights, "{walk: !x y}")[1]) == 1


@pytest.mark.parametrize(
    ("learn", "period"),
    [
        ("24h", (24 * _HOUR, 0)),
        ("0s", (0, 0)),
        ("31d", (31 * 24 * _HOUR, 0)),
        ("{time: 2h, count: 20}", (2 * _HOUR, 20)),
        ("{time: 0s, count: 1023}", (0, 1023)),
        ("{count: 5}", (_HOUR, 5)),
        ("{time: 2h}", (2 * _HOUR, 0)),
    ],
)
def test_a_learning_period_is_a_time_or_a_time_and_events(learn, period):
    """A part that is absent has its default."""
    assert _read(read_learn, f"{{learn: {learn}}}", _HOUR) == (period, [])


def test_without_a_learning_period_the_default_holds():
    """Whatever the kind of signal says it is."""
    assert _read(read_learn, "{}", _HOUR) == ((_HOUR, 0), [])


@pytest.mark.parametrize(
    ("learn", "message"),
    [
        ("32d", ".learn: a duration between 0s and 31d is expected"),
        ("5", ".learn: a duration is a whole number and its unit"),
        ("[1h]", ".learn: a duration is a whole number and its unit"),
        ("{}", ".learn: an empty learning period says nothing"),
        ("{count: 1024}", ".learn.count: a whole number from 0 to 1023 is expected, not 1024"),
        ("{count: -1}", ".learn.count: a whole number from 0 to 1023 is expected, not -1"),
        ("{count: [2]}", ".learn.count: a whole number from 0 to 1023 is expected, not a list"),
        ("{time: 40d}", ".learn.time: a duration between 0s and 31d is expected"),
        ("{times: 1h}", ".learn.times: unknown field of a learning period `times`; did you mean `time`?"),
    ],
)
def test_every_mistake_of_a_learning_period_is_named_once_at_its_place(learn, message):
    """And the default holds."""
    period, faults = _read(read_learn, f"{{learn: {learn}}}", _HOUR)
    assert len(faults) == 1
    assert faults[0].startswith(message)
    assert period == (_HOUR, 0)


def test_stages_keep_their_order():
    """It is the order of the intrusion, as the policy sees it."""
    assert _read(read_stages, "{sequence: [impact, discovery]}") == (("impact", "discovery"), [])
    assert _read(read_stages, "{}") == ((), [])


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("[discovery]", ".sequence: a sequence has at least two stages"),
        ("discovery", ".sequence: a sequence has at least two stages"),
        ("[discovery, discovery]", ".sequence: a stage stands in a sequence once"),
        ("[discovery, colection]", ".sequence[1]: unknown stage `colection`; did you mean `collection`?"),
        ("[]", ".sequence: an empty list matches nothing"),
    ],
)
def test_every_mistake_of_a_sequence_is_named_once_at_its_place(stages, message):
    """What was found, and the nearest name."""
    faults = _read(read_stages, f"{{sequence: {stages}}}")[1]
    assert len(faults) == 1
    assert faults[0].startswith(message)
