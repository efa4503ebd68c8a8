"""Whatever bytes an operator's program sends: a response or a refusal with a code, and never anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.control.service import CallRefusedError, reason_of
from authz_server.model import Caller, CallerKind
from authz_server.proto.authz.v1 import containment_pb2 as pb
from tests.operating import ALICE, Office

CALLERS = [
    Caller(CallerKind.MTLS, ALICE),
    Caller(CallerKind.SOCKET, "unix:/s"),
    Caller(CallerKind.MTLS, "spiffe://a.b/c"),
]
RESPONSES = {"Contain": pb.ContainResponse, "Release": pb.ReleaseResponse, "List": pb.ListResponse}
TEXTS = st.text(max_size=40) | st.sampled_from([ALICE, "10.1.2.3", "::1", "0" * 32, "legacy:x", "group:oncall"])
ENTITIES = st.builds(
    lambda kind, parts: pb.Entity(type=kind, parts=parts),
    st.sampled_from(
        ["principal", "source", "credential", "task", "lineage", "instance", "pair", "destination", "", "x"]
    ),
    st.lists(TEXTS, max_size=3),
)


def answer(office, method, payload, caller):
    """The response, or the code of the refusal."""
    try:
        return RESPONSES[method].FromString(office.service.methods[method](payload, caller))
    except CallRefusedError as error:
        refused = error
    assert reason_of(refused.details) == refused.code != ""
    assert len(refused.text) <= 1024
    return refused.code


@pytest.mark.parametrize("method", RESPONSES)
@given(payload=st.binary(max_size=200), caller=st.sampled_from(CALLERS))
def test_any_bytes(method, payload, caller):
    """Nobody gets an error of the server out of it."""
    assert answer(Office(), method, payload, caller) is not None


@given(entity=ENTITIES, reason=TEXTS, seconds=st.none() | st.integers(-10, 10**9), caller=st.sampled_from(CALLERS))
def test_what_is_contained_is_listed_and_can_be_released(entity, reason, seconds, caller):
    """And a refused act changes nothing."""
    office = Office()
    request = pb.ContainRequest(entity=entity, reason=reason)
    if seconds is not None:
        request.duration.seconds = seconds
    found = answer(office, "Contain", request.SerializeToString(), caller)
    held = office.desk.listing()
    assert [act["result"] == "done" for act in office.acts] in ([isinstance(found, pb.ContainResponse)], [])
    if isinstance(found, str):
        assert not held
        return
    listed = answer(office, "List", b"", caller).contained
    assert [each.id for each in listed] == [found.contained.id]
    request = pb.ReleaseRequest(entity=listed[0].entity, reason="over")
    assert isinstance(answer(office, "Release", request.SerializeToString(), caller), pb.ReleaseResponse)
    assert not office.desk.listing()
