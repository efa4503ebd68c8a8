"""authz_server/policy/signal_entries.py."""

import pytest

from authz_server.policy.entries import Fed, SignalEntry, SignalWord
from authz_server.policy.signal_entries import DEFAULT_MEMBER, Known, read_signal
from authz_server.policy.tree import Where
from tests.policy_nodes import faults_of, matches_in, read_entry

_KNOWN = Known({"tenant": 'string(metadata["x"])'}, ("customer",))
_DAY = 86_400_000
_PLAIN = {"per": "[principal]", "window": "1m"}
_LEVEL = {"per": "[principal]", "half_life": "1h"}
_KINDS = {
    SignalWord.COUNT: {"count": "steps", **_PLAIN},
    SignalWord.DISTINCT: {"distinct": "action", "fed_by": "outcomes", **_PLAIN},
    SignalWord.SEQUENCE: {"sequence": "[discovery, impact]", **_PLAIN},
    SignalWord.SCORE: {"score": "true", **_LEVEL},
    SignalWord.FIRST_SEEN: {"first_seen": "action", **_PLAIN},
    SignalWord.WALK: {"walk": "{refused: 2}", **_LEVEL},
    SignalWord.MARK: {"mark": "'true'", "per": "[principal]", "keep": "1h"},
    SignalWord.BUDGET: {"budget": "steps", **_PLAIN},
}
_OPTIONAL = {
    "window": "1m", "half_life": "1h", "keep": "1h", "cap": "5", "ring": "4", "share": "2", "of": "[destination]",
    "fed_by": "allowed", "learn": "1h", "match": "{action: crm.*}", "exclude": "{action: crm.*}", "when": "'true'",
}  # fmt: skip
_OTHERS = {"window", "match", "exclude", "when"}
_HAS = {
    SignalWord.COUNT: _OTHERS,
    SignalWord.DISTINCT: _OTHERS | {"fed_by", "learn"},
    SignalWord.SEQUENCE: _OTHERS | {"half_life"},
    SignalWord.SCORE: {"half_life", "cap"},
    SignalWord.FIRST_SEEN: _OTHERS | {"fed_by", "learn"},
    SignalWord.WALK: _OTHERS - {"window"} | {"half_life", "cap", "ring", "share", "of"},
    SignalWord.MARK: _OTHERS - {"window"} | {"keep", "fed_by"},
    SignalWord.BUDGET: _OTHERS,
}
"""What each kind has, as the language says."""


def _written(fields):
    return f"{{{', '.join(f'{key}: {value}' for key, value in fields.items())}}}"


def _read(text, name="s", team="", constants="{}"):
    node, scope = read_entry(text, constants)
    return read_signal(name, node, _KNOWN, matches_in(scope), scope, team), scope


def _good(text, **options):
    entry, scope = _read(text, **options)
    assert not faults_of(scope)
    return entry


def _faults(text, **options):
    return faults_of(_read(text, **options)[1])


def test_a_count_is_read_with_all_its_fields():
    """A composite key, a window in milliseconds, a filter; whatever belongs to other kinds is empty."""
    text = "{count: outcomes, per: [principal, facts.tenant], window: 1m, match: {action: crm.*}, exclude: {source: 10.0.0.1}, when: 'outcome.status == 401'}"
    assert _good(text) == SignalEntry(
        name="s", word=SignalWord.COUNT, fed=Fed.OUTCOMES, members=(), stages=(), weights={}, mark="",
        per=("principal", "facts.tenant"), each=(), window_ms=60_000, half_life_ms=0, cap=0, ring=0, share=0,
        learn_ms=0, learn_count=0, match={"action": ("crm.*",)}, exclude={"source": ("10.0.0.1",)},
        when="outcome.status == 401", where=Where(0, ""),
    )  # fmt: skip


@pytest.mark.parametrize("fed", list(Fed))
def test_a_count_says_what_feeds_it(fed):
    """Steps, and what became of them."""
    assert _good(f"{{count: {fed}, per: [principal], window: 1m}}").fed is fed


def test_a_sequence_is_read():
    """Stages in their order, an instance for each entity, decay."""
    signal = _good("{sequence: [discovery, collection], each: [principal, lineage], window: 6h, half_life: 30m}")
    assert (signal.word, signal.stages, signal.each, signal.per, signal.half_life_ms) == (
        SignalWord.SEQUENCE,
        ("discovery", "collection"),
        ("principal", "lineage"),
        (),
        1_800_000,
    )
    assert _good("{sequence: [discovery, collection], per: [principal], window: 6h}").half_life_ms == 0


@pytest.mark.parametrize(
    ("fields", "fed", "learn"),
    [
        ("distinct: path.customer", Fed.STEPS, (0, 0)),
        ("distinct: path.customer, fed_by: allowed", Fed.ALLOWED, (0, 0)),
        ("distinct: path.customer, fed_by: outcomes, learn: {time: 2h, count: 9}", Fed.OUTCOMES, (7_200_000, 9)),
        ("first_seen: path.customer", Fed.OUTCOMES, (_DAY, 0)),
        ("first_seen: path.customer, fed_by: allowed, learn: 0s", Fed.ALLOWED, (0, 0)),
    ],
)
def test_what_is_remembered_is_a_word_and_may_have_to_be_learned(fields, fed, learn):
    """A distinct counts steps unless it is told otherwise, novelty learns from outcomes for a day."""
    signal = _good(f"{{{fields}, per: principal, window: 7d}}")
    assert (signal.members, signal.fed, (signal.learn_ms, signal.learn_count)) == (("path.customer",), fed, learn)
    assert signal.window_ms == 7 * _DAY


def test_a_score_has_a_half_life_and_a_cap():
    """No window: it fades."""
    signal = _good("{score: true, each: [principal, lineage], half_life: 15m, cap: 200}")
    assert (signal.word, signal.half_life_ms, signal.cap, signal.window_ms) == (SignalWord.SCORE, 900_000, 200, 0)
    assert _good("{score: true, each: [principal], half_life: 15m}").cap == 1000


def test_a_walk_is_read():
    """Weights in thousandths, and what makes an outcome a new one."""
    signal = _good(
        "{walk: {refused: 2, absent: 1.5, success: -1.5, discovered: -0.5}, of: [destination, path.customer],"
        " each: [principal], half_life: 6h, cap: 30, ring: 8, share: 8, match: {action: crm.*}, when: 'outcome.status > 0'}"
    )
    assert signal.weights == {"refused": 2000, "absent": 1500, "failed": 0, "success": -1500, "discovered": -500}
    assert (signal.fed, signal.members) == (Fed.OUTCOMES, ("destination", "path.customer"))
    assert (signal.half_life_ms, signal.cap, signal.ring, signal.share) == (21_600_000, 30, 8, 8)
    assert (signal.window_ms, signal.match, signal.when) == (0, {"action": ("crm.*",)}, "outcome.status > 0")


def test_a_walk_has_defaults():
    """Whoever weighs the outcomes has said enough."""
    signal = _good("{walk: {refused: 2}, each: [principal], half_life: 6h}")
    assert (signal.members, signal.cap, signal.ring, signal.share) == (DEFAULT_MEMBER, 24, 16, 0)


def test_a_mark_is_read():
    """`keep` is its window."""
    signal = _good("{mark: \"action.kind == 'credential'\", each: [principal, source], keep: 1h}")
    assert (signal.word, signal.mark, signal.fed) == (SignalWord.MARK, "action.kind == 'credential'", Fed.ALLOWED)
    assert signal.window_ms == 3_600_000
    assert _good("{mark: true, per: [principal], keep: 1h, fed_by: outcomes}").fed is Fed.OUTCOMES


def test_a_budget_is_read():
    """What is used up of a number of steps."""
    signal = _good("{budget: steps, per: [task.id], window: 1h}")
    assert (signal.word, signal.fed, signal.window_ms) == (SignalWord.BUDGET, Fed.STEPS, 3_600_000)


@pytest.mark.parametrize("word", _KINDS)
def test_each_kind_has_its_own_fields_and_no_others(word):
    """A field that would have no effect is refused where it stands."""
    for key, value in _OPTIONAL.items():
        faults = _faults(_written({**_KINDS[word], key: value}))
        if key in _HAS[word]:
            assert not faults
        else:
            assert len(faults) == 1
            assert faults[0].startswith(f".{key}: ")
            assert faults[0].endswith(f"; this is a {word}")


@pytest.mark.parametrize(
    ("word", "key"),
    [(word, {"mark": "keep", "score": "half_life", "walk": "half_life"}.get(word, "window")) for word in SignalWord],
)
def test_each_kind_says_for_how_long(word, key):
    """Nothing is kept for a time that nobody chose."""
    fields = {name: value for name, value in _KINDS[word].items() if name != key}
    assert _faults(_written(fields)) == [f": `{key}` is missing"]


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        ("{per: [principal], window: 1s}", ": a signal measures something, such as `count: steps`; known are count, distinct,"),
        ("{count: steps, distinct: action, per: [principal], window: 1s}", ": a signal measures one thing: `count` or `distinct`"),
        ("{walk: {refused: 1}, score: true, per: [principal], half_life: 1m}", ": a signal measures one thing: `score` or `walk`"),
        ("{count: step, per: [principal], window: 1s}", ".count: unknown thing to count `step`; did you mean `steps`?"),
        ("{budget: bytes, per: [principal], window: 1s}", ".budget: unknown thing to count `bytes`; did you mean `steps`?"),
        ("{score: false, per: [principal], half_life: 1m}", ".score: a score is written `score: true`"),
        ("{score: 1, per: [principal], half_life: 1m}", ".score: a score is written `score: true`"),
        ("{score: 'true', per: [principal], half_life: 1m}", ".score: a score is written `score: true`"),
        ("{score: [], per: [principal], half_life: 1m}", ".score: a plain value is expected, not a list"),
        ("{score: true, per: [principal], half_life: 1m, cap: 0}", ".cap: a whole number from 1 to 10000 is expected, not 0"),
        ("{score: true, per: [principal], half_life: 1m, cap: 10001}", ".cap: a whole number from 1 to 10000 is expected, not 10001"),
        ("{score: true, per: [principal], half_life: 1m, cap: many}", ".cap: a whole number from 1 to 10000 is expected, not text"),
        ("{score: true, per: [principal], half_life: 1m, cap: true}", ".cap: a whole number from 1 to 10000 is expected, not true or false"),
        ("{score: true, per: [principal], half_life: 32d}", ".half_life: a duration between 1s and 31d"),
        ("{walk: {refused: 1}, per: [principal], half_life: 1m, ring: 33}", ".ring: a whole number from 0 to 32 is expected, not 33"),
        ("{walk: {refused: 1}, per: [principal], half_life: 1m, ring: 4, share: 5}", ".share: a whole number from 0 to 4 is expected, not 5"),
        ("{walk: {refused: 1}, per: [principal], half_life: 1m, share: -1}", ".share: a whole number from 0 to 16 is expected, not -1"),
        ("{walk: {refused: 1}, of: [destinaton], per: [principal], half_life: 1m}", ".of: unknown word for what a step has `destinaton`; did you mean"),
        ("{distinct: action, fed_by: denied, per: [principal], window: 1s}", ".fed_by: unknown thing that feeds a distinct `denied`; known are allowed, outcomes, steps"),
        ("{first_seen: action, fed_by: steps, per: [principal], window: 1s}", ".fed_by: unknown thing that feeds a first_seen `steps`; known are allowed, outcomes"),
        ("{mark: true, fed_by: steps, per: [principal], keep: 1s}", ".fed_by: unknown thing that feeds a mark `steps`; known are allowed, outcomes"),
        ("{distinct: action, learn: 1h, per: [principal], window: 1s}", ".learn: a distinct learns from what was allowed: add `fed_by: allowed`"),
        ("{distinct: action, fed_by: steps, learn: 1h, per: [principal], window: 1s}", ".learn: a distinct learns from what was allowed"),
        ("{mark: '$(x)', per: [principal], keep: 1s}", ".mark: `$(name)` has no meaning in an expression"),
        ("{mark: , per: [principal], keep: 1s}", ".mark: an expression is expected, not nothing"),
        ("{mark: true, per: [principal], keep: 500d}", ".keep: a duration between 1s and 31d"),
        ("{distinct: path.order, per: [principal], window: 1s}", ".distinct: no path of `actions` has `{order}`"),
        ("{count: steps, per: [principal], window: 0s}", ".window: a duration between 1s and 31d"),
        ("{count: steps, per: [principal], window: 32d}", ".window: a duration between 1s and 31d"),
        ("{count: steps, per: [principal], window: 10}", ".window: a duration is a whole number and its unit"),
        ("{count: steps, per: [principal], window: 1h30m}", ".window: a duration is a whole number and its unit"),
        ("{count: steps, per: [principal], window: 999999999999d}", ".window: a duration is a whole number and its unit"),
        ("{count: steps, per: [principal], window: 1s, match: {action: crm.write}}", ".match.action: no entry of `actions` fits `crm.write`; did you mean `crm.read`?"),
        ("{count: steps, per: [principal], window: 1s, wen: 'true'}", ".wen: unknown field of a signal `wen`; did you mean `when`?"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_once_at_its_place(signal, message):
    """What was found, what is expected, and the nearest name."""
    faults = _faults(signal)
    assert len(faults) == 1
    assert faults[0].startswith(message), faults


def test_what_is_no_signal_is_said_first():
    """The kind of the value, before what it lacks."""
    assert _faults("5")[0] == ": a mapping is expected, not a number"


def test_a_word_that_could_not_be_read_causes_no_second_fault():
    """A misspelt `fed_by` may have been meant as one that teaches."""
    assert len(_faults("{distinct: action, fed_by: alowed, learn: 1h, per: [principal], window: 1s}")) == 1


@pytest.mark.parametrize("name", ["a-b", "in", "1a", "", "a.b", "a/b", "x" * 65])
@pytest.mark.parametrize("team", ["", "billing"])
def test_a_signal_has_a_name_that_conditions_can_spell(name, team):
    """`signals.<name>` must be an expression, in a team's files too."""
    assert _faults("{count: steps, per: [principal], window: 1s}", name=name, team=team)


def test_a_teams_signal_carries_its_name():
    """Two teams may use one word for different things."""
    signal = _good("{count: steps, per: [principal], window: 1s}", team="billing")
    assert (signal.name, signal.team) == ("billing/s", "billing")
    signal = _good("{count: steps, per: [principal], window: 1s}")
    assert (signal.name, signal.team) == ("s", "")


def test_constants_stand_for_plain_values():
    """Everywhere but in conditions."""
    signal = _good(
        "{walk: {refused: $(high)}, per: $(keys), half_life: $(span), cap: $(cap)}",
        constants="{high: '2.5', keys: [principal, source], span: 2h, cap: 12}",
    )
    assert (signal.weights["refused"], signal.per) == (2500, ("principal", "source"))
    assert (signal.half_life_ms, signal.cap) == (7_200_000, 12)
