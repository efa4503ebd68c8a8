"""Invariants of deciding: no restriction opens, no error opens, order means nothing, and nothing lifts more than it says."""

from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.verdict import Decision, Effect
from tests.property.policies import (
    AGENT,
    CONDITIONS,
    ENVELOPE,
    ERRORS,
    MATCHES,
    RESTRICTING,
    decide,
    lines,
    rule,
    rules,
    steps,
)

EXTRAS = ", adds: {risk: 9}, alert: critical, tags: [a:b]"
ENVELOPES = st.sampled_from(["", ENVELOPE])


def is_open(decided):
    return decided.verdict.decision is Decision.ALLOW


def scores(decided):
    return sorted((hit.entity, hit.amount) for hit in decided.hits if hit.signal.name == "risk")


def told(decided):
    """All of a verdict but what is only recorded."""
    verdict = decided.verdict
    return (
        verdict.decision,
        verdict.reason,
        verdict.rule,
        verdict.detail,
        sorted(verdict.matched),
        verdict.contain,
        verdict.alert,
        sorted(verdict.tags),
        verdict.demands,
    )


def restricting(chosen):
    return [f"r{number}" for number, (_, _, effect) in enumerate(chosen) if effect in RESTRICTING]


def exception(names, match):
    return f"exceptions: [{{name: e, rules: [{', '.join(names)}], match: {{{match}}}, expires: 2030-01-01T00:00:00Z, reason: x}}]\n"


@settings(max_examples=200, deadline=None)
@given(
    chosen=rules,
    one=st.tuples(st.sampled_from(MATCHES), st.sampled_from(CONDITIONS), st.sampled_from(RESTRICTING)),
    envelope=ENVELOPES,
    approvals=st.booleans(),
    lifted=st.booleans(),
    step=steps,
)
def test_one_more_restricting_rule_never_opens(*, chosen, one, envelope, approvals, lifted, step):
    """With the same step and readings, approvals, exceptions and envelopes, what was refused stays refused."""
    names = restricting(chosen)
    more = envelope + (exception(names, f"principal: '{AGENT}'") if lifted and names else "")
    approved = names if approvals else ()
    before = decide(lines(chosen), step, more, approved)
    after = decide([*lines(chosen), rule("more", *one)], step, more, approved)
    assert is_open(before) or not is_open(after)


@settings(max_examples=200, deadline=None)
@given(
    chosen=rules,
    condition=st.sampled_from(ERRORS),
    effect=st.sampled_from(["allow", "observe", *RESTRICTING]),
    envelope=ENVELOPES,
    step=steps,
)
def test_a_condition_that_errs_opens_nothing_and_does_nothing_but_deny(chosen, condition, effect, envelope, step):
    """It contains, challenges, alerts, tags and adds nothing, and denies the steps that it touches if it restricts."""
    before = decide(lines(chosen), step, envelope)
    after = decide([*lines(chosen), rule("errs", "", condition, effect, EXTRAS)], step, envelope)
    assert is_open(before) or not is_open(after)
    assert {each.entity for each in after.verdict.contain} <= {each.entity for each in before.verdict.contain}
    assert "errs" not in {demand.rule for demand in after.verdict.demands}
    assert (after.verdict.alert, after.verdict.tags, scores(after)) == ("", (), [])
    enveloped = after.verdict.rule.startswith("envelope:")
    if effect in RESTRICTING and not (enveloped and "signals" in condition):
        assert not is_open(after)


@settings(max_examples=100, deadline=None)
@given(chosen=rules, envelope=ENVELOPES, step=steps, order=st.randoms(use_true_random=False))
def test_the_order_of_rules_means_nothing(chosen, envelope, step, order):
    """The same rules in another order give the same decision by the same rule, and teach the same."""
    written = lines(chosen)
    shuffled = list(written)
    order.shuffle(shuffled)
    one, two = decide(written, step, envelope), decide(shuffled, step, envelope)
    assert told(one) == told(two)
    assert sorted(map(repr, one.hits)) == sorted(map(repr, two.hits))


@settings(max_examples=100, deadline=None)
@given(chosen=rules, envelope=ENVELOPES, step=steps)
def test_nothing_is_allowed_without_a_grant(chosen, envelope, step):
    """An allow always names the rule or the envelope that granted it."""
    verdict = decide(lines(chosen), step, envelope).verdict
    if verdict.decision is Decision.ALLOW and verdict.rule != "envelope:e":
        effects = {each.rule: each.effect for each in verdict.matched}
        assert effects[verdict.rule] is Effect.ALLOW


@settings(max_examples=100, deadline=None)
@given(
    chosen=rules, envelope=ENVELOPES, step=steps, match=st.sampled_from(["source: 10.0.0.0/8", "source: 192.0.2.0/24"])
)
def test_an_exception_does_what_taking_its_rules_away_would_do(chosen, envelope, step, match):
    """So it allows nothing by itself; one that does not hold does nothing."""
    names = restricting(chosen)
    if not names:
        return
    excepted = decide(lines(chosen), step, envelope + exception(names, match))
    left = [line for line in lines(chosen) if not any(f"name: {name}," in line for name in names)]
    holds = match.endswith("10.0.0.0/8")
    assert told(excepted) == told(decide(left if holds else lines(chosen), step, envelope))
    if not holds:
        assert excepted.verdict.excepted == ()


@settings(max_examples=100, deadline=None)
@given(chosen=rules, envelope=ENVELOPES, step=steps)
def test_an_approval_lifts_challenges_and_nothing_else(chosen, envelope, step):
    """What was no challenge stays what it was, and a challenge becomes an allow at best."""
    before = decide(lines(chosen), step, envelope)
    after = decide(lines(chosen), step, envelope, approved=restricting(chosen))
    if before.verdict.decision is not Decision.CHALLENGE:
        assert told(after) == told(before)
    else:
        assert after.verdict.decision in {Decision.ALLOW, Decision.CHALLENGE}
        bare = {demand.rule for demand in before.verdict.demands if not demand.approvers}
        assert {demand.rule for demand in after.verdict.demands} == bare


@settings(max_examples=100, deadline=None)
@given(chosen=rules, shadowed=rules, envelope=ENVELOPES, step=steps)
def test_rules_in_shadow_change_nothing(chosen, shadowed, envelope, step):
    """They add, contain, alert and tag nothing, whatever they are."""
    hidden = [
        rule(f"s{number}", match, condition, effect, f"{EXTRAS}, enforce: 0%")
        for number, (match, condition, effect) in enumerate(shadowed)
    ]
    before, after = decide(lines(chosen), step, envelope), decide([*lines(chosen), *hidden], step, envelope)
    if step.degraded and before.verdict.degraded != after.verdict.degraded:
        return  # what nobody asked the store for was not missing before
    assert told(before) == told(after)
    assert scores(before) == scores(after)


@settings(max_examples=100, deadline=None)
@given(chosen=rules, envelope=ENVELOPES, step=steps, approvals=st.booleans())
def test_whom_the_policy_contains_nothing_lets_through(chosen, envelope, step, approvals):
    """Neither a grant, an envelope, a task, an exception nor an approval."""
    names = restricting(chosen)
    more = envelope + "contained: [{source: 10.0.0.0/8, reason: x}]\n"
    if names:
        more += exception(names, "source: 10.0.0.0/8")
    decided = decide(lines(chosen), step, more, names if approvals else ())
    assert decided.verdict.decision is Decision.QUARANTINE
    assert (decided.hits, decided.expected, decided.verdict.contain) == ((), (), ())


@settings(max_examples=100, deadline=None)
@given(chosen=rules, step=steps)
def test_a_careful_step_without_the_store_is_opened_by_no_rule_that_could_not_be_read(chosen, step):
    """Learned or not: each restricting rule on signals counts as matched."""
    step = step._replace(method="PUT", path="/v1/things/7", degraded=True)
    decided = decide([*lines(chosen), rule("unread", "", "when: signals.fresh == 1, ", "challenge")], step)
    assert not is_open(decided)
