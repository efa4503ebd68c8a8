"""Requests of those who hold no signing key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_server.containment.inbox import MAX_POSTING, Inbox, Request, open_request, seal_request
from authz_server.containment.seal import Box, SealError
from authz_server.errors import StateUnavailableError
from authz_server.model import Containment, Entity
from authz_server.state.names import INBOX
from tests.servers import Server
from tests.unit.containment.fleet import ALICE, BOB, KEYED, NOW, STRANGER, Clock, Lossy

BOX = Box(KEYED)
REQUEST = Request("data-1", NOW, Containment(ALICE, NOW + 60, "burst"))


def test_comes_back() -> None:
    """What is asked is read as it was asked, and nothing of it is in clear."""
    sealed = seal_request(BOX, REQUEST)
    assert open_request(BOX, sealed) == REQUEST
    assert b"alice" not in sealed


@given(st.binary(max_size=300))
def test_nonsense_is_refused(text: bytes) -> None:
    """Whatever is sealed, only a request is one."""
    with pytest.raises(SealError):
        open_request(BOX, BOX.close(b"inbox", text))


@pytest.mark.parametrize(
    "text",
    [b"{}", b"[" * 5000, b'{"v":1}', b"9" * 5000, b'{"at":1,"author":"a","entity":["principal"],"rule":"r","until":2,"v":1}',
     b'{"at":1,"author":"a","entity":["principal","x"],"rule":5,"until":2,"v":1}', b'{"at":1.5,"author":"a","entity":["principal","x"],"rule":"r","until":2,"v":1}',
     b'{"at":1,"author":"a","entity":["planet","x"],"rule":"r","until":2,"v":1}', b'{"at":-1,"author":"a","entity":["principal","x"],"rule":"r","until":2,"v":1}'],
)  # fmt: skip
def test_shapes(text: bytes) -> None:
    """A wrong member is a refusal."""
    with pytest.raises(SealError, match="malformed"):
        open_request(BOX, BOX.close(b"inbox", text))


def test_stranger_is_refused() -> None:
    """A request of another deployment does not open, and a record is no request."""
    for sealed in (seal_request(Box(STRANGER), REQUEST), BOX.close(b"containment", b"{}")):
        with pytest.raises(SealError, match="forged"):
            open_request(BOX, sealed)


def test_repeats_with_the_time_of_the_first_try(lossy: Lossy, server: Server, clock: Clock) -> None:
    """What could not be posted is asked again as of when it was contained: a release since then counts."""
    inbox = Inbox(lossy, KEYED, "data-1", clock=clock)
    lossy.down = True
    with pytest.raises(StateUnavailableError):
        inbox.post(REQUEST.containment)
    clock.advance(30)
    lossy.down = False
    inbox.post(REQUEST.containment)
    with server.client() as client:
        ((_, fields),) = client.xrange(INBOX)
    assert open_request(BOX, fields[b"ask"]) == REQUEST


def test_what_has_ended_or_cannot_be_said(lossy: Lossy, server: Server, clock: Clock) -> None:
    """Neither is posted; the latter is counted."""
    inbox = Inbox(lossy, KEYED, "data-1", clock=clock)
    inbox.post(Containment(BOB, NOW, "r"))
    inbox.post(Containment(Entity("task", ("x" * 20_000,)), NOW + 60, "r"))
    assert inbox.unposted == 1
    with server.client() as client:
        assert client.xlen(INBOX) == 0


def test_remembers_a_bounded_number(lossy: Lossy, clock: Clock) -> None:
    """A long outage does not fill the memory."""
    inbox = Inbox(lossy, KEYED, "data-1", clock=clock)
    lossy.down = True
    for n in range(MAX_POSTING + 10):
        with pytest.raises(StateUnavailableError):
            inbox.post(Containment(Entity("task", (str(n),)), NOW + 60, "r"))
    assert len(inbox._posting) == MAX_POSTING
