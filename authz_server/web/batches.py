"""Several questions in one request: AuthZEN's evaluations, their defaults and their semantics."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from authz_server.content.json_strict import JsonValue
from authz_server.web.answers import WebError
from authz_server.web.evaluation_request import Evaluation, read_evaluation

MAX_EVALUATIONS: Final = 64
"""Of one request: some tens of milliseconds of one thread."""
EXECUTE_ALL: Final = "execute_all"
DENY_ON_FIRST_DENY: Final = "deny_on_first_deny"
PERMIT_ON_FIRST_PERMIT: Final = "permit_on_first_permit"
_SEMANTICS: Final = (EXECUTE_ALL, DENY_ON_FIRST_DENY, PERMIT_ON_FIRST_PERMIT)
_DEFAULTS: Final = ("subject", "action", "resource", "context")


class Questions(NamedTuple):
    """What one request asks."""

    semantic: str
    items: tuple[Evaluation | WebError, ...]
    """In their order; what is wrong with one of them concerns the others not."""

    def ends_with(self, *, decision: bool) -> bool:
        """Whether nothing further is evaluated after this decision."""
        return decision == (self.semantic == PERMIT_ON_FIRST_PERMIT) and self.semantic != EXECUTE_ALL


def read_questions(found: Mapping[str, JsonValue]) -> Questions | None:
    """Read a request for evaluations.

    Returns:
        None when it has no list of them, or an empty one: then it is one single evaluation.

    Raises:
        WebError: 400: the list or the options are malformed, or there are too many.
    """
    listed = found.get("evaluations", [])
    options = found.get("options", {})
    if not isinstance(listed, list) or not isinstance(options, dict):
        raise WebError(400, "member_invalid", "`evaluations` is a list, and `options` an object")
    semantic = options.get("evaluations_semantic", EXECUTE_ALL)
    if semantic not in _SEMANTICS:
        raise WebError(400, "semantic_unknown", f"`evaluations_semantic` is one of {', '.join(_SEMANTICS)}")
    if len(listed) > MAX_EVALUATIONS:
        raise WebError(400, "evaluations_too_many", f"one request has at most {MAX_EVALUATIONS} evaluations")
    if not listed:
        return None
    defaults = {name: found[name] for name in _DEFAULTS if name in found}
    return Questions(str(semantic), tuple(_read(item, defaults) for item in listed))


def _read(item: JsonValue, defaults: Mapping[str, JsonValue]) -> Evaluation | WebError:
    if not isinstance(item, dict):
        return WebError(400, "member_invalid", "an evaluation is an object")
    try:
        return read_evaluation({**defaults, **item})
    except WebError as error:
        return error
