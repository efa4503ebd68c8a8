"""The security frameworks that a rule's tags can name: `owasp:ASI03`, `attack:T1550.001`, `atlas:AML.T0053`, `csf:PR.AA-05`, `maestro:L6`.

A tag with another prefix, or with none, is the author's own. A tag of a framework that does not exist would be a gap in the
coverage report that nobody sees, so it is reported when the policy is loaded.
"""

from bisect import bisect
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final, NamedTuple

from authz_server.policy.framework_ids import (
    ATLAS,
    ATLAS_MITIGATIONS,
    ATTACK,
    CSF,
    CSF_FUNCTIONS,
    FORMER_CSF,
    MAESTRO,
    OWASP,
)

NEIGHBOURS: Final = 12
"""Ids on each side of a misspelt one that are compared with it; a technique has at most 18 parts."""


class Framework(NamedTuple):
    """One framework.

    Attributes:
        title: with its version.
        ids: title by id, in the framework's order; `""` where only the id is kept.
    """

    title: str
    ids: Mapping[str, str]


def _numbers(text: str) -> Iterator[int]:
    """The numbers of a packed list such as `1-5,7`."""
    for run in text.split(","):
        first, _, last = run.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _techniques(prefix: str, packed: str) -> Iterator[str]:
    for word in packed.split():
        base, _, parts = word.partition(".")
        yield f"{prefix}{base}"
        if parts:
            yield from (f"{prefix}{base}.{number:03}" for number in _numbers(parts))


def _outcomes() -> Iterator[tuple[str, str]]:
    """Functions, each before its categories, and those before their subcategories."""
    function = ""
    for word in CSF.split():
        category, _, numbers = word.partition("-")
        if category[:2] != function:
            function = category[:2]
            yield function, CSF_FUNCTIONS[function]
        yield category, ""
        yield from ((f"{category}-{number:02}", "") for number in _numbers(numbers))


FRAMEWORKS: Final[Mapping[str, Framework]] = {
    "owasp": Framework("OWASP Top 10 for Agentic Applications 2026", OWASP),
    "attack": Framework(
        "MITRE ATT&CK Enterprise 18.1 with the additions of 19", dict.fromkeys(_techniques("T", ATTACK), "")
    ),
    "atlas": Framework(
        "MITRE ATLAS 5.6.1",
        dict.fromkeys(_techniques("AML.T", ATLAS), "")
        | {f"AML.M{number:04}": "" for number in range(ATLAS_MITIGATIONS)},
    ),
    "csf": Framework("NIST CSF 2.0", dict(_outcomes())),
    "maestro": Framework("CSA MAESTRO", MAESTRO),
}
"""By the prefix of their tags."""


def framework_of(tag: str) -> str:
    """The prefix of the framework that a tag belongs to, or `""` for a tag of the author's own."""
    prefix, colon, _ = tag.partition(":")
    return prefix if colon and prefix in FRAMEWORKS else ""


def unknown_tag(tag: str) -> str:
    """What is wrong with a tag that names a framework and none of its ids; `""` for every other tag."""
    prefix, colon, name = tag.partition(":")
    meant = prefix.lower()
    if not colon or meant not in FRAMEWORKS:
        return ""
    framework = FRAMEWORKS[meant]
    if prefix == meant and name in framework.ids:
        return ""
    near = FORMER_CSF.get(name, "") if meant == "csf" else ""
    if near:
        return f"`{tag}` is an id of CSF 1.1; in {framework.title} it is `{meant}:{near}`"
    if meant == "attack" and name.upper().startswith("TA"):
        return f"`{tag}` is a tactic; tag the techniques, such as `attack:T1078`: tactics are cut anew from version to version"
    near = _nearest(name.upper(), framework.ids)
    return f"`{tag}` is no id of {framework.title}" + (f"; did you mean `{meant}:{near}`?" if near else "")


def _nearest(name: str, ids: Mapping[str, str]) -> str:
    """The id most like a name, or `""`: looked for among those that would stand beside it, as thousands may be asked for."""
    if f"AML.{name}" in ids:
        return f"AML.{name}"
    ordered = sorted(ids)
    place = bisect(ordered, name)
    found = get_close_matches(name, ordered[max(0, place - NEIGHBOURS) : place + NEIGHBOURS], n=1)
    return found[0] if found else ""
