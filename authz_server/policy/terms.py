"""The terms of a condition: what it is an `&&` and `||` of, each a condition of its own, for explaining and for coverage.

The text is split, not the tree: the compiled form has no way back to what the author wrote.
"""

import re
from typing import Final

from authz_server.policy.cel import CelSyntaxError, Environment

_TOKEN: Final = re.compile(
    r'''(?xs)
    (?P<blank> (?: [\t\n\f\r\x20] | //[^\n]* )+ )
    | (?P<text>
        [bB]?[rR] (?: """.*?""" | \'\'\'.*?\'\'\' | "[^"]*" | '[^']*' )
        | [bB]? (?: """(?:\\.|[^\\])*?""" | \'\'\'(?:\\.|[^\\])*?\'\'\' | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
        | `[^`]*`
      )
    | (?P<word> [A-Za-z0-9_]+ )
    | (?P<join> && | \|\| )
    | (?P<open> [(\[{] )
    | (?P<close> [)\]}] )
    | (?P<option> \.\? | \[\? )
    | (?P<choice> \? )
    | .
    '''
)
"""Lexis of the CEL specification (doc/langdef.md, Syntax): what a bracket or an operator can hide in."""

Token = tuple[str, str]
"""Its kind, `""` for whatever has no meaning here, and its text."""


def split_terms(environment: Environment, text: str) -> tuple[str, ...]:
    """The terms of a condition, in the order in which they stand, each once.

    Parentheses around a whole term are opened; what stands behind a `!`, inside a macro or in a choice by `?:` is one term.
    Comments are left out, and blanks between words are one space.

    Args:
        environment: where the condition compiles.
        text: CEL.

    Raises:
        CelSyntaxError: it does not compile.
    """
    environment.compile(text)
    terms = terms_of(text)
    return terms if all(_is_condition(environment, term) for term in terms) else (_joined(_tokens(text)),)


def terms_of(text: str) -> tuple[str, ...]:
    """The same for a text that compiled somewhere; of another one the terms mean nothing."""
    return tuple(dict.fromkeys(_terms(_tokens(text))))


def tokens_of(text: str) -> tuple[str, ...]:
    """The words and signs of an expression, without comments and blanks: two that are alike say the same."""
    return tuple(token for kind, token in _tokens(text) if kind != "blank")


def _is_condition(environment: Environment, term: str) -> bool:
    try:
        return environment.compile(term).result_type in {"BOOL", "DYN"}
    except CelSyntaxError:
        return False


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    for found in _TOKEN.finditer(text):
        if found.lastgroup == "option" and found[0] == "[?":
            tokens += (("open", "["), ("", "?"))
        else:
            tokens.append((found.lastgroup or "", " " if found.lastgroup == "blank" else found[0]))
    return tokens


def _joined(tokens: list[Token]) -> str:
    return "".join(text for _, text in tokens).strip()


def _terms(tokens: list[Token]) -> list[str]:
    tokens = _trimmed(tokens)
    pieces: list[list[Token]] = [[]]
    depth = 0
    for kind, text in tokens:
        if kind == "choice" and not depth:
            return [_joined(tokens)]
        depth += (kind == "open") - (kind == "close")
        if kind == "join" and not depth:
            pieces.append([])
        else:
            pieces[-1].append((kind, text))
    if len(pieces) > 1:
        return [term for piece in pieces for term in _terms(piece)]
    return _terms(tokens[1:-1]) if _is_wrapped(tokens) else [_joined(tokens)]


def _trimmed(tokens: list[Token]) -> list[Token]:
    start, end = 0, len(tokens)
    while start < end and tokens[start][0] == "blank":
        start += 1
    while end > start and tokens[end - 1][0] == "blank":
        end -= 1
    return tokens[start:end]


def _is_wrapped(tokens: list[Token]) -> bool:
    """Whether one pair of parentheses is around all of it."""
    if not tokens or tokens[0][1] != "(":
        return False
    depth = 0
    for index, (kind, _) in enumerate(tokens):
        depth += (kind == "open") - (kind == "close")
        if not depth:
            return index == len(tokens) - 1
    return False
