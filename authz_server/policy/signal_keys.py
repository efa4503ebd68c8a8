"""Reading what signals are kept for and what they remember: the words of `per`, `each`, `of`, `distinct` and `first_seen`."""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from authz_server.policy.fields import Fields, Scope
from authz_server.policy.tree import shown
from authz_server.policy.words import ENTITY_WORDS, Place, unknown

MAX_WORDS: Final = 8
"""Words of `per`, `each` or `of`; each of `each` is an instance of its own in the store."""

_CLIENT_PREFIXES: Final = ("path.", "request.", "grpc.", "mcp.", "a2a.", "destination.host")
"""Words whose values the client chooses, as far as it likes: new ones cost it nothing. The source is the peer's address as the
proxy sees it, which is no client's choice."""
_CREDENTIAL: Final = "credential"
"""Another secret begins a count of steps anew; who else uses one, and what became of it, is well kept by the secret."""
_CLIENT_SOURCES: Final = ("request.", "path.", "grpc.", "mcp.", "a2a.", "credential.")
"""What an expression reads when its value is the client's."""


class Known(NamedTuple):
    """The names of the policy that a signal can speak about."""

    facts: Mapping[str, str]
    """Expressions by name."""
    captures: Collection[str]


def read_keys(fields: Fields, known: Known, scope: Scope) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of `per` and `each`, of which exactly one is there; keys that cost the client nothing are warned of."""
    if ("per" in fields) == ("each" in fields):
        fields.fault("a signal has either `per` (one key of all its words) or `each` (one key for each word)")
    per = read_words(fields, "per", known, scope)
    each = read_words(fields, "each", known, scope)
    counts = "budget" in fields or ("count" in fields and fields.scalar("count") in {"steps", "allowed"})
    prefixes = (*_CLIENT_PREFIXES, _CREDENTIAL) if counts else _CLIENT_PREFIXES
    client = {word for word in (*per, *each) if _is_client_made(word, known, prefixes)}
    message = (
        "the client chooses {} as it likes, so a caller can always begin anew; count something that is proved as well"
    )
    if per and client.issuperset(per):
        scope.report.warnings.append(fields.node.fault(message.format(" and ".join(per)), "per"))
    for index, word in enumerate(each):
        if word in client:
            scope.report.warnings.append(fields.node.fault(message.format(word), "each", index))
    return per, each


def read_words(fields: Fields, key: str, known: Known, scope: Scope) -> tuple[str, ...]:
    """A few different words for what a step has; empty when absent."""
    words = fields.texts(key)
    if len(words) > MAX_WORDS:
        fields.fault(f"at most {MAX_WORDS} words", key)
    if len(set(words)) < len(words):
        fields.fault("the same word twice", key)
    return tuple(word for word in words if _is_known(word, fields, key, known, scope))


def read_word(fields: Fields, key: str, known: Known, scope: Scope) -> tuple[str, ...]:
    """One word for what a step has; empty when absent or faulty."""
    word = fields.text(key)
    return (word,) if word and _is_known(word, fields, key, known, scope) else ()


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


def _is_client_made(word: str, known: Known, prefixes: tuple[str, ...]) -> bool:
    if word.startswith("facts."):
        expression = known.facts.get(word.removeprefix("facts."), "")
        return any(source in expression for source in _CLIENT_SOURCES)
    return word.startswith(prefixes)
