"""authz_server/policy/signal_entries.py."""

import pytest

from authz_server.policy.entries import SignalEntry
from authz_server.policy.schema import parse_policy
from authz_server.policy.tree import Where
from authz_server.signals import SignalKind

_HEAD = """version: 1
facts:
  tenant: string(metadata["x"])
  session: request.headers[?"x-session"].orValue("")
actions: [{name: crm.read, match: {path: "/c/{customer}"}, kind: read}]
signals:
  """


def _parse(signal: str, name: str = "s"):
    return parse_policy({"a.yaml": f"{_HEAD}{name}: {signal}\n".encode()})


def _faults(signal: str, name: str = "s") -> list[str]:
    return [str(fault).removeprefix("a.yaml:7: ") for fault in _parse(signal, name).faults]


def test_a_count_is_read():
    """A composite key, a window in milliseconds, a filter."""
    parsed = _parse(
        "{count: steps, per: [principal, facts.tenant], window: 1m, match: {action: crm.*}, exclude: {source: 10.0.0.1}, when: 'true'}"
    )
    assert not parsed.faults
    assert parsed.text.signals == (
        SignalEntry(
            "s", SignalKind.COUNT, "", (), ("principal", "facts.tenant"), (), 60_000, 0, {"action": ("crm.*",)}, {"source": ("10.0.0.1",)}, "true", Where(0, "")
        ),
    )  # fmt: skip


def test_a_distinct_is_read():
    """What is counted is a word like those of the key."""
    parsed = _parse("{distinct: path.customer, per: principal, window: 7d}")
    assert not parsed.faults
    signal = parsed.text.signals[0]
    assert (signal.kind, signal.member, signal.per, signal.window_ms) == (
        SignalKind.DISTINCT,
        "path.customer",
        ("principal",),
        604_800_000,
    )


def test_a_sequence_is_read():
    """Stages in their order, an instance for each entity, decay."""
    parsed = _parse("{sequence: [discovery, collection], each: [principal, lineage], window: 6h, half_life: 30m}")
    assert not parsed.faults
    signal = parsed.text.signals[0]
    assert (signal.kind, signal.stages, signal.each, signal.per, signal.half_life_ms) == (
        SignalKind.SEQUENCE,
        ("discovery", "collection"),
        ("principal", "lineage"),
        (),
        1_800_000,
    )


@pytest.mark.parametrize(
    "word",
    [
        "principal",
        "source",
        "credential",
        "lineage",
        "destination",
        "action",
        "principal.trust_domain",
        "request.method",
        "facts.tenant",
        "path.customer",
    ],
)
def test_every_word_for_what_a_step_has_can_be_a_key(word):
    """Bare entities, dotted facts, captures and named facts."""
    assert not _parse(
        f"{{count: steps, per: [principal, {word}], window: 1s}}"
        if word != "principal"
        else "{count: steps, per: principal, window: 1s}"
    ).faults


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        ("{per: [principal], window: 1s}", "signals.s: a signal measures something"),
        ("{count: steps, distinct: action, per: [principal], window: 1s}", "a signal measures one thing: `count` or `distinct`"),
        ("{count: step, per: [principal], window: 1s}", "signals.s.count: unknown thing to count `step`; did you mean `steps`?"),
        ("{count: denied, per: [principal], window: 1s}", "signals.s.count: `denied` is not supported by this version"),
        ("{count: outcomes, per: [principal], window: 1s}", "`outcomes` is not supported by this version"),
        ("{first_seen: destination, per: [principal], window: 1s}", "signals.s.first_seen: `first_seen` is not supported by this version"),
        ("{score: true, each: [principal], half_life: 1m}", "signals.s.score: `score` is not supported by this version"),
        ("{count: steps, window: 1s}", "a signal has either `per`"),
        ("{count: steps, per: [principal], each: [principal], window: 1s}", "a signal has either `per`"),
        ("{count: steps, per: [], window: 1s}", "signals.s.per: an empty list"),
        ("{count: steps, per: [principal, principal], window: 1s}", "signals.s.per: the same word twice"),
        ("{count: steps, per: [principle], window: 1s}", "unknown word for what a step has `principle`; did you mean `principal`?"),
        ("{count: steps, per: [task], window: 1s}", "`task` is not supported by this version"),
        ("{count: steps, per: [mcp.tool], window: 1s}", "`mcp.tool` is not supported by this version"),
        ("{count: steps, per: [request.headers], window: 1s}", "unknown word for what a step has `request.headers`"),
        ("{count: steps, per: [facts.tennant], window: 1s}", "there is no `tennant` in `facts`; did you mean `tenant`?"),
        ("{count: steps, per: [path.customr], window: 1s}", "no path of `actions` has `{customr}`; did you mean `customer`?"),
        ("{distinct: path.order, per: [principal], window: 1s}", "signals.s.distinct: no path of `actions` has `{order}`"),
        ("{count: steps, per: [principal]}", "signals.s: `window` is missing"),
        ("{count: steps, per: [principal], window: 0s}", "a duration between 1s and 31d"),
        ("{count: steps, per: [principal], window: 32d}", "a duration between 1s and 31d"),
        ("{count: steps, per: [principal], window: 10}", "a duration is a whole number and its unit"),
        ("{count: steps, per: [principal], window: 1h30m}", "a duration is a whole number and its unit"),
        ("{count: steps, per: [principal], window: 999999999999d}", "a duration is a whole number and its unit"),
        ("{count: steps, per: [principal], window: 1s, half_life: 1s}", "signals.s.half_life: only a sequence fades"),
        ("{sequence: [discovery], per: [principal], window: 1s}", "a sequence has at least two stages"),
        ("{sequence: [discovery, discovery], per: [principal], window: 1s}", "a stage stands in a sequence once"),
        ("{sequence: [discovery, colection], per: [principal], window: 1s}", "unknown stage `colection`; did you mean `collection`?"),
        ("{count: steps, per: [principal], window: 1s, match: {action: crm.write}}", "no entry of `actions` fits `crm.write`; did you mean `crm.read`?"),
        ("{count: steps, per: [principal], window: 1s, wen: 'true'}", "unknown field of a signal `wen`; did you mean `when`?"),
        ("5", "signals.s: a mapping is expected, not a number"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_at_its_place(signal, message):
    """One message per mistake."""
    assert any(message in fault for fault in _faults(signal)), _faults(signal)


@pytest.mark.parametrize("name", ["a-b", "in", "1a", '""', "a.b", "x" * 65])
def test_a_signal_has_a_name_that_conditions_can_spell(name):
    """`signals.<name>` must be an expression."""
    assert _faults("{count: steps, per: [principal], window: 1s}", name)


@pytest.mark.parametrize(
    ("keys", "warned"),
    [
        ("per: [credential]", 1),
        ("per: [source, path.customer]", 1),
        ("per: [facts.session]", 1),
        ("per: [request.path]", 1),
        ("each: [principal, credential, source]", 2),
        ("per: [principal, path.customer]", 0),
        ("per: [destination, facts.tenant]", 0),
        ("per: [facts.tenant]", 0),
        ("per: [action]", 0),
    ],
)
def test_keys_of_client_data_only_are_warned(keys, warned):
    """Whoever can choose the whole key can always begin anew."""
    parsed = _parse(f"{{count: steps, {keys}, window: 1s}}")
    assert not parsed.faults
    assert len(parsed.warnings) == warned
