"""Reading how a challenge is met: the `approval` and `step_up` of a rule."""

import re
from typing import Final

from authz_server.policy.entries import Approval, StepUp
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.tree import Table, shown
from authz_server.policy.words import Place
from authz_server.verdict import Effect

MAX_GROUPS: Final = 16
"""Groups of approvers of one rule: each gets every request."""
MAX_USES: Final = 100
"""Steps of one approval: more is a rule of its own, or an exception with an end."""
MIN_APPROVAL_MS: Final = 10_000
"""Below, the caller cannot come back in time."""
MAX_APPROVAL_MS: Final = 86_400_000
"""A day: whoever approved still remembers why."""
DEFAULT_APPROVAL_MS: Final = 600_000
MIN_AGE_MS: Final = 1000
MAX_AGE_MS: Final = 31 * 86_400_000
"""A month; an older authentication is the same as any."""
ARGUMENTS: Final = "arguments"
"""An approval of this very request."""
BINDINGS: Final = (ARGUMENTS, "action")

_GROUP: Final = re.compile(r"group:[A-Za-z0-9_.-]{1,64}")
_ACR: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/#+-]{0,127}")
"""Names and URIs. It goes into a quoted string of `WWW-Authenticate` (RFC 9470, section 3), where a space would end it."""


def read_approval(fields: Fields, effect: str, scope: Scope) -> Approval | None:
    """Read who lifts the challenge; None when nobody does.

    Args:
        fields: the rule.
        effect: its `then`, `""` when that could not be read.
        scope: receives the faults.
    """
    parts = _parts(fields, "approval", ("by", "binds", "uses", "expires"), effect, scope)
    if parts is None:
        return None
    parts.require("by")
    groups = tuple(dict.fromkeys(parts.texts("by", _check_group)))
    if len(groups) > MAX_GROUPS:
        parts.fault(f"at most {MAX_GROUPS} groups", "by")
    return Approval(
        by=groups,
        binds=parts.choice("binds", "thing to bind an approval to", BINDINGS, ARGUMENTS),
        uses=parts.whole("uses", 1, MAX_USES, 1),
        expires_s=parts.duration("expires", MIN_APPROVAL_MS, MAX_APPROVAL_MS, DEFAULT_APPROVAL_MS) // 1000,
    )


def read_step_up(fields: Fields, effect: str, scope: Scope) -> StepUp | None:
    """Read which authentication is asked for; None when none is. The arguments are those of `read_approval`."""
    parts = _parts(fields, "step_up", ("acr", "max_age"), effect, scope)
    if parts is None:
        return None
    if isinstance(parts.node, Table) and not ("acr" in parts or "max_age" in parts):
        parts.fault("a step-up asks for something: `acr`, `max_age` or both")
    acr = parts.text("acr")
    if acr and _ACR.fullmatch(acr) is None:
        parts.fault(f"`{shown(acr)}` is no authentication class: 1 to 128 of A-Z a-z 0-9 _ . : / # + -", "acr")
        acr = ""
    return StepUp(acr=acr, max_age_s=parts.duration("max_age", MIN_AGE_MS, MAX_AGE_MS) // 1000)


def _parts(fields: Fields, key: str, known: tuple[str, ...], effect: str, scope: Scope) -> Fields | None:
    """The mapping under the key of a rule that challenges; None when there is none to be read."""
    node = fields.node_of(key)
    if node is None:
        return None
    if effect != Effect.CHALLENGE:
        # A `then` that could not be read may have been meant as a challenge.
        if effect:
            fields.fault(f"only a rule with `then: challenge` has this; here `then` is `{effect}`", key)
        return None
    return Fields(node, Place.APPROVAL_FIELD if key == "approval" else Place.STEP_UP_FIELD, known, scope)


def _check_group(text: str) -> None:
    if _GROUP.fullmatch(text) is None:
        raise ValueError(f"`{shown(text)}` is no group of approvers: `group:` and its name, such as `group:soc`")
