"""The printed answers are what callers read."""

import json
import re

from authz_server.envoy.answers import Version, deny_message
from authz_server.envoy.encode import EncodeSettings
from authz_server.verdict import Decision, Demand, Reason, Verdict
from tests.manual.markdown import blocks, read

REFUSED, CHALLENGED, CALLED = map(json.loads, blocks("decisions.md", "json"))


def answered(verdict, printed, call=None):
    settings = EncodeSettings()
    return deny_message(verdict, printed["decision_id"], Version("d"), settings, grpc=False, call=call).denied_response


def test_the_printed_refusal_is_what_a_caller_reads():
    """Member by member."""
    verdict = Verdict(Decision.DENY, Reason.DENIED, public_reason=REFUSED["detail"], remedy=REFUSED["remedy"], rule="r")
    answer = answered(verdict, REFUSED)
    assert (answer.status.code, json.loads(answer.body)) == (REFUSED["status"], REFUSED)


def challenge(**demand):
    return Verdict(Decision.CHALLENGE, Reason.CHALLENGE, rule="r", demands=(Demand("r", **demand),))


def test_the_printed_challenge_is_what_a_caller_reads():
    """One for an approval."""
    asked = challenge(approvers=("group:data-owners",), binds="arguments", uses=1, expires_s=600)
    answer = answered(asked._replace(approval=CHALLENGED["approval"]["id"]), CHALLENGED)
    assert (answer.status.code, json.loads(answer.body)) == (CHALLENGED["status"], CHALLENGED)


def test_the_printed_header_is_what_a_caller_gets():
    """One for an authentication."""
    (printed,) = blocks("decisions.md", "text")
    answer = answered(challenge(acr="mfa", max_age_s=300, steps_up=True), CHALLENGED)
    headers = {option.header.key: option.header.value for option in answer.headers}
    assert (answer.status.code, f"WWW-Authenticate: {headers['www-authenticate']}\n") == (401, printed)


def test_the_printed_error_is_what_a_client_of_json_rpc_reads():
    """The problem document is its data."""
    printed = CALLED["error"]["data"]
    answer = answered(Verdict(Decision.DENY, Reason.DENIED, rule="r"), printed, call=CALLED["id"])
    assert (answer.status.code, json.loads(answer.body)) == (printed["status"], CALLED)


def test_the_printed_challenge_for_a_task_is_what_a_client_of_json_rpc_gets():
    """Beside a token that does not hold, and beside one that does not reach so far."""
    printed = re.search(r"`WWW-Authenticate: (Bearer error=\"insufficient_scope\")`", read("decisions.md"))[1]
    for verdict in (Verdict(Decision.DENY, Reason.TASK_MISMATCH), Verdict(Decision.DENY, Reason.NO_MATCH, task="t")):
        answer = answered(verdict, CALLED["error"]["data"], call=7)
        headers = {option.header.key: option.header.value for option in answer.headers}
        assert headers["www-authenticate"].startswith(printed)
