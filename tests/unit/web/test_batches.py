"""Several questions in one request."""

import pytest

from authz_server.web.answers import WebError
from authz_server.web.batches import MAX_EVALUATIONS, read_questions
from authz_server.web.evaluation_request import Evaluation
from tests.unit.web.world import AGENT, READ


def test_items_stand_for_what_they_say_and_defaults_for_the_rest():
    subject, resource = {"type": "workload", "id": "spiffe://x/y"}, {"type": "http", "id": "https://x/y"}
    found = read_questions(
        {**READ, "context": {"a": 1}, "evaluations": [{}, {"subject": subject}, {"resource": resource}]}
    )
    assert [each.principal for each in found.items] == [AGENT, "spiffe://x/y", AGENT]
    assert [each.resource["id"] for each in found.items] == [READ["resource"]["id"]] * 2 + ["https://x/y"]
    assert found.items[2].context == {"a": 1}


def test_without_items_it_is_one_question():
    assert read_questions(READ) is None
    assert read_questions({**READ, "evaluations": []}) is None


def test_what_is_wrong_with_one_concerns_no_other():
    found = read_questions({"subject": READ["subject"], "evaluations": [{}, 1, {**READ}]})
    assert [type(each) for each in found.items] == [WebError, WebError, Evaluation]
    assert [each.reason for each in found.items[:2]] == ["member_missing", "member_invalid"]


@pytest.mark.parametrize(
    ("options", "yes", "no"),
    [
        ({}, False, False),
        ({"evaluations_semantic": "execute_all"}, False, False),
        ({"evaluations_semantic": "deny_on_first_deny"}, False, True),
        ({"evaluations_semantic": "permit_on_first_permit"}, True, False),
    ],
)
def test_when_it_ends(options, yes, no):
    found = read_questions({**READ, "evaluations": [{}], "options": options})
    assert (found.ends_with(decision=True), found.ends_with(decision=False)) == (yes, no)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"evaluations": {}}, "member_invalid"),
        ({"evaluations": [{}], "options": []}, "member_invalid"),
        ({"evaluations": [{}], "options": {"evaluations_semantic": "first"}}, "semantic_unknown"),
        ({"evaluations": [{}], "options": {"evaluations_semantic": []}}, "semantic_unknown"),
        ({"evaluations": [{}] * (MAX_EVALUATIONS + 1)}, "evaluations_too_many"),
    ],
)
def test_what_is_refused_as_a_whole(more, reason):
    with pytest.raises(WebError) as caught:
        read_questions({**READ, **more})
    assert caught.value.reason == reason
