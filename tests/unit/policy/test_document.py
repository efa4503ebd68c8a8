"""The JSON body of a step."""

import pytest

from authz_server.content.rpc import Rpc
from authz_server.model import Action, BodyState
from authz_server.policy.document import read_document
from authz_server.policy.step import Step
from tests.steps import NOW, principal, request

JSON = {"content-type": "application/json"}


def step(body=b"", state=BodyState.COMPLETE, headers=JSON):
    req = request("PUT", body=body, body_state=state, headers=headers)
    return Step(req, principal(), Action("write", "write", "", "medium", "", "json"), {}, NOW)


def test_a_whole_document_is_parsed_once():
    """Conditions read it as `request.json`."""
    it = step(b'{"a": [1, null]}')
    assert read_document(it) == ""
    assert it.document == {"a": [1, None]}


@pytest.mark.parametrize("state", [state for state in BodyState if state is not BodyState.COMPLETE])
def test_a_body_that_is_not_all_there_is_refused(state):
    """Half of it says something else."""
    assert read_document(step(b'{"a": 1}', state)) == f"body_{state.value}"


@pytest.mark.parametrize(
    ("body", "headers"), [(b"{}", {}), (b"{}", {"content-type": "text/json+x"}), (b'{"a":1,"a":2}', JSON), (b"{", JSON)]
)
def test_what_is_no_strict_json_is_refused(body, headers):
    """Nothing of it is read."""
    it = step(body, headers=headers)
    assert read_document(it)
    assert it.document is None


def test_a_call_that_the_catalogue_read_is_not_parsed_again():
    """Its document is the call."""
    it = step(b"not looked at")
    it.rpc = Rpc("tools/call", "t", {}, "", 1, {"method": "tools/call"})
    assert read_document(it) == ""
    assert it.document == {"method": "tools/call"}
