"""Containment over its messages: what is asked of the desk, what is refused, and what is told."""

import grpc
import pytest

from authz_server.control.containment_service import MAX_PAGE, authenticate_operator
from authz_server.control.operators import Group, Operators, Right
from authz_server.control.service import CallRefusedError
from authz_server.model import Caller, CallerKind, Containment, Entity
from authz_server.proto.authz.v1 import containment_pb2 as pb
from tests.operating import A13, ALICE, BOB, GATEWAY, JUNIOR, NOW, NoStore, Office

SOCKET = Caller(CallerKind.SOCKET, "unix:/run/control.sock")
AGENT = "spiffe://corp.example/ns/agents/sa/a13"


def mtls(name):
    return Caller(CallerKind.MTLS, name)


def message(entity=A13):
    return pb.Entity(type=entity.type, parts=entity.parts)


@pytest.fixture
def office():
    return Office()


def contain(office, caller=mtls(ALICE), *, seconds=900, **fields):  # noqa: B008 - an immutable tuple
    request = pb.ContainRequest(**{"entity": message(), "reason": "INC-1", **fields})
    if seconds is not None:
        request.duration.seconds = seconds
    return pb.ContainResponse.FromString(office.service.methods["Contain"](request.SerializeToString(), caller))


def release(office, caller=mtls(ALICE), **fields):  # noqa: B008 - as above
    request = pb.ReleaseRequest(**{"entity": message(), "reason": "over", **fields})
    return pb.ReleaseResponse.FromString(office.service.methods["Release"](request.SerializeToString(), caller))


def listing(office, caller=mtls(JUNIOR), **fields):  # noqa: B008 - as above
    payload = pb.ListRequest(**fields).SerializeToString()
    return pb.ListResponse.FromString(office.service.methods["List"](payload, caller))


def refusal(call, *arguments, **fields):
    with pytest.raises(CallRefusedError) as refused:
        call(*arguments, **fields)
    return refused.value.status.name, refused.value.code


def test_an_operator_contains_and_releases(office):
    """Under its own name, with the rights of its groups; each act is told, whatever came of it."""
    held = contain(office, critical=True).contained
    assert (held.entity, held.reason, held.author, held.critical) == (message(), "INC-1", ALICE, True)
    assert (held.since.seconds, held.until.seconds) == (NOW, NOW + 900)
    assert office.contained.find((A13,), NOW)
    assert refusal(release, office) == ("FAILED_PRECONDITION", "second_person_needed")
    assert listing(office).contained[0].release_asked_by == ALICE
    assert len(release(office, mtls(BOB)).id) == 32
    assert not listing(office).contained
    assert [(act["act"], act["author"], act["result"]) for act in office.acts] == [
        ("contain", ALICE, "done"),
        ("release", ALICE, "second_person_needed"),
        ("release", BOB, "done"),
    ]


def test_without_a_duration_it_holds_until_it_is_released(office):
    """Also for whoever is at the socket."""
    held = contain(office, SOCKET, seconds=None).contained
    assert not held.HasField("until")
    assert held.author == "local"


def test_rights_are_those_of_the_operator(office):
    """Of each method its own; whoever is no operator sees nothing either, and is written down."""
    contain(office, mtls(JUNIOR))
    assert refusal(release, office, mtls(JUNIOR)) == ("PERMISSION_DENIED", "permission_denied")
    for call in (contain, release, listing):
        assert refusal(call, office, mtls(AGENT)) == ("PERMISSION_DENIED", "permission_denied")
        assert refusal(call, office, Caller(CallerKind.TOKEN, ALICE)) == ("PERMISSION_DENIED", "permission_denied")
    assert [(act["author"], act["result"]) for act in office.acts[1:3]] == [
        (JUNIOR, "permission_denied"),
        (AGENT, "permission_denied"),
    ]
    assert len(listing(office).contained) == 1


@pytest.mark.parametrize("right", [*Right, None])
def test_a_right_is_asked_for(office, right):
    """For services that have no desk which does it."""
    found = Operators([Group("all", (ALICE,), frozenset(Right)), Group("none", (JUNIOR,), frozenset())])
    assert authenticate_operator(found, mtls(ALICE), right).name == ALICE
    if right is None:
        assert authenticate_operator(found, mtls(JUNIOR), right).name == JUNIOR
    else:
        assert refusal(authenticate_operator, found, mtls(JUNIOR), right)[1] == "permission_denied"
    assert refusal(authenticate_operator, found, mtls(BOB), right)[1] == "permission_denied"


def test_operators_of_the_moment_count(office):
    """Whoever is taken out of its group is out with the next call."""
    contain(office)
    office.operators = Operators()
    assert refusal(release, office) == ("PERMISSION_DENIED", "permission_denied")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"entity": pb.Entity()}, "entity_invalid"),
        ({"entity": message(Entity("planet", ("x",)))}, "entity_invalid"),
        ({"entity": message(Entity("source", ("10.0.0.0/8",)))}, "entity_invalid"),
        ({"reason": ""}, "reason_missing"),
        ({"reason": "  "}, "reason_missing"),
        ({"reason": "a\nb"}, "reason_invalid"),
        ({"reason": "x" * 513}, "reason_too_long"),
        ({"seconds": 0}, "duration_invalid"),
        ({"seconds": -1}, "duration_invalid"),
        ({"seconds": 10**10}, "duration_too_long"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(office, fields, code):
    """And told, since somebody tried."""
    assert refusal(contain, office, **fields) == ("INVALID_ARGUMENT", code)
    assert office.acts[0]["result"] == code
    assert not office.desk.listing()


def test_a_fraction_of_a_second_is_no_duration(office):
    """Records hold whole ones."""
    request = pb.ContainRequest(entity=message(), reason="x")
    request.duration.nanos = 5
    with pytest.raises(CallRefusedError, match="whole seconds"):
        office.service.methods["Contain"](request.SerializeToString(), SOCKET)


@pytest.mark.parametrize("method", ["Contain", "Release", "List"])
def test_a_malformed_message_is_refused(office, method):
    """Not an error of the server."""
    with pytest.raises(CallRefusedError) as refused:
        office.service.methods[method](b"\xff\xff\xff", SOCKET)
    assert (refused.value.status, refused.value.code) == (grpc.StatusCode.INVALID_ARGUMENT, "message_invalid")


def test_what_the_desk_refuses_is_a_status(office):
    """By its code."""
    assert refusal(contain, office, entity=message(GATEWAY)) == ("FAILED_PRECONDITION", "protected")
    assert contain(office, entity=message(GATEWAY), force=True).contained.entity == message(GATEWAY)
    assert refusal(release, office) == ("NOT_FOUND", "not_contained")


def test_without_the_store_a_containment_is_enforced_here():
    """And the answer says so; a release is not done, because the other replicas would go on."""
    office = Office(NoStore())
    assert refusal(contain, office) == ("UNAVAILABLE", "stored_later")
    assert office.contained.find((A13,), NOW)
    assert refusal(release, office) == ("UNAVAILABLE", "store_unavailable")
    assert office.contained.find((A13,), NOW)


def test_what_nobody_has_signed_yet_is_listed(office):
    """A rule contained it at this replica."""
    office.contained.add(Containment(A13, NOW + 5, "too-fast"))
    (held,) = listing(office).contained
    assert (held.id, held.rule, held.author, held.HasField("since")) == ("", "too-fast", "rules", False)


def test_pages_hold_together_while_others_come_and_go(office):
    """Each entity that is contained all the time is seen once."""
    addresses = [f"10.0.{number // 250}.{number % 250}" for number in range(300)]
    for address in addresses:
        contain(office, entity=message(Entity("source", (address,))))
    assert len(listing(office, page_size=MAX_PAGE + 5).contained) == MAX_PAGE
    seen, token = [], ""
    for _ in range(100):
        page = listing(office, page_size=70, page_token=token)
        seen += [held.entity.parts[0] for held in page.contained]
        token = page.next_page_token
        if not token:
            break
        release(office, entity=message(Entity("source", (seen[-1],))))
    assert sorted(seen) == sorted(addresses)


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"page_token": "x"}, "page_token_invalid"), ({"page_size": -1}, "page_size_invalid")],
    ids=str,
)
def test_a_page_is_asked_for_properly(office, fields, code):
    """Tokens are the server's."""
    assert refusal(listing, office, **fields) == ("INVALID_ARGUMENT", code)
