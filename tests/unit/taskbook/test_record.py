"""Records of tasks: what is written is read alike, and anything else is refused."""

import json

import pytest

from authz_server.errors import DecodeError
from authz_server.taskbook.record import (
    END_ROOM,
    MAX_NAME,
    MAX_RECORD,
    Member,
    TaskRecord,
    decode_task,
    encode_task,
    fits,
)

TASK = TaskRecord(
    id="0123456789abcdef" * 2,
    template="report",
    issuer="group:analysts",
    opened_by="spiffe://corp.example/ns/o/sa/orchestrator",
    originator="alice@corp.example",
    members=(
        Member("spiffe://corp.example/ns/agents/sa/a", 0),
        Member("spiffe://corp.example/ns/agents/sa/b", 1, "spiffe://corp.example/ns/agents/sa/a"),
    ),
    actions=("crm.read*",),
    steps=40,
    purpose="weekly report",
    context=(("ticket", "T-1"),),
    opened=1_790_000_000.5,
    deadline=1_790_003_600.0,
    idle_s=600,
    generation=3,
    touched=1_790_000_300.0,
)


def test_a_record_is_read_as_it_was_written():
    ended = TASK._replace(ended=1_790_000_400.0, ended_by="authz-server", ended_reason="idle")
    for task in (TASK, ended, TASK._replace(actions=(), context=(), steps=0, purpose="")):
        assert decode_task(encode_task(task)) == task


def test_what_fits_is_still_read_when_it_has_ended():
    room = MAX_RECORD - END_ROOM - len(encode_task(TASK))
    task = TASK._replace(purpose=TASK.purpose + "x" * room)
    assert fits(task)
    named = {"ended_by": "s" * MAX_NAME, "ended_reason": "\U0001f4c8" * 128}
    ended = task._replace(generation=1024, touched=1_790_000_399.123456, ended=1_790_000_400.123456, **named)
    assert len(encode_task(ended)) <= MAX_RECORD
    assert not fits(task._replace(purpose=task.purpose + "x"))
    assert not fits(TASK._replace(members=TASK.members * 5))


def test_everybody_who_opened_a_task_or_works_in_it_has_a_part():
    assert TASK.parties == {TASK.issuer, TASK.opened_by, TASK.originator, *(member.agent for member in TASK.members)}


def test_a_record_knows_its_members():
    assert TASK.member("spiffe://corp.example/ns/agents/sa/b").depth == 1
    assert TASK.member("spiffe://corp.example/ns/agents/sa/c") is None


def test_a_chain_is_that_of_the_hands_it_went_through():
    """Two agents at the same depth are in each other's chain no more than strangers."""
    first, second = TASK.members
    sibling = Member("spiffe://corp.example/ns/agents/sa/c", 1, first.agent)
    third = Member("spiffe://corp.example/ns/agents/sa/d", 2, sibling.agent)
    task = TASK._replace(members=(first, second, sibling, third))
    assert task.chain(first) == (first.agent,)
    assert task.chain(third) == (first.agent, sibling.agent, third.agent)
    assert task.chain(Member("x", 1, "unknown")) == ("x",)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "0" * 31},
        {"id": "0" * 32 + "\n"},
        {"id": 7},
        {"members": []},
        {"members": [["a", 0, ""]] * 10},
        {"members": [["a"]]},
        {"members": [["a", -1, ""]]},
        {"members": [["a", True, ""]]},
        {"members": [["a", 0, None]]},
        {"actions": ["a"] * 65},
        {"actions": "crm.*"},
        {"steps": 1.5},
        {"steps": -1},
        {"context": [["a", "b"]] * 17},
        {"context": {"a": "b"}},
        {"purpose": "x" * 513},
        {"opened": "now"},
        {"deadline": -1},
        {"deadline": 1e300},
        {"more": 1},
        {"template": None},
    ],
)
def test_what_is_no_record_is_refused(change):
    plain = json.loads(encode_task(TASK)) | change
    with pytest.raises(DecodeError, match="task_record"):
        decode_task(json.dumps(plain).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"{" * 5000, b" " * (MAX_RECORD + 1), b"\xff"])
def test_what_is_no_json_is_refused(data):
    with pytest.raises(DecodeError, match="task_record"):
        decode_task(data)


def test_a_member_twice_is_refused():
    with pytest.raises(DecodeError):
        decode_task(encode_task(TASK).replace(b'"steps":40', b'"steps":40,"steps":41'))
