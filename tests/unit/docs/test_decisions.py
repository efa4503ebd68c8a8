"""The printed answers are what callers read."""

import json

from authz_server.envoy.answers import Version, deny_message
from authz_server.envoy.encode import EncodeSettings
from authz_server.verdict import Decision, Demand, Reason, Verdict
from tests.manual.markdown import blocks

REFUSED, CHALLENGED = map(json.loads, blocks("decisions.md", "json"))


def answered(verdict, printed):
    return deny_message(verdict, printed["decision_id"], Version("d"), EncodeSettings(), grpc=False).denied_response


def test_the_printed_refusal_is_what_a_caller_reads():
    """Member by member."""
    verdict = Verdict(Decision.DENY, Reason.DENIED, public_reason=REFUSED["detail"], remedy=REFUSED["remedy"], rule="r")
    answer = answered(verdict, REFUSED)
    assert (answer.status.code, json.loads(answer.body)) == (REFUSED["status"], REFUSED)


def challenge(**demand):
    return Verdict(Decision.CHALLENGE, Reason.CHALLENGE, rule="r", demands=(Demand("r", **demand),))


def test_the_printed_challenge_is_what_a_caller_reads():
    """One for an approval."""
    answer = answered(challenge(approvers=("group:data-owners",), binds="arguments", uses=1, expires_s=600), CHALLENGED)
    assert (answer.status.code, json.loads(answer.body)) == (CHALLENGED["status"], CHALLENGED)


def test_the_printed_header_is_what_a_caller_gets():
    """One for an authentication."""
    (printed,) = blocks("decisions.md", "text")
    answer = answered(challenge(acr="mfa", max_age_s=300, steps_up=True), CHALLENGED)
    headers = {option.header.key: option.header.value for option in answer.headers}
    assert (answer.status.code, f"WWW-Authenticate: {headers['www-authenticate']}\n") == (401, printed)
