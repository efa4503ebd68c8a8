"""The digest of a policy: what it says, not how it is laid out."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from hashlib import sha256
from typing import Any, Final

from authz_server.policy.entries import PolicyText, RuleEntry

_ORDERED: Final = frozenset({"cases", "each", "members", "per", "stages", "vars"})
"""Where order means something: the first case that fits wins, stages follow each other, keys are joined and constants can be
indexed. Everywhere else the texts of a list are alternatives."""


def _canonical(value: Any, *, ordered: bool = False) -> Any:
    if type(value) in {str, int}:  # nearly all of them
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _canonical(getattr(value, field.name), ordered=field.name in _ORDERED)
            for field in fields(value)
            if field.name != "where"
        }
    if isinstance(value, Mapping):
        return {str(key): _canonical(item, ordered=ordered) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        texts = not ordered and len(value) > 1 and all(type(item) is str for item in value)
        return sorted(value) if texts else [_canonical(item) for item in value]
    return value


def _sort_key(entry: Any) -> str:
    return json.dumps(entry, sort_keys=True, default=str)


def digest_of(text: PolicyText) -> str:
    """The digest of what the policy says: not of its layout, its comments or the order of its entries and patterns."""
    form = _canonical(text)
    for section in form.values():
        if isinstance(section, list):
            section.sort(key=_sort_key)
    return sha256(json.dumps(form, sort_keys=True, default=str).encode()).hexdigest()[:16]


def digest_of_rule(entry: RuleEntry) -> str:
    """The digest of what one rule says."""
    return sha256(json.dumps(_canonical(entry), sort_keys=True, default=str).encode()).hexdigest()[:16]
