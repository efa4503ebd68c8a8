"""What an approval is for."""

import pytest

from authz_server.approvals.binding import approval_id, bound_of
from authz_server.keyhash import KeyedHash
from authz_server.model import BodyState, Task
from tests.calls import JSON, body_of, tool_body
from tests.steps import KEYED, principal
from tests.unit.approvals.world import AGENT, CALLS, DPO, POLICY, challenged

TASK = Task("report", "t" * 32, "group:analysts", AGENT, "alice", 0, 2_000_000_000, parties=frozenset({"alice", AGENT}))


def name(*demands, keyed=KEYED, **changes):
    return name_of(challenged(*demands, **changes), keyed)


def name_of(step, keyed=KEYED):
    bound = bound_of(step)
    return approval_id(keyed, bound) if bound is not None else ""


def test_the_same_step_has_the_same_approval():
    assert name() == name()
    assert len(name()) == 32
    assert name(headers={"x": "y"}, source_address="10.9.9.9") == name()


@pytest.mark.parametrize(
    "changes",
    [
        {"body": b'{"rows":11}'},
        {"body": b"", "body_state": BodyState.ABSENT},
        {"query": "all=1"},
        {"path": "/export/2"},
        {"host": "other.example"},
        {"context": {"authz.service": "dwh"}},
        {"task": TASK},
        {"text": POLICY.replace("exports are looked at", "exports are checked")},
        {
            "text": POLICY.replace(
                "match: {action: export}, then: challenge, reason", "match: {action: exp*}, then: challenge, reason"
            )
        },
    ],
)
def test_any_difference_is_another_approval(changes):
    """Also another wording of the challenging rule, and a task of the caller."""
    assert name(**changes) != name()


def test_another_caller_deployment_or_task_is_another():
    step = challenged()
    assert name_of(step._replace(principal=principal(AGENT + "2"))) != name()
    assert name(keyed=KeyedHash(b"o" * 32)) != name()
    assert name(task=TASK) != name(task=TASK._replace(id="u" * 32))
    assert name(task=TASK) != name(task=TASK._replace(originator="bob"))


def test_rules_that_do_not_challenge_do_not_matter():
    """The digest is that of the challenging rules and not of the whole policy."""
    more = POLICY + "      - {name: other, then: observe}\n"
    assert name(text=more) == name()


def test_an_approval_of_the_action_holds_for_every_body():
    assert name(DPO, body=b"a") == name(DPO, body=b"b")
    assert name(DPO, body=b"", body_state=BodyState.PARTIAL) == name(DPO, body=b"a")


@pytest.mark.parametrize("state", [BodyState.PARTIAL, BodyState.UNAVAILABLE, BodyState.TOO_LARGE])
def test_what_cannot_be_bound_cannot_be_approved(state):
    assert name(body_state=state) == ""


def test_the_parties_are_everybody_in_the_chain():
    step = challenged(task=TASK)
    assert step.parties == {AGENT, "alice", "group:analysts"}
    assert step.lineage == ("group:analysts", "alice")
    assert challenged().parties == {AGENT}


def call(body, text=CALLS, headers=JSON):
    """The approval of a call of a tool."""
    return name(text=text, body=body, headers=headers, path="/mcp")


EXPORT = tool_body("export", {"rows": 9}, _meta={"progressToken": 1, "com.example/tenant": "a"})


@pytest.mark.parametrize(
    "again",
    [
        EXPORT.replace(b'"id": 1', b'"id": "another"'),
        EXPORT.replace(b'"progressToken": 1', b'"traceparent": "00-1-2-01", "progressToken": 2'),
        EXPORT.replace(b'"rows": 9', b'"rows":   9'),
    ],
)
def test_a_call_that_is_made_again_has_the_same_approval(again):
    """With a new id, as its protocol demands, and what follows one try around."""
    assert again != EXPORT
    assert call(again) == call(EXPORT)


@pytest.mark.parametrize(
    "other",
    [
        EXPORT.replace(b'"rows": 9', b'"rows": 90'),
        EXPORT.replace(b'"rows": 9', b'"rows": "9"'),
        EXPORT.replace(b'tenant": "a"', b'tenant": "b"'),
        EXPORT.replace(b'"id": 1', b'"id": 1, "more": true'),
        tool_body("export", {"rows": 9}, requestState="s"),
        body_of("tools/call", params={"name": "export", "arguments": {"rows": 9, "id": 1}}),
    ],
)
def test_another_call_is_another_approval(other):
    """Whatever else differs, beside the arguments too."""
    assert call(other) != call(EXPORT)


def test_what_only_looks_like_a_call_is_bound_as_a_whole():
    """Its `id` may be what the destination goes by."""
    one, two = body_of(id="account-1"), body_of(id="account-2")
    assert name(body=one, headers=JSON) != name(body=two, headers=JSON)
    assert call(one, headers={}) != call(two, headers={})
