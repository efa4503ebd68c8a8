"""Invariants of deciding: more restriction never opens, an error never opens, order means nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server import pdp
from authz_server.pdp import Decided
from authz_server.signals import Readings
from authz_server.verdict import Decision
from tests.steps import NOW, policy, principal, request

HEAD = """version: 1
actions:
  - {name: a.read, match: {method: GET, path: /v1/things}, kind: read}
  - {name: a.write, match: {method: PUT, path: "/v1/things/{thing}"}, kind: write, sensitivity: high}
signals:
  calls: {count: steps, per: [principal], window: 10s}
  chain: {sequence: [discovery, credential-access], per: [principal], window: 1h}
rules:
"""
MATCHES = [
    "",
    "match: {action: a.read}, ",
    "match: {action.kind: write}, ",
    'match: {principal: "spiffe://corp.example/ns/agents/**"}, ',
]
CONDITIONS = [
    "",
    "when: signals.calls > 3, ",
    "when: 'request.method == \"GET\"', ",
    'when: \'request.headers["x-missing"] == "1"\', ',
    'when: \'signals.chain >= 1 || request.headers["x-missing"] == "1"\', ',
]
ERRORS = [CONDITIONS[3], "when: '1 / int(principal.namespace) > 0', "]
RESTRICTING = ["throttle", "deny", "quarantine, contain: {principal: 1h}"]


def rule(number, match, condition, effect):
    if effect == "allow" and "principal" not in match:
        match = 'match: {principal: [anonymous, "spiffe://**"]}, '
    return f"  - {{name: r{number}, {match}{condition}then: {effect}}}\n"


rules = st.lists(
    st.tuples(
        st.sampled_from(MATCHES), st.sampled_from(CONDITIONS), st.sampled_from(["allow", "observe", *RESTRICTING])
    ),
    max_size=5,
)
steps = st.tuples(
    st.sampled_from([("GET", "/v1/things"), ("PUT", "/v1/things/7"), ("GET", "/other")]),
    st.sampled_from(["", "spiffe://corp.example/ns/agents/sa/a1", "spiffe://corp.example/ns/other/sa/x"]),
    st.integers(0, 6),
    st.booleans(),
)


def decide(text, step):
    (method, path), who, reading, degraded = step
    identity = principal(who)
    begun = pdp.begin(policy(text), request(method, path), identity, NOW)
    if isinstance(begun, Decided):
        return begun.verdict
    return pdp.conclude(begun, Readings((reading,) * len(begun.hits), degraded=degraded))


def written(chosen):
    return HEAD + ("".join(rule(number, *each) for number, each in enumerate(chosen)) or "  []\n")


@settings(max_examples=300, deadline=None)
@given(
    chosen=rules,
    match=st.sampled_from(MATCHES),
    condition=st.sampled_from(CONDITIONS),
    effect=st.sampled_from(RESTRICTING),
    step=steps,
)
def test_one_more_restricting_rule_never_opens(chosen, match, condition, effect, step):
    """With the same step and readings, what was refused stays refused."""
    before = decide(written(chosen), step)
    after = decide(
        HEAD + "".join(rule(number, *each) for number, each in enumerate([*chosen, (match, condition, effect)])), step
    )
    assert after.decision is not Decision.ALLOW or before.decision is Decision.ALLOW


@settings(max_examples=200, deadline=None)
@given(
    chosen=rules,
    condition=st.sampled_from(ERRORS),
    effect=st.sampled_from(["allow", "observe", *RESTRICTING]),
    step=steps,
)
def test_a_condition_that_errs_never_opens_and_never_contains(chosen, condition, effect, step):
    """An error in any rule opens nothing, and contains nobody who would not be contained without it."""
    before = decide(written(chosen), step)
    after = decide(
        HEAD + "".join(rule(number, *each) for number, each in enumerate([*chosen, ("", condition, effect)])), step
    )
    assert after.decision is not Decision.ALLOW or before.decision is Decision.ALLOW
    assert {each.entity for each in after.contain} <= {each.entity for each in before.contain}
    if effect not in {"allow", "observe"}:
        assert after.decision is not Decision.ALLOW


@settings(max_examples=200, deadline=None)
@given(chosen=rules, step=steps, order=st.randoms(use_true_random=False))
def test_the_order_of_rules_means_nothing(chosen, step, order):
    """The same rules in another order give the same decision by the same rule."""
    numbered = [rule(number, *each) for number, each in enumerate(chosen)]
    shuffled = list(numbered)
    order.shuffle(shuffled)
    one, two = (decide(HEAD + ("".join(lines) or "  []\n"), step) for lines in (numbered, shuffled))
    assert (one.decision, one.reason, one.rule) == (two.decision, two.reason, two.rule)


@settings(max_examples=200, deadline=None)
@given(chosen=rules, step=steps)
def test_nothing_is_allowed_without_a_grant(chosen, step):
    """An allow always names the rule that granted it."""
    verdict = decide(written(chosen), step)
    if verdict.decision is Decision.ALLOW:
        effects = {each.rule: each.effect.value for each in verdict.matched}
        assert effects[verdict.rule] == "allow"
