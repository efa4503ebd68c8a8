"""Watching a snapshot: it decides as before, and tells what its rules were asked."""

from authz_server.trial.described import Described
from authz_server.trial.trial import Trial
from authz_server.trial.watch import Watch
from tests.tried import AGENT, snapshot

STEP = Described(host="crm.corp.example", path="/v1/customers/1", principal=AGENT, address="10.0.0.1")


def test_watching_changes_nothing():
    """The same verdicts, readings and bytes, step by step."""
    policy = snapshot()
    plain, watched = Trial(policy, 1e9), Trial(Watch(policy).snapshot, 1e9)
    for number in range(12):
        step = STEP._replace(path=f"/v1/customers/{number % 4}")
        one, two = plain.decide(step), watched.decide(step)
        assert one[0].verdict == two[0].verdict
        assert one[1] == two[1]


def test_what_was_seen_is_told_once():
    """The step with its readings, the candidates that were asked, and what they found."""
    watch = Watch(snapshot())
    Trial(watch.snapshot, 1e9).decide(STEP)
    seen = watch.take()
    assert watch.take() is None
    assert seen.step.readings["calls"] == 1
    assert {rule.name for rule in seen.asked} == {
        "agents-read",
        "too-many",
        "too-fast",
        "failing",
        "shared",
        "no-delete",
    }
    assert [outcome.rule.name for part in seen.parts for outcome in part.enforced] == ["agents-read"]


def test_a_step_that_is_refused_before_any_rule():
    """Nothing is seen of it, and nothing of the step before."""
    watch = Watch(snapshot())
    trial = Trial(watch.snapshot, 1e9)
    trial.decide(STEP)
    watch.take()
    trial.decide(STEP._replace(principal="CN=x"))
    assert watch.take() is None


def test_rules_that_were_not_asked_any_more():
    """Within an envelope no rule that reads signals is asked."""
    policy = """
    version: 1
    actions: [{name: get, match: {method: GET}, kind: read}]
    signals: {calls: {count: steps, per: [principal], window: 10s}}
    rules:
      - {name: some, match: {principal: "spiffe://**", action: get}, when: signals.calls < 5, then: allow}
      - {name: none, match: {action.kind: delete}, then: deny}
    envelopes: [{name: fast, match: {principal: "spiffe://**", action: get}, rate: 1/s}]
    """
    watch = Watch(snapshot(policy))
    trial = Trial(watch.snapshot, 1e9)
    assert trial.decide(STEP)[0].verdict.rule == "envelope:fast"
    assert watch.take().asked == ()
    trial.decide(STEP)
    assert [rule.name for rule in watch.take().asked] == ["some"]


def test_given_readings_take_the_place_of_measured_ones():
    """They decide, they are in the verdict, and a signal that is given has learned enough."""
    watch = Watch(snapshot(), {"calls": 9})
    verdict = Trial(watch.snapshot, 1e9).decide(STEP)[0].verdict
    assert (verdict.rule, {reading.signal: reading.value for reading in verdict.readings}["calls"]) == ("too-fast", 9)
    policy = """
    version: 1
    actions: [{name: get, match: {method: GET}, kind: read}]
    signals: {fresh: {first_seen: source, per: [principal], window: 7d, learn: 1d}}
    rules:
      - {name: all, match: {principal: "spiffe://**", action: get}, then: allow}
      - {name: new, when: signals.fresh > 0, then: deny}
    """
    compiled = snapshot(policy)
    shadowed = Trial(Watch(compiled).snapshot, 1e9).decide(STEP)[0].verdict
    assert [match.rule for match in shadowed.would_have] == ["new"]
    enforced = Trial(Watch(compiled, {"fresh": 1}).snapshot, 1e9).decide(STEP)[0].verdict
    assert enforced.rule == "new"
