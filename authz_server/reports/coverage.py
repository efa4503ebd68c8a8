"""Which ids of the security frameworks a policy's rules are tagged with, by which rules, and what is left uncovered."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from authz_server.policy.entries import PolicyText
from authz_server.policy.framework_ids import CSF_FUNCTIONS
from authz_server.policy.frameworks import FRAMEWORKS, framework_of, unknown_tag
from authz_server.reports.wording import percent

_WANTED: Final[Mapping[str, Mapping[str, str]]] = {
    "owasp": FRAMEWORKS["owasp"].ids,
    "csf": CSF_FUNCTIONS,
    "maestro": FRAMEWORKS["maestro"].ids,
}
"""What a policy can be expected to speak to as a whole; nobody covers all techniques of ATT&CK or ATLAS."""


class Use(NamedTuple):
    """One rule with a tag."""

    rule: str
    """Its full name."""
    effect: str
    enforce: int
    """For how many of 10 000 principals; 0 is shadow."""


class Covered(NamedTuple):
    """One id of a framework that rules are tagged with."""

    framework: str
    """The prefix of its tags."""
    id: str
    title: str
    """`""` where the framework's table has only ids."""
    uses: tuple[Use, ...]
    """In the order of the policy."""

    @property
    def enforced(self) -> bool:
        """Whether any of the rules is enforced for anybody."""
        return any(use.enforce for use in self.uses)


class Missing(NamedTuple):
    """One id that no rule is tagged with, nor with a part of it."""

    framework: str
    id: str
    title: str


class Coverage(NamedTuple):
    """What the tags of a policy cover."""

    covered: tuple[Covered, ...]
    """In the order of the frameworks."""
    missing: tuple[Missing, ...]
    """Of OWASP and MAESTRO the ids, of CSF the functions."""
    unknown: tuple[str, ...]
    """Messages about tags that name a framework and none of its ids."""
    own: tuple[str, ...]
    """Tags of the author's own, sorted."""
    untagged: tuple[str, ...]
    """Rules without a tag of a framework, in the order of the policy."""
    shadow: bool
    """The whole policy is in shadow: nothing is enforced."""


def coverage(text: PolicyText) -> Coverage:
    """What the rules of a policy cover."""
    uses: dict[str, list[Use]] = {}
    untagged: list[str] = []
    for rule in text.rules:
        for tag in rule.tags:
            uses.setdefault(tag, []).append(Use(rule.name, rule.then.value, rule.enforce))
        if not any(map(framework_of, rule.tags)):
            untagged.append(rule.name)
    covered = tuple(
        Covered(prefix, name, title, tuple(uses[tag]))
        for prefix, framework in FRAMEWORKS.items()
        for name, title in framework.ids.items()
        if (tag := f"{prefix}:{name}") in uses
    )
    unknown = {tag: message for tag in sorted(uses) if (message := unknown_tag(tag))}
    own = tuple(tag for tag in sorted(uses) if not framework_of(tag) and tag not in unknown)
    return Coverage(covered, _missing(covered), tuple(unknown.values()), own, tuple(untagged), text.shadow)


def _missing(covered: tuple[Covered, ...]) -> tuple[Missing, ...]:
    # A subcategory such as PR.AA-05 speaks to its function.
    known = {(each.framework, each.id.partition(".")[0]) for each in covered}
    return tuple(
        Missing(prefix, name, title)
        for prefix, ids in _WANTED.items()
        for name, title in ids.items()
        if (prefix, name) not in known
    )


def as_json(found: Coverage) -> dict[str, Any]:
    """The coverage as plain values for JSON."""
    return {
        "frameworks": {prefix: framework.title for prefix, framework in FRAMEWORKS.items()},
        "covered": [
            {
                "tag": f"{each.framework}:{each.id}",
                "title": each.title,
                "enforced": each.enforced and not found.shadow,
                "rules": [
                    {"rule": use.rule, "effect": use.effect, "enforce": percent(use.enforce)} for use in each.uses
                ],
            }
            for each in found.covered
        ],
        "missing": [{"tag": f"{each.framework}:{each.id}", "title": each.title} for each in found.missing],
        "unknown": list(found.unknown),
        "own": list(found.own),
        "untagged": list(found.untagged),
        "shadow": found.shadow,
    }
