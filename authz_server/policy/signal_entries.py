"""Reading the entries of `signals`: what is counted, for whom, and for how long."""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from authz_server.policy.entries import SignalEntry
from authz_server.policy.facts import STAGES
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.step_match import StepMatches
from authz_server.policy.tree import Node, shown
from authz_server.policy.vars import identifier_fault
from authz_server.policy.words import ENTITY_WORDS, SIGNAL_FIELDS, Place, unknown
from authz_server.signals import SignalKind

MIN_WINDOW_MS: Final = 1000
"""Stores keep whole milliseconds, and clocks of replicas differ by some of them."""
MAX_WINDOW_MS: Final = 31 * 86_400_000
"""A month; state is kept for up to two windows."""
MAX_WORDS: Final = 8
"""Words of `per` or `each`; each of `each` is an instance of its own in the store."""

_KIND_FIELDS: Final = {"count": SignalKind.COUNT, "distinct": SignalKind.DISTINCT, "sequence": SignalKind.SEQUENCE}
_CLIENT_PREFIXES: Final = ("path.", "request.", "grpc.", "credential", "source", "destination.host")
"""Words whose values the client chooses, as far as it likes: new ones cost it nothing."""
_CLIENT_SOURCES: Final = ("request.", "path.", "grpc.", "credential.")
"""What an expression reads when its value is the client's."""


class Known(NamedTuple):
    """The names of the policy that a signal can speak about."""

    facts: Mapping[str, str]
    """Expressions by name."""
    captures: Collection[str]


def read_signal(name: str, node: Node, known: Known, matches: StepMatches, scope: Scope) -> SignalEntry:
    """Read one entry."""
    fields = Fields(node, Place.SIGNAL_FIELD, SIGNAL_FIELDS, scope)
    fault = identifier_fault(name)
    if fault:
        fields.fault(fault)
    fields.require("window")
    kind = _kind(fields)
    per, each = _keys(fields, known, scope)
    if kind is not SignalKind.SEQUENCE and "half_life" in fields:
        fields.fault("only a sequence fades", "half_life")
    return SignalEntry(
        name=name,
        kind=kind,
        member=_member(fields, known, scope),
        stages=_stages(fields, scope),
        per=per,
        each=each,
        window_ms=fields.duration("window", MIN_WINDOW_MS, MAX_WINDOW_MS, MIN_WINDOW_MS),
        half_life_ms=fields.duration("half_life", MIN_WINDOW_MS, MAX_WINDOW_MS),
        match=matches.read(fields, "match"),
        exclude=matches.read(fields, "exclude"),
        when=fields.condition(),
        where=fields.node,
    )


def _kind(fields: Fields) -> SignalKind:
    named = [key for key in _KIND_FIELDS if key in fields]
    if len(named) > 1:
        fields.fault(f"a signal measures one thing: {' or '.join(f'`{key}`' for key in named)}")
    elif not named:
        fields.fault("a signal measures something: `count: steps`, `distinct: …` or `sequence: […]`")
    if "count" in fields:
        fields.choice("count", Place.COUNTED, ("steps",))
    return _KIND_FIELDS[named[0]] if named else SignalKind.COUNT


def _member(fields: Fields, known: Known, scope: Scope) -> str:
    word = fields.text("distinct")
    return word if word and _is_known(word, fields, "distinct", known, scope) else ""


def _stages(fields: Fields, scope: Scope) -> tuple[str, ...]:
    if "sequence" not in fields:
        return ()

    def check(text: str) -> None:
        if text not in STAGES:
            raise ValueError(f"unknown stage `{shown(text)}`{scope.report.meant(text, STAGES)}")

    before = len(scope.report.faults)
    stages = fields.texts("sequence", check)
    if len(set(stages)) < len(stages):
        fields.fault("a stage stands in a sequence once", "sequence")
    elif len(stages) < 2 and len(scope.report.faults) == before:  # noqa: PLR2004 - one stage has no order
        fields.fault("a sequence has at least two stages", "sequence")
    return stages


def _keys(fields: Fields, known: Known, scope: Scope) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of `per` and `each`, of which exactly one is there."""
    if ("per" in fields) == ("each" in fields):
        fields.fault("a signal has either `per` (one key of all its words) or `each` (one key for each word)")
    per = _words(fields, "per", known, scope)
    each = _words(fields, "each", known, scope)
    client = {word for word in (*per, *each) if _is_client_made(word, known)}
    message = (
        "the client chooses {} as it likes, so a caller can always begin anew; count something that is proved as well"
    )
    if per and client.issuperset(per):
        scope.report.warnings.append(fields.node.fault(message.format(" and ".join(per)), "per"))
    for index, word in enumerate(each):
        if word in client:
            scope.report.warnings.append(fields.node.fault(message.format(word), "each", index))
    return per, each


def _words(fields: Fields, key: str, known: Known, scope: Scope) -> tuple[str, ...]:
    words = fields.texts(key)
    if len(words) > MAX_WORDS:
        fields.fault(f"at most {MAX_WORDS} words", key)
    if len(set(words)) < len(words):
        fields.fault("the same word twice", key)
    return tuple(word for word in words if _is_known(word, fields, key, known, scope))


def _is_known(word: str, fields: Fields, key: str, known: Known, scope: Scope) -> bool:
    """Whether the word names something that a step has; otherwise it is reported."""
    head, _, name = word.partition(".")
    report = scope.report
    if word in ENTITY_WORDS:
        return True
    if head == "facts":
        if name in known.facts or not report.whole:
            return True
        message = f"there is no `{shown(name)}` in `facts`{report.meant(name, known.facts)}"
    elif head == "path":
        if name in known.captures or not report.whole:
            return True
        message = f"no path of `actions` has `{{{shown(name)}}}`{report.meant(name, known.captures)}"
    else:
        message = unknown(word, Place.ENTITY, ENTITY_WORDS, report)
    fields.fault(message, key)
    return False


def _is_client_made(word: str, known: Known) -> bool:
    if word.startswith("facts."):
        expression = known.facts.get(word.removeprefix("facts."), "")
        return any(source in expression for source in _CLIENT_SOURCES)
    return word.startswith(_CLIENT_PREFIXES)
