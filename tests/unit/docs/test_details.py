"""The tables of detail codes are complete: everything that the code writes is explained, and nothing else."""

import ast

from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server.engine.several import MIXED, ORDERED, REFUSED
from authz_server.envoy import paths as envoy_paths
from authz_server.envoy import shapes
from authz_server.envoy.encode import DENIED_503
from authz_server.model import TASK_ENDED, BodyState, Call, Caller, CallerKind
from authz_server.policy.catalogue import UNCLASSIFIED_CODES
from authz_server.state import guard
from authz_server.task import binding
from tests.harness import Bench
from tests.manual.markdown import blocks, codes
from tests.manual.source import given, keywords, returned, texts, trees

MALFORMED = "Details of malformed requests"
BODY_CODES = {f"body_{state.value}" for state in BodyState if state is not BodyState.COMPLETE}


def test_the_details_of_malformed_requests_are_complete():
    """Every code of a DecodeError and of a body that cannot be relied on."""
    literal, indirect = given("DecodeError", "envoy", "content", "policy/request_test.py")
    # Three places look their code up; a fourth one has to be added here together with its table.
    assert indirect == {
        ("paths.py", "code"),
        ("shapes.py", "_OVERRIDES[folded]"),
        ("body.py", "f'body_{request.body_state.value}'"),
    }
    looked_up = {envoy_paths._refusal(octet) for octet in range(256)} - {""} | set(shapes._OVERRIDES.values())
    bodies = BODY_CODES | {code for code in returned("pdp.py") if code.startswith("body_")}
    assert codes("decisions.md", "Code", MALFORMED) == literal | looked_up | bodies


def test_the_details_of_identities_are_complete():
    """Every reason of an Invalid, and the absence of an identity."""
    literal, indirect = given("Invalid", "identity")
    assert indirect == {
        ("forwarded.py", "error.code"),
        ("forwarded.py", "found"),
        ("leaf.py", "reason"),
        ("peer.py", "f'{authenticated_by}_not_spiffe'"),
        ("peer.py", "f'{authenticated_by}_untrusted_domain'"),
    }
    named = {f"{by}_{what}" for by in ("principal", "xfcc") for what in ("not_spiffe", "untrusted_domain")}
    header, others = given("XfccError", "identity")
    assert not others
    expected = literal | named | header | returned("identity/leaf.py", "identity/xfcc.py") | {"identity_absent"}
    assert codes("decisions.md", "Code", "Details of identities") == expected


def test_the_details_of_the_asking_proxy_are_complete():
    """Whatever `check_proxy` and `check_destination` refuse."""
    assert codes("decisions.md", "Code", "Details of the asking proxy") == returned("identity/caller.py")


def test_the_details_of_the_catalogue_are_complete():
    """Whatever `classify` refuses for want of an entry and the decoder has not refused before."""
    decoded = codes("decisions.md", "Code", MALFORMED)
    assert codes("decisions.md", "Code", "Details of the catalogue") == UNCLASSIFIED_CODES - decoded


def test_the_details_of_tasks_are_complete():
    """Whatever keeps a genuine token from being shown, and a verified task from holding."""
    expected = returned("policy/tasks.py", "task/binding.py") | {binding.ANOTHER, TASK_ENDED}
    assert codes("decisions.md", "Code", "Details of tasks") == expected


def test_the_other_details_are_complete():
    """Every `detail` that decision point, engine and encoder write by themselves."""
    written = keywords("detail", "pdp.py", "combine.py", "engine", "envoy/answers.py")
    concluded = {
        node.elts[2].value
        for _, node in trees("combine.py")
        if isinstance(node, ast.Tuple) and len(node.elts) == 3 and isinstance(node.elts[2], ast.Constant)
    }
    failed, _ = given("Outcome", "policy/evaluate.py", at=1)
    unasked = {
        f"body_{state.value}" for state in BodyState if state not in {BodyState.COMPLETE, BodyState.ABSENT}
    }  # what `_cannot_be_asked` refuses
    expected = written | concluded | failed | unasked | {guard.NEVER, guard.RATE, guard.SHARE, MIXED, ORDERED, REFUSED}
    assert codes("decisions.md", "Code", "Other details") == expected - {"identity_absent", TASK_ENDED, ""}


def test_the_records_of_acts_are_complete():
    """Each event that somebody writes into the decision log, and the one of alerts."""
    events = codes("decisions.md", "Event", "Records of acts")
    assert events | {"unchecked_request"} == _events()


def _events():
    found = set()
    for _, node in trees("containment", "taskbook", "approvals", "control"):
        if isinstance(node, ast.Dict):
            members = zip(node.keys, node.values, strict=True)
            found |= {value.value for key, value in members if _is(key, "event") and isinstance(value, ast.Constant)}
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "self._tell"
            and isinstance(node.args[0], ast.Constant)
        ):
            found.add(node.args[0].value)
    return found


def _is(node, text):
    return isinstance(node, ast.Constant) and node.value == text


def test_the_details_of_the_last_resort_are_documented():
    """The answer that is sent when no other can be built."""
    fields = CheckResponse.FromString(DENIED_503).dynamic_metadata.fields
    assert fields["detail"].string_value in codes("decisions.md", "Code", "Other details")
    assert fields["reason"].string_value in codes("decisions.md", "Code", "Reason codes")


def test_an_unreadable_check_is_answered_as_documented():
    """With the detail that the table explains."""
    bench = Bench(blocks("policy.md", "yaml")[0])
    bench.engine.decide([Call(b"\xff", Caller(CallerKind.SOCKET, "unix"), None)])
    assert bench.events[-1].verdict.detail == "message_malformed"


def test_conditional_texts_are_both_found():
    """What the other tests rest on."""
    assert texts(ast.parse("'a' if x else b", mode="eval").body) == {"a", "=b"}
