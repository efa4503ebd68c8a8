"""The engine of a trial: real decisions, a clock that is told the time, and nothing of one trial in the next."""

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server.model import Outcome, Task
from authz_server.policy.compiler import compile_policy
from authz_server.trial.described import Described, encode_check
from authz_server.trial.trial import PRUNE_S, TRIAL_KEY, Trial
from tests.traces import AGENT, API, snapshot

NOW = 1_767_603_600.0
STEP = Described(
    host="crm.corp.example", path="/things/1", principal=AGENT, address="10.1.2.3", destination_principal=API
)
HOLD = """\
version: 1
actions:
  - {name: thing, match: {method: GET, path: /things}, kind: read}
  - {name: trap, match: {method: GET, path: /trap}, kind: read}
rules:
  - {name: all-may, match: {principal: "spiffe://**", action: thing}, then: allow}
  - {name: caught, match: {action: trap}, then: quarantine, contain: {principal: 15m}}
"""


def decision(trial, step):
    event, _ = trial.decide(step)
    return event.verdict.decision.value


def test_the_answer_says_what_was_decided():
    """The event and the bytes that Envoy would get."""
    event, answer = Trial(snapshot(), NOW).decide(STEP)
    assert (event.verdict.decision.value, event.verdict.rule, event.time) == ("allow", "agents-may", NOW)
    assert CheckResponse.FromString(answer).status.code == 0


def test_the_bytes_of_a_check_are_decided_alike():
    """Whoever has a check has no need to describe it."""
    event, _ = Trial(snapshot(), NOW).decide_check(encode_check(STEP, 1), STEP)
    assert event.verdict.rule == "agents-may"


def test_equal_steps_count_each_and_recover_as_time_is_told():
    """Three are allowed within ten seconds, and again after them."""
    trial = Trial(snapshot(), NOW)
    assert [decision(trial, STEP) for _ in range(4)] == ["allow", "allow", "allow", "throttle"]
    trial.now += 30
    assert decision(trial, STEP) == "allow"


def test_trials_share_nothing():
    """What one has measured the other does not know, though both decide with one snapshot."""
    found = snapshot()
    first = Trial(found, NOW)
    for _ in range(4):
        first.decide(STEP)
    assert decision(Trial(found, NOW), STEP) == "allow"


def test_what_a_destination_answered_is_known_to_the_next_step():
    """Two refusals at different places make the third step lost."""
    trial = Trial(snapshot(), NOW)
    for place in ("/things/1", "/things/2"):
        event, _ = trial.decide(STEP._replace(path=place))
        trial.now += 10
        trial.learn(event, Outcome(403, 0, failed=False))
    assert decision(trial, STEP) == "deny"


def test_what_a_step_that_was_not_allowed_expects_is_nothing():
    """So it can be told to learn without harm."""
    trial = Trial(snapshot(), NOW)
    event, _ = trial.decide(STEP._replace(principal="spiffe://corp.example/ns/x/sa/y"))
    trial.learn(event, Outcome(403, 0, failed=False))
    assert event.expected == ()


def test_a_task_is_taken_as_if_its_token_were_verified():
    """It still has to be bound to the caller and alive."""
    task = Task("report", "t1", "spiffe://corp.example/ns/ci/sa/issuer", AGENT, AGENT, 0, int(NOW) + 60)
    export = STEP._replace(path="/export")
    assert decision(Trial(snapshot(), NOW), export) == "challenge"
    assert decision(Trial(snapshot(), NOW), export._replace(task=task)) == "allow"
    for changed in (task._replace(agent="spiffe://corp.example/ns/agents/sa/a2"), task._replace(expires=int(NOW))):
        event, _ = Trial(snapshot(), NOW).decide(export._replace(task=changed))
        assert event.verdict.reason.value == "task_mismatch"


def test_an_approval_lifts_the_challenge_of_its_rule():
    """Of the rule that it names, and of no other."""
    export = STEP._replace(path="/export")
    assert decision(Trial(snapshot(), NOW), export._replace(approved=frozenset({"declared"}))) == "allow"
    assert decision(Trial(snapshot(), NOW), export._replace(approved=frozenset({"lost"}))) == "challenge"


def test_a_containment_holds_and_ends():
    """It is forgotten only after its end, however often the trial tidies up."""
    trial = Trial(compile_policy({"policy.yaml": HOLD.encode()}, TRIAL_KEY), NOW)
    step = Described(host="x.example", path="/things", principal=AGENT, address="10.1.2.3")
    assert decision(trial, step._replace(path="/trap")) == "quarantine"
    seen = []
    for _ in range(int(15 * 60 / PRUNE_S) + 2):
        trial.now += PRUNE_S
        seen.append(decision(trial, step))
    assert seen == ["quarantine"] * 14 + ["allow"] * 3


def test_a_sidecar_may_report_its_own_workload_only():
    """The asked proxy is the described destination, so a malformed one is a caller that nobody admits."""
    event, _ = Trial(snapshot(), NOW).decide(STEP._replace(destination_principal="spiffe://corp.example/../x"))
    assert event.verdict.detail == "caller_invalid"


@pytest.mark.parametrize(("services", "elsewhere"), [(("crm",), "allow"), (("crm", "billing"), "quarantine")])
def test_a_proxy_that_speaks_for_two_services_is_a_gateway(services, elsewhere):
    """One destination alone could make its evidence up, so what it reports contains the caller there only; a gateway is believed."""
    trial = Trial(compile_policy({"policy.yaml": HOLD.encode()}, TRIAL_KEY), NOW)
    step = Described(host="x.example", path="/things", principal=AGENT, address="10.1.2.3", destination_principal=API)
    for service in services:
        trial.decide(step._replace(service=service))
    assert decision(trial, step._replace(path="/trap", service=services[-1])) == "quarantine"
    other = step._replace(destination_principal="spiffe://corp.example/ns/hr/sa/api", service="hr")
    assert decision(trial, other) == elsewhere


def test_a_described_proof_holds():
    """For as many steps as are described with one; the headers of such a step are its own affair."""
    text = """version: 1
actions: [{name: read, match: {path: /v1}, kind: read}]
rules: [{name: proved, match: {principal: "spiffe://**"}, when: credential.proof == "wpt", then: allow}]
"""
    trial = Trial(compile_policy({"p.yaml": text.encode()}, TRIAL_KEY), NOW)
    step = Described(host="x.example", path="/v1", principal=AGENT, proof="wpt")
    expected = ["allow", "allow", "deny", "deny"]
    steps = [step, step, step._replace(proof="dpop"), step._replace(proof="", headers=(("dpop", "x"),))]
    assert [decision(trial, each) for each in steps] == expected
