"""Refusals in the form of JSON-RPC."""

import json

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server.content.rpc import MAX_ID
from authz_server.envoy.encode import DENIED_503, Encoder
from authz_server.envoy.rpc_answers import HEADER_MISMATCH, MAX_BODY, asked_call
from authz_server.model import BodyState
from authz_server.verdict import REASONS, Decision, Demand, Reason, Verdict
from tests.calls import body_of, post, tool_body

DENY = Verdict(Decision.DENY, Reason.DENIED, "secret-rule", detail="internal_detail", action="files.delete")
ID = "0" * 32
JSON = {"content-type": "application/json"}
RESERVED = range(-32768, -31999)


def answered(verdict, request, encoder=None):
    """Status, headers and body of the refusal."""
    message = CheckResponse.FromString((encoder or Encoder()).encode(verdict, ID, "digest", request))
    denied = message.denied_response
    return denied.status.code, {each.header.key: each.header.value for each in denied.headers}, denied.body


def error_of(verdict, request):
    """The error of an answer in JSON-RPC, whose other members are right."""
    _, headers, body = answered(verdict, request)
    assert headers["content-type"] == "application/json"
    found = json.loads(body)
    assert body.isascii()
    assert (found.keys(), found["jsonrpc"]) == ({"jsonrpc", "id", "error"}, "2.0")
    assert found["error"].keys() == {"code", "message", "data"}
    return found["error"]


@pytest.mark.parametrize("identifier", [0, -7, 2**63 - 1, "", "a-1", '\u00e9\U0001f600"\\\n\x7f', "x" * MAX_ID])
def test_the_id_comes_back_as_it_was(identifier):
    """In whatever way it has to be written."""
    body = answered(DENY, post(body_of(id=identifier)))[2]
    assert body.isascii()
    found = json.loads(body)["id"]
    assert (found, type(found)) == (identifier, type(identifier))


def test_the_problem_document_goes_along():
    """Its detail is the message, and nothing internal is in it."""
    verdict = DENY._replace(public_reason="Agents delete nothing.", remedy='Ask "them".')
    document = json.loads(answered(verdict, None)[2])
    error = error_of(verdict, post(tool_body("wipe")))
    assert error["data"] == document
    assert error["message"] == "Agents delete nothing."
    assert error["data"]["decision_id"] == ID
    assert "secret" not in json.dumps(error)
    assert "internal" not in json.dumps(error)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.OK])
def test_status_and_headers_are_those_of_any_refusal(reason):
    """The code is the status, outside of what JSON-RPC and the protocols on it keep for themselves."""
    verdict = Verdict(Decision.THROTTLE if reason is Reason.THROTTLED else Decision.DENY, reason, retry_after=7)
    status, headers, _ = answered(verdict, post(tool_body("wipe")))
    plain_status, plain_headers, _ = answered(verdict, None)
    assert status == plain_status == REASONS[reason].http
    challenge = headers.pop("www-authenticate", "")
    assert challenge == plain_headers.pop("www-authenticate", challenge)
    assert headers == plain_headers | {"content-type": "application/json"}
    code = error_of(verdict, post(tool_body("wipe")))["code"]
    assert code == status
    assert code not in RESERVED


def test_what_the_headers_contradict_has_the_code_of_the_protocol():
    """MCP says which one; the body alone is sound."""
    verdict = Verdict(Decision.DENY, Reason.DECODE_ERROR, detail="mcp_header_mismatch")
    request = post(tool_body("wipe"), headers=JSON | {"mcp-method": "tools/list"})
    assert answered(verdict, request)[0] == 400
    assert error_of(verdict, request)["code"] == HEADER_MISMATCH


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (Verdict(Decision.DENY, Reason.TASK_MISMATCH, detail="task_ended"), True),
        (Verdict(Decision.DENY, Reason.NO_MATCH, task="weekly"), True),
        (Verdict(Decision.DENY, Reason.NO_MATCH), False),
        (DENY._replace(task="weekly"), False),
        (Verdict(Decision.QUARANTINE, Reason.CONTAINED), False),
    ],
)
def test_a_wider_task_is_asked_for_where_it_would_help(verdict, told):
    """And by whoever understands it: the same refusal of a plain request has no such header."""
    _, headers, _ = answered(verdict, post(tool_body("wipe")))
    assert headers.get("www-authenticate", "").startswith('Bearer error="insufficient_scope"') is told
    assert "www-authenticate" not in answered(verdict, None)[1]


def test_an_authentication_that_is_asked_for_stays_a_401():
    """With the challenge that says which one."""
    verdict = Verdict(Decision.CHALLENGE, Reason.CHALLENGE, demands=(Demand("r", acr="mfa", steps_up=True),))
    status, headers, body = answered(verdict, post(tool_body("wipe")))
    assert (status, json.loads(body)["error"]["code"]) == (401, 401)
    assert 'acr_values="mfa"' in headers["www-authenticate"]


def test_an_approval_says_what_to_wait_for():
    """Where a client of the protocol finds it."""
    demand = Demand("r", ("group:soc",), "action", 1, 60)
    verdict = Verdict(Decision.CHALLENGE, Reason.CHALLENGE, demands=(demand,), approval="a" * 32)
    approval = error_of(verdict, post(tool_body("wipe")))["data"]["approval"]
    assert approval == {"id": "a" * 32, "by": ["group:soc"], "expires_in": 60}


@pytest.mark.parametrize(
    "request_",
    [
        None,
        post(b""),
        post(b'{"title": "no call"}'),
        post(b'{"title": "jsonrpc"}'),
        post(body_of(id=None)),
        post(body_of(id=True)),
        post(body_of(id=1.5)),
        post(body_of(id=["a"])),
        post(body_of(id=2**63)),
        post(body_of(id="x" * (MAX_ID + 1))),
        post(body_of(jsonrpc="1.0")),
        post(b"[" + tool_body("wipe") + b"]", headers=JSON | {"mcp-protocol-version": "2025-06-18"}),
        post(b"[" + tool_body("wipe") + b",1]"),
        post(b"[" + body_of(id=None) + b"]"),
        post(b"[]"),
        post(tool_body("wipe")[:-1]),
        post(tool_body("wipe") + b"{}"),
        post(b'{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}'),
        post(b'{"jsonrpc":"2.0","id":1,"ID":2,"method":"x"}'),
        post(b'{"jsonrpc":"2.0","id":"\\ud800","method":"x"}'),
        post(b'{"jsonrpc":"2.0","id":1,"result":{}}'),
        post(b'{"jsonrpc":"2.0","id":1,"method":"x","result":{}}'),
        post(tool_body("wipe", {"text": "x" * MAX_BODY})),
        post(tool_body("wipe"), headers={"content-type": "text/plain"}),
        post(tool_body("wipe"), headers=JSON | {"content-encoding": "gzip"}),
        post(tool_body("wipe"))._replace(body_state=BodyState.PARTIAL),
        post(tool_body("wipe"))._replace(method="PUT"),
    ],
)
def test_everything_else_gets_the_problem_document(request_):
    """No call, a notification, a response, an id that is none, and what two readers may read in two ways."""
    assert request_ is None or asked_call(request_) is None
    _, headers, body = answered(DENY, request_)
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["reason"] == "denied"


def test_grpc_callers_are_answered_as_ever():
    """Whatever their bytes look like."""
    grpc = {"content-type": "application/grpc"}
    assert answered(DENY, post(tool_body("wipe"), headers=grpc)) == answered(DENY, post(b"", headers=grpc))


def test_the_form_tells_nothing_of_the_caller():
    """Whether it is contained or denied by a rule, all but the decision's id is the same."""
    call = post(tool_body("wipe"))
    contained = Verdict(Decision.QUARANTINE, Reason.CONTAINED, detail="contained")
    assert answered(contained, call) == answered(DENY, call)


def test_no_answer_to_a_call_is_remembered():
    """Ids are the client's, so they would fill the memory; what is answered otherwise stays as it was."""
    encoder = Encoder()
    for number in range(50):
        assert json.loads(answered(DENY, post(body_of(id=number)), encoder)[2])["id"] == number
    assert encoder._memo == {}
    plain = answered(DENY, None, encoder)
    assert json.loads(answered(DENY, post(body_of(id="x")), encoder)[2])["id"] == "x"
    assert answered(DENY, None, encoder) == plain == answered(DENY, None)


def test_an_id_cannot_imitate_the_decisions_place():
    """Not even one that is made of the byte that marks it."""
    call = post(body_of(id="\x7f" * 32))
    assert Encoder().encode(DENY, ID, "digest", call) != DENIED_503
    assert json.loads(answered(DENY, call)[2])["id"] == "\x7f" * 32


def test_in_shadow_mode_the_call_passes():
    """No answer is written to it."""
    message = CheckResponse.FromString(
        Encoder().encode(DENY._replace(shadow=True), ID, "digest", post(tool_body("wipe")))
    )
    assert message.HasField("ok_response")
