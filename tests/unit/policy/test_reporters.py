"""Who vouches for a signal: under which keys, and fed by what."""

import pytest

from authz_server.policy.entries import Fed, SignalWord
from authz_server.policy.reporters import TWO_REPORTERS, accuses, can_be_vouched_for, reporter_name, reporter_plan
from authz_server.policy.step import Step
from authz_server.signals import SignalKind
from tests.steps import NOW, policy, principal, request

HEAD = """
    version: 1
    actions:
      - {name: read, match: {method: GET, path: "/v1/{thing}"}, kind: read}
      - {name: list, match: {method: GET, path: /v1}, kind: discovery, stage: discovery}
"""
DOCS = "spiffe://corp.example/ns/docs/sa/api"


def snapshot(signal, effect="quarantine, contain: {principal: 1h}"):
    return policy(
        f"{HEAD}    signals: {{s: {signal}}}\n    rules:\n      - {{name: r, when: signals.s > 3, then: {effect}}}\n"
    )


def plan(signal):
    return snapshot(signal, "observe").plans["s"]


def step(path="/v1/7", reporter=DOCS):
    known = policy(HEAD + "    rules: []\n")
    classified = known.catalogue.classify(request(path=path))
    it = Step(request(path=path), principal(), classified.action, classified.captures, NOW)
    it.reporter = reporter
    return it


COUNT = "{count: steps, per: [principal, action], window: 1h}"


@pytest.mark.parametrize(
    ("signal", "word", "fed"),
    [
        (COUNT, SignalWord.DISTINCT, Fed.STEPS),
        ("{distinct: path.thing, per: [principal], window: 1h}", SignalWord.DISTINCT, Fed.STEPS),
        ("{sequence: [discovery, collection], per: [principal], window: 1h}", SignalWord.DISTINCT, Fed.STEPS),
        ("{budget: steps, per: [principal], window: 1h}", SignalWord.DISTINCT, Fed.STEPS),
        ("{count: allowed, per: [principal], window: 1h}", SignalWord.COUNT, Fed.ALLOWED),
        ("{count: outcomes, per: [principal], window: 1h}", SignalWord.COUNT, Fed.OUTCOMES),
        ("{walk: {refused: 2}, each: [principal], half_life: 1h}", SignalWord.WALK, Fed.OUTCOMES),
        ("{score: true, each: [principal], half_life: 1h}", SignalWord.SCORE, Fed.STEPS),
        ("{mark: 'path.thing == \"a\"', per: [principal], keep: 1h}", SignalWord.MARK, Fed.ALLOWED),
    ],
)
def test_what_feeds_a_signal_feeds_who_vouches_for_it(signal, word, fed):
    """Under the same keys, for as long; two are enough, so no more are remembered."""
    it = plan(signal)
    found = reporter_plan(it)
    assert (found.word, found.fed, found.vouches) == (word, fed, True)
    assert (found.per, found.each, found.selector) == (it.per, it.each, it.selector)
    assert (found.signal.kind, found.signal.cap) == (SignalKind.DISTINCT, TWO_REPORTERS)
    assert found.signal.window_ms == 3_600_000
    assert found.signal.name == reporter_name("s") == "reporters:s"
    assert found.signal.id != it.signal.id


@pytest.mark.parametrize(
    ("signal", "path", "member"),
    [
        (COUNT, "/v1", DOCS),
        ("{distinct: path.thing, per: [principal], window: 1h}", "/v1/7", DOCS),
        ("{distinct: path.thing, per: [principal], window: 1h}", "/v1", ""),
        ("{sequence: [discovery, collection], per: [principal], window: 1h}", "/v1", DOCS),
        ("{sequence: [discovery, collection], per: [principal], window: 1h}", "/v1/7", ""),
        ("{score: true, each: [principal], half_life: 1h}", "/v1/7", DOCS),
    ],
)
def test_who_reports_a_step_that_raises_nothing_vouches_for_nothing(signal, path, member):
    """A step without a stage is no part of a chain, one without a value no member of a list."""
    assert reporter_plan(plan(signal)).read_member(step(path)) == member


def test_a_gateway_vouches_by_itself():
    """It is not counted: there is nothing to count it against."""
    found = reporter_plan(plan(COUNT))
    assert found.counts(step())
    assert not found.counts(step(reporter=""))


@pytest.mark.parametrize(
    ("signal", "accusing", "vouched"),
    [
        (COUNT, True, True),
        ("{mark: 'path.thing == \"a\"', per: [principal], keep: 1h}", True, True),
        ("{first_seen: path.thing, per: [principal], window: 1h}", True, False),
        ("{distinct: path.thing, per: [principal], window: 1h, fed_by: allowed}", False, False),
    ],
)
def test_what_is_new_has_no_witness_and_what_is_known_accuses_nobody(signal, accusing, vouched):
    """So a rule on novelty alone contains no further than the destination that reports it."""
    it = plan(signal)
    assert (accuses(it), can_be_vouched_for(it)) == (accusing, vouched)
    rule = snapshot(signal).rules.rules[0]
    assert rule.reporters == (("reporters:s",) if accusing else ())
    assert ("reporters:s" in snapshot(signal).plans) is (accusing and vouched)


@pytest.mark.parametrize("effect", ["deny", "throttle", "challenge", "observe"])
def test_only_what_contains_needs_witnesses(effect):
    """Nobody else pays for them."""
    assert "reporters:s" not in snapshot(COUNT, effect).plans
