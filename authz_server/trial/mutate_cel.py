"""Small changes of a condition: numbers by one, comparisons and joins turned round, single terms taken as true or false."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from authz_server.policy.terms import terms_of, tokens_of

_NUMBER: Final = re.compile("[0-9]+", re.ASCII)
_COMMENT: Final = re.compile(r"(?:[\t\n\f\r ]|//[^\n]*)*")
_TURNED: Final = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&", "!": ""}
_EQUALS: Final = "="
_HALF: Final = frozenset("<>=!")
"""What an `=` behind it makes one operator with."""


class Changed(NamedTuple):
    """One change of an expression."""

    what: str
    """Such as `` `40` → `41` ``."""
    text: str


class _Token(NamedTuple):
    start: int
    text: str


def changes(text: str) -> Iterator[Changed]:
    """Every change of an expression, each by itself; some of them may not compile."""
    tokens = _placed(text)
    all_of = Counter(token.text for token in tokens)
    met: Counter[str] = Counter()
    for place, token in enumerate(tokens):
        met[token.text] += 1
        which = f" ({met[token.text]} of {all_of[token.text]})" if all_of[token.text] > 1 else ""
        for new in _others(tokens, place):
            changed = text[: token.start] + new + text[token.start + len(token.text) :]
            become = f"→ `{new}`" if new else "is dropped"
            yield Changed(f"`{token.text}`{which} {become}", changed)
    terms = terms_of(text)
    if len(terms) > 1:
        for term in terms:
            if text.count(term) == 1:
                for word in ("true", "false"):
                    yield Changed(f"`{term}` is taken as {word}", text.replace(term, word))


def _others(tokens: list[_Token], place: int) -> tuple[str, ...]:
    text = tokens[place].text
    if text in _TURNED:
        return (_TURNED[text],)
    if _NUMBER.fullmatch(text) is None or "." in {each.text for each in tokens[max(0, place - 1) : place + 2]}:
        return ()  # part of a fraction
    number = int(text)
    return (str(number + 1), str(number - 1)) if number else ("1",)


def _placed(text: str) -> list[_Token]:
    """The tokens with where they stand; operators of two signs as one."""
    placed: list[_Token] = []
    at = 0
    for token in tokens_of(text):
        blank = _COMMENT.match(text, at)
        at = blank.end() if blank is not None else at
        last = placed[-1] if placed else _Token(-1, "")
        if token == _EQUALS and last.text in _HALF and last.start + 1 == at:
            placed[-1] = _Token(last.start, last.text + token)
        else:
            placed.append(_Token(at, token))
        at += len(token)
    return placed
