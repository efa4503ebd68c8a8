"""authz_server/content/body.py."""

import pytest

from authz_server.content.body import require_json_body
from authz_server.errors import DecodeError
from authz_server.model import BodyState
from tests.calls import JSON, post


def _refusal(**fields) -> str:
    try:
        require_json_body(post(**fields))
    except DecodeError as error:
        return error.code
    return ""


def test_a_whole_body_of_json_goes_on():
    """Whatever is in it."""
    assert _refusal(body=b"{") == ""


@pytest.mark.parametrize("state", [state for state in BodyState if state is not BodyState.COMPLETE])
def test_a_body_that_is_not_there_whole_is_refused_by_its_state(state):
    """Also when its type is right."""
    assert _refusal(body=b"{}", body_state=state) == f"body_{state.value}"


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-type": "text/plain"}, {"content-type": "application/grpc"}, {**JSON, "content-encoding": "gzip"}],
)
def test_what_is_not_json_by_its_headers_is_refused(headers):
    """A server may read it as JSON all the same."""
    assert _refusal(body=b"{}", headers=headers) == "body_not_json"
