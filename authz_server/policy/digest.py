"""The digest of a policy: what it says, not how it is laid out."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from hashlib import sha256
from typing import Any

from authz_server.policy.entries import PolicyText


def _canonical(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _canonical(getattr(value, field.name)) for field in fields(value) if field.name != "where"}
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return value


def digest_of(text: PolicyText) -> str:
    """The digest of what the policy says: not of its layout, its comments or the order of its entries."""
    form = _canonical(text)
    for section in ("facts", "actions", "signals", "rules"):
        form[section].sort(key=lambda entry: json.dumps(entry, sort_keys=True, default=str))
    return sha256(json.dumps(form, sort_keys=True, default=str).encode()).hexdigest()[:16]
