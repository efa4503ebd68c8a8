"""What each fact reads from a step."""

from types import MappingProxyType

import pytest

from authz_server.content.rpc import Rpc
from authz_server.model import Action
from authz_server.policy.cel import Environment
from authz_server.policy.facts import FACTS, reader_of, type_of
from authz_server.policy.step import Capture, SignalReading, Step, destination_service
from tests.steps import NOW, credential, principal, request

ACTION = Action("crm.read", "read", "discovery", "high", "catalogue-name")


def step(**changes):
    return Step(request(**changes), principal(), ACTION, {"customer": "7"}, NOW)


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        ("principal.id", "spiffe://corp.example/ns/agents/sa/a1"),
        ("principal.trust_domain", "corp.example"),
        ("principal.namespace", "agents"),
        ("principal.service_account", "a1"),
        ("principal.authenticated_by", "certificate"),
        ("source.address", "10.1.2.3"),
        ("destination.service", "crm/api"),
        ("destination.principal", "spiffe://corp.example/ns/crm/sa/api"),
        ("destination.host", "api.corp.example"),
        ("request.method", "GET"),
        ("request.path", "/v1/things"),
        ("request.query", ""),
        ("request.body_state", "absent"),
        ("request.size", 0),
        ("request.json", None),
        ("action.name", "crm.read"),
        ("action.kind", "read"),
        ("action.stage", "discovery"),
        ("action.sensitivity", "high"),
        ("grpc.service", ""),
        ("credential.kind", ""),
        ("credential.id", ""),
        ("lineage", "spiffe://corp.example/ns/agents/sa/a1"),
        ("context", {}),
        ("metadata", {}),
    ],
)
def test_each_fact(fact, expected):
    """Closed facts are always present."""
    assert FACTS[fact][1](step()) == expected


def test_facts_of_an_anonymous_step_are_empty():
    """Absent is the empty text, never an error."""
    it = Step(request(), None, ACTION, {}, NOW)
    assert [FACTS[name][1](it) for name in ("principal.id", "principal.namespace", "lineage")] == ["", "", ""]


def test_grpc_facts_come_from_the_path_of_a_grpc_request():
    """Service and method, and only for that content type."""
    it = step(path="/billing.v1.Invoices/Get", headers={"content-type": "Application/grpc+proto"})
    assert (FACTS["grpc.service"][1](it), FACTS["grpc.method"][1](it)) == ("billing.v1.Invoices", "Get")


@pytest.mark.parametrize(
    ("method", "headers", "name"),
    [
        ("POST", {"content-type": "text/plain", "te": "trailers"}, "Get"),
        ("POST", {"te": "Trailers, deflate"}, "Get"),
        ("POST", {"content-type": "text/plain"}, ""),
        ("GET", {"te": "trailers"}, ""),
    ],
)
def test_grpc_facts_of_a_call_that_hides_its_content_type(method, headers, name):
    """Servers on gRPC's C core answer it, as long as it asks for trailers."""
    it = step(path="/billing.v1.Invoices/Get", method=method, headers=headers)
    assert FACTS["grpc.method"][1](it) == name


def test_the_first_credential_is_the_credential():
    """Its kind and its keyed hash."""
    it = step(credentials=(credential("a"), credential("b")))
    assert FACTS["credential.id"][1](it) == credential("a").id


def test_the_size_is_the_declared_length_or_what_came():
    """Whole numbers only; a length that is none is not believed."""
    assert FACTS["request.size"][1](step(headers={"content-length": "12"})) == 12
    assert FACTS["request.size"][1](step(body=b"abc")) == 3
    assert FACTS["request.size"][1](step(size=70_000)) == 70_000


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"context": {"authz.service": "named"}}, "named"),
        ({}, "crm/api"),
        ({"destination_principal": "spiffe://corp.example/odd"}, "catalogue-name"),
        ({"destination_principal": "", "host": "attacker.example"}, "catalogue-name"),
    ],
)
def test_the_destination_is_never_the_host_header(changes, expected):
    """The route's name, the destination's identity, the catalogue's name: nothing that the caller chooses."""
    assert destination_service(request(**changes), ACTION) == expected


def test_words_of_keys_are_facts_and_captures():
    """The same words as in conditions; an unknown one is none."""
    assert reader_of("principal")(step()) == "spiffe://corp.example/ns/agents/sa/a1"
    assert reader_of("action")(step()) == "crm.read"
    assert reader_of("path.customer")(step()) == "7"
    assert reader_of("facts.none") is None
    assert reader_of("nonsense") is None


def test_captures_and_readings_have_defaults():
    """Absent is empty, unmeasured is zero."""
    assert Capture("other")(step()) == ""
    assert SignalReading("calls")(step()) == 0


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "bool"),
        (1, "int"),
        ("a", "string"),
        (("a", "b"), "list<string>"),
        ((1, 2), "list<int>"),
        ((), "list<string>"),
    ],
)
def test_constants_have_types(value, kind):
    """As CEL names them."""
    assert type_of(value) == kind


@pytest.mark.parametrize("name", ["request.headers", "context", "metadata", "mcp.arguments"])
def test_an_open_map_can_be_evaluated_whatever_mapping_holds_it(name):
    """A read-only view, as decoders use for what is absent, is no error of the condition."""
    empty = MappingProxyType({})
    step = Step(request(headers=empty, context=empty, metadata=empty), None, ACTION, {}, NOW)
    step.rpc = Rpc("tools/call", "t", empty, "", 1, {})
    kind, read = FACTS[name]
    expression = Environment({name: kind}).compile(f'size({name}) == 0 && !{name}[?"a"].hasValue()')
    assert expression.evaluate({name: read(step)}) is True
