"""The JSON body that an action reads: parsed once for each step, or refused."""

from authz_server.content.json_strict import is_json, parse_json
from authz_server.errors import DecodeError
from authz_server.model import BodyState
from authz_server.policy.step import Step


def read_document(step: Step) -> str:
    """Parse the body that the step's action reads into `step.document`.

    Returns:
        `""`, or a stable code why it cannot be relied on, such as `body_partial`.
    """
    if step.rpc is not None:
        step.document = step.rpc.document
        return ""
    request = step.request
    if request.body_state is not BodyState.COMPLETE:
        return f"body_{request.body_state.value}"
    if not is_json(request.headers):
        return "body_not_json"
    try:
        step.document = parse_json(request.body)
    except DecodeError as error:
        return error.code
    return ""
