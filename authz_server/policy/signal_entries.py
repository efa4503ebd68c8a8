"""Reading the entries of `signals`: what is measured, for whom, and for how long."""

from collections.abc import Mapping
from typing import Final

from authz_server.policy.entries import Fed, SignalEntry, SignalWord
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.signal_fields import read_learn, read_stages, read_weights
from authz_server.policy.signal_keys import Known, read_keys, read_word, read_words
from authz_server.policy.step_match import StepMatches
from authz_server.policy.tree import Node
from authz_server.policy.vars import identifier_fault
from authz_server.policy.words import SIGNAL_FIELDS, Place, full_name

MIN_WINDOW_MS: Final = 1000
"""Stores keep whole milliseconds, and clocks of replicas differ by some of them."""
MAX_WINDOW_MS: Final = 31 * 86_400_000
"""A month; state is kept for up to two windows."""
MAX_CAP: Final = 10_000
"""Units of a score or a walk; a store keeps thousandths below 2^24."""
MAX_RING: Final = 32
"""Members that a walk remembers: a keyed hash each, read and written with every outcome."""
DEFAULT_SCORE_CAP: Final = 1000
"""Units of one addition at most: nobody has to know a scale to write the first rule."""
DEFAULT_WALK_CAP: Final = 24
"""Three times the usual limit of 8: a caller that turned quiet falls below that after two half-lives."""
DEFAULT_RING: Final = 16
"""So many targets can a caller alternate between without any of them counting again."""
DEFAULT_LEARN_MS: Final = 86_400_000
"""A day of what is usual, before a rule on what is new is enforced."""
DEFAULT_MEMBER: Final = ("destination", "request.path", "credential")
"""What makes an outcome of a walk another one: a new target, or a new key to a known one."""

_MEMBERS: Final = frozenset({SignalWord.DISTINCT, SignalWord.FIRST_SEEN})
_LEVELS: Final = frozenset({SignalWord.SCORE, SignalWord.WALK})
_FADING: Final = _LEVELS | {SignalWord.SEQUENCE}
_CHOOSING: Final = _MEMBERS | {SignalWord.MARK}
_FILTERED: Final = frozenset(SignalWord) - {SignalWord.SCORE}
_UNFILTERED: Final = "a score measures no steps, rules add to it and say for which"
_BELONGS: Final[Mapping[str, tuple[frozenset[SignalWord], str]]] = {
    "window": (
        frozenset(SignalWord) - _LEVELS - {SignalWord.MARK},
        "a score or a walk fades by its `half_life` and a mark is kept for its `keep`, so they have no window",
    ),
    "half_life": (_FADING, "only a sequence, a score or a walk fades"),
    "keep": (frozenset({SignalWord.MARK}), "only a mark is kept, others have a window or fade"),
    "cap": (_LEVELS, "only a score or a walk has a cap of its own; others follow the limits in the rules"),
    "ring": (frozenset({SignalWord.WALK}), "only a walk remembers its members against repeats"),
    "share": (frozenset({SignalWord.WALK}), "only a walk has a share that one destination may vouch for"),
    "of": (frozenset({SignalWord.WALK}), "only a walk puts its member together"),
    "fed_by": (
        _CHOOSING,
        "only a distinct, a first_seen or a mark chooses what feeds it: a count says it itself, a walk is fed by outcomes",
    ),
    "learn": (_MEMBERS, "only a distinct or a first_seen learns"),
    "match": (_FILTERED, _UNFILTERED),
    "exclude": (_FILTERED, _UNFILTERED),
    "when": (_FILTERED, _UNFILTERED),
}
"""By field: the kinds of signals that have it, and what the others are told."""
_FEEDS: Final[Mapping[SignalWord, tuple[Fed, ...]]] = {
    SignalWord.COUNT: tuple(Fed),
    SignalWord.DISTINCT: (Fed.STEPS, Fed.ALLOWED, Fed.OUTCOMES),
    SignalWord.FIRST_SEEN: (Fed.OUTCOMES, Fed.ALLOWED),
    SignalWord.MARK: (Fed.ALLOWED, Fed.OUTCOMES),
    SignalWord.WALK: (Fed.OUTCOMES,),
}
"""What can feed a kind of signal, its default first; steps feed the others."""


def read_signal(  # noqa: PLR0917 - what names can mean, and whose they are, both belong to an entry
    name: str, node: Node, known: Known, matches: StepMatches, scope: Scope, team: str = ""
) -> SignalEntry:
    """Read one entry.

    Args:
        name: the key under which it stands.
        node: the entry.
        known: what its words can speak about.
        matches: reads `match` and `exclude`.
        scope: receives the faults.
        team: whose file it stands in, `""` for the platform's; the name of a team's signal is `team/name`.
    """
    fields = Fields(node, Place.SIGNAL_FIELD, SIGNAL_FIELDS, scope)
    fault = identifier_fault(name)
    if fault:
        fields.fault(fault)
    word = _word(fields)
    before = len(scope.report.faults)
    fed = _fed(fields, word)
    # What could not be read may have been meant as something that teaches.
    teaches = fed is not Fed.STEPS or len(scope.report.faults) > before
    per, each = read_keys(fields, known, scope)
    cap, ring, share = _level(fields, word)
    learn_ms, learn_count = _learn(fields, word, scope, teaches=teaches)
    filtered = word in _FILTERED
    return SignalEntry(
        name=full_name(name, team),
        word=word,
        fed=fed,
        members=_members(fields, word, known, scope),
        stages=read_stages(fields, scope) if word is SignalWord.SEQUENCE else (),
        weights=read_weights(fields, scope) if word is SignalWord.WALK else {},
        mark=fields.condition("mark") if word is SignalWord.MARK else "",
        per=per,
        each=each,
        window_ms=_window(fields, word),
        half_life_ms=_half_life(fields, word),
        cap=cap,
        ring=ring,
        share=share,
        learn_ms=learn_ms,
        learn_count=learn_count,
        match=matches.read(fields, "match") if filtered else {},
        exclude=matches.read(fields, "exclude") if filtered else {},
        when=fields.condition() if filtered else "",
        where=fields.node,
        team=team,
    )


def _word(fields: Fields) -> SignalWord:
    """What the signal measures; fields that belong to another kind are reported, and those that this one needs."""
    named = [word for word in SignalWord if word.value in fields]
    if len(named) != 1:
        choices = " or ".join(f"`{word}`" for word in named)
        fields.fault(
            f"a signal measures one thing: {choices}"
            if named
            else f"a signal measures something, such as `count: steps`; known are {', '.join(SignalWord)}"
        )
        return named[0] if named else SignalWord.COUNT
    word = named[0]
    for key, (words, message) in _BELONGS.items():
        if key in fields and word not in words:
            fields.fault(f"{message}; this is a {word}", key)
    if word in _LEVELS:
        fields.require("half_life")
    else:
        fields.require("keep" if word is SignalWord.MARK else "window")
    score = fields.scalar("score") if word is SignalWord.SCORE else None
    if score is not None and score is not True:
        fields.fault("a score is written `score: true`", "score")
    return word


def _fed(fields: Fields, word: SignalWord) -> Fed:
    feeds = _FEEDS.get(word, (Fed.STEPS,))
    if word in {SignalWord.COUNT, SignalWord.BUDGET}:
        return Fed(fields.choice(word.value, Place.COUNTED, feeds, feeds[0]))
    if word not in _CHOOSING:
        return feeds[0]
    return Fed(fields.choice("fed_by", f"thing that feeds a {word}", feeds, feeds[0]))


def _members(fields: Fields, word: SignalWord, known: Known, scope: Scope) -> tuple[str, ...]:
    if word in _MEMBERS:
        return read_word(fields, word.value, known, scope)
    if word is SignalWord.WALK:
        return read_words(fields, "of", known, scope) if "of" in fields else DEFAULT_MEMBER
    return ()


def _window(fields: Fields, word: SignalWord) -> int:
    if word in _LEVELS:
        return 0
    return fields.duration("keep" if word is SignalWord.MARK else "window", MIN_WINDOW_MS, MAX_WINDOW_MS, MIN_WINDOW_MS)


def _half_life(fields: Fields, word: SignalWord) -> int:
    if word not in _FADING:
        return 0
    return fields.duration("half_life", MIN_WINDOW_MS, MAX_WINDOW_MS, MIN_WINDOW_MS if word in _LEVELS else 0)


def _level(fields: Fields, word: SignalWord) -> tuple[int, int, int]:
    """Cap, ring and share of a score or a walk; zeros for the others."""
    if word not in _LEVELS:
        return 0, 0, 0
    cap = fields.whole("cap", 1, MAX_CAP, DEFAULT_SCORE_CAP if word is SignalWord.SCORE else DEFAULT_WALK_CAP)
    if word is SignalWord.SCORE:
        return cap, 0, 0
    ring = fields.whole("ring", 0, MAX_RING, DEFAULT_RING)
    return cap, ring, fields.whole("share", 0, ring)


def _learn(fields: Fields, word: SignalWord, scope: Scope, *, teaches: bool) -> tuple[int, int]:
    if word not in _MEMBERS:
        return 0, 0
    if not teaches and "learn" in fields:
        fields.fault("a distinct learns from what was allowed: add `fed_by: allowed` or `fed_by: outcomes`", "learn")
        return 0, 0
    return read_learn(fields, DEFAULT_LEARN_MS if word is SignalWord.FIRST_SEEN else 0, scope)


__all__ = ["Known", "read_signal"]
