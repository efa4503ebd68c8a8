"""authz_server/policy/rule_entries.py."""

import pytest

from authz_server.policy.entries import Approval, RuleEntry, StepUp
from authz_server.policy.rule_entries import read_rule
from authz_server.policy.tree import Where
from authz_server.verdict import Effect
from tests.policy_nodes import faults_of, matches_in, read_entry


def _read(text, team="", mode="by-kind"):
    node, scope = read_entry(text)
    return read_rule(node, mode, matches_in(scope), scope, team), scope


def _good(text, **options):
    rule, scope = _read(text, **options)
    assert not faults_of(scope)
    return rule


def _faults(text, **options):
    return faults_of(_read(text, **options)[1])


def test_a_quarantine_is_read_with_all_its_fields():
    """The smallest scope of containment first, the scores in the order of their names."""
    rule = _good(
        "{name: r.1, match: {action: crm.*, hours: '22:00-06:00 Europe/Berlin'}, exclude: {principal: [anonymous, 'spiffe://a.example/**']},"
        " when: 'signals.x > 1', then: quarantine, reason: Because., remedy: Ask., alert: critical, tags: [owasp:ASI03, a/b, a/b],"
        " contain: {lineage: 2h, principal: 1d, task: 1h, pair: 90s, instance: 15m}, enforce: 2.5%, on_state_error: local, adds: {risk: 30, heat: 1000}}"
    )
    assert rule == RuleEntry(
        name="r.1",
        match={"action": ("crm.*",), "hours": ("22:00-06:00 Europe/Berlin",)},
        exclude={"principal": ("anonymous", "spiffe://a.example/**")},
        when="signals.x > 1",
        then=Effect.QUARANTINE,
        reason="Because.",
        remedy="Ask.",
        alert="critical",
        tags=("owasp:ASI03", "a/b"),
        contain=(("pair", 90), ("instance", 900), ("principal", 86_400), ("task", 3600), ("lineage", 7200)),
        enforce=250,
        on_state_error="local",
        where=Where(0, ""),
        adds=(("heat", 1000), ("risk", 30)),
    )


def test_a_challenge_is_read_with_what_meets_it():
    """An approval, a step-up, both or neither."""
    rule = _good("{name: r, then: challenge, approval: {by: group:soc}, step_up: {acr: mfa, max_age: 5m}}")
    assert rule.approval == Approval(("group:soc",), "arguments", 1, 600)
    assert rule.step_up == StepUp("mfa", 300)
    rule = _good("{name: r, then: challenge}")
    assert (rule.approval, rule.step_up) == (None, None)


def test_a_rule_needs_a_name_and_an_effect_only():
    """Everything else has a default: all steps, no condition, enforced for everybody."""
    rule = _good("{name: r, then: deny}")
    assert rule == RuleEntry(
        name="r", match={}, exclude={}, when="", then=Effect.DENY, reason="", remedy="", alert="", tags=(), contain=(),
        enforce=10_000, on_state_error="by-kind", where=Where(0, ""), adds=(), approval=None, step_up=None, team="",
    )  # fmt: skip


def test_a_rule_takes_the_default_for_lost_state():
    """`on_state_error` of `defaults` holds where a rule says nothing."""
    assert _good("{name: r, then: deny}", mode="local").on_state_error == "local"
    assert _good("{name: r, then: deny, on_state_error: deny}", mode="local").on_state_error == "deny"


@pytest.mark.parametrize("effect", ["observe", "challenge", "throttle", "deny"])
def test_restricting_rules_may_be_about_anybody(effect):
    """Only what opens must say for whom."""
    assert not _faults(f"{{name: r, then: {effect}}}")


@pytest.mark.parametrize("share", [("0%", 0), ("100%", 10_000), ("0.01%", 1), ("12.5%", 1250), ("7.25%", 725)])
def test_a_share_is_counted_in_hundredths_of_a_percent(share):
    """No rounding."""
    assert _good(f"{{name: r, then: deny, enforce: {share[0]}}}").enforce == share[1]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{then: deny}", ": `name` is missing"),
        ("{name: r}", ": `then` is missing"),
        ("{name: r, then: dney}", ".then: unknown effect `dney`; did you mean `deny`?"),
        ("{name: r, then: allow}", ".match: a rule that allows says whom: `match.principal` or `match.task`"),
        ("{name: r, match: {action: crm.read}, then: allow}", ".match: a rule that allows says whom"),
        ("{name: r, match: {principal: legacy:billing-batch}, then: allow}", ".match.principal: a legacy caller is granted by its own entry only, in `legacy`"),
        ("{name: r, match: {principal: [anonymous, 'legacy:*'], task: '*'}, then: allow}", ".match.principal: a legacy caller is granted by its own entry only"),
        ("{name: r, match: {}, then: deny}", ".match: an empty match says nothing"),
        ("{name: r, exclude: {}, then: deny}", ".exclude: an empty match says nothing"),
        ("{name: r, match: {action: crm.raed}, then: deny}", ".match.action: no entry of `actions` fits `crm.raed`; did you mean `crm.read`?"),
        ("{name: r, exclude: {task: hr}, then: deny}", ".exclude.task: no entry of `tasks` fits `hr`"),
        ("{name: r, match: [a], then: deny}", ".match: a mapping is expected, not a list"),
        ("{name: r, when: , then: deny}", ".when: an expression is expected, not nothing"),
        ("{name: r, when: [a], then: deny}", ".when: an expression is expected, not a list"),
        ("{name: r, when: 'signals.a > $(limit)', then: deny}", ".when: `$(name)` has no meaning in an expression: write vars.name"),
        ("{name: r, then: quarantine}", ": a quarantine says whom it contains and for how long"),
        ("{name: r, then: quarantine, contain: {}}", ".contain: an empty containment contains nobody"),
        ("{name: r, then: quarantine, contain: {pare: 1h}}", "unknown scope of a containment `pare`; did you mean `pair`?"),
        ("{name: r, then: quarantine, contain: {pair: 32d}}", ".contain.pair: a duration between 1s and 31d"),
        ("{name: r, then: deny, contain: {pair: 1h}}", ".contain: only a rule with `then: quarantine` contains"),
        ("{name: r, then: deny, enforce: 5}", ".enforce: a share is a percentage"),
        ("{name: r, then: deny, enforce: 101%}", ".enforce: a share is a percentage"),
        ("{name: r, then: deny, enforce: 100.01%}", ".enforce: a share is a percentage"),
        ("{name: r, then: deny, enforce: -1%}", ".enforce: a share is a percentage"),
        ("{name: r, then: deny, on_state_error: skip}", ".on_state_error: only allow and throttle may be skipped"),
        ("{name: r, then: quarantine, contain: {pair: 1h}, on_state_error: skip}", "only allow and throttle may be skipped"),
        ("{name: r, then: deny, on_state_error: alow}", ".on_state_error: unknown way to go on without state `alow`"),
        ("{name: r, then: deny, alert: urgent}", ".alert: unknown level of an alert `urgent`; known are critical, high, low, medium"),
        ("{name: r, then: deny, tags: ['a b']}", ".tags[0]: `a b` is no tag"),
        ("{name: r, then: deny, reason: 5}", ".reason: text is expected, not a number: quote it if it is text"),
        (f"{{name: r, then: deny, reason: {'x' * 257}}}", ".reason: a text of 1 to 256 characters is expected"),
        ('{name: r, then: deny, reason: "a\\nb"}', ".reason: one line of text without tabs is expected"),
        ("{name: r, then: deny, approval: {by: group:soc}}", ".approval: only a rule with `then: challenge` has this; here `then` is `deny`"),
        ("{name: r, then: deny, step_up: {acr: mfa}}", ".step_up: only a rule with `then: challenge` has this; here `then` is `deny`"),
        ("{name: r, then: challenge, approval: {}}", ".approval: `by` is missing"),
        ("{name: r, then: challenge, on_state_error: skip}", ".on_state_error: only allow and throttle may be skipped"),
        ("{name: r, then: deny, adds: {risk: 0}}", ".adds.risk: a whole number from 1 to 1000 is expected, not 0"),
        ("{name: r, then: deny, whne: x}", "unknown field of a rule `whne`; did you mean `when`?"),
        ("{name: a/b, then: deny}", ".name: `a/b` is no name"),
        ("{name: 5, then: deny}", ".name: text is expected, not a number"),
        ("deny", ": a mapping is expected, not text"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_once_at_its_place(rule, message):
    """One message per mistake, with the path of the value that is wrong."""
    faults = _faults(rule)
    assert len(faults) == 1
    assert message in faults[0]


@pytest.mark.parametrize(
    "rule",
    [
        "{name: r, match: {principal: agents}, then: allow}",
        "{name: r, then: [deny], contain: {pair: 1h}}",
        "{name: r, match: !x y, then: allow}",
        "{name: r, then: deny, enforce: 101%}",
        "{name: 'a b', then: deny}",
    ],
)
def test_one_mistake_is_one_fault(rule):
    """A value that is reported already causes no second message elsewhere."""
    assert len(_faults(rule)) == 1, _faults(rule)


def test_a_faulty_rule_stays_with_the_strictest_values():
    """Later stages still find what else is wrong with it, and nothing opens."""
    rule, _ = _read("{name: r, match: {principal: agents}, when: 'x', then: alow, enforce: many}")
    assert (rule.then, rule.enforce, rule.when) == (Effect.DENY, 10_000, "x")


def test_a_rule_without_a_name_is_none():
    """It could not be spoken about; its faults are reported."""
    assert _read("{then: deny, enforce: many}")[0] is None
    assert _read("{then: deny}", team="billing")[0] is None


@pytest.mark.parametrize("effect", ["allow", "throttle"])
def test_allow_and_throttle_may_be_skipped_without_state(effect):
    """Skipping a grant is strict; skipping a limit is a choice."""
    assert not _faults(f"{{name: r, match: {{principal: 'spiffe://**'}}, then: {effect}, on_state_error: skip}}")


@pytest.mark.parametrize("match", ["{task: '*'}", "{task: weekly-report, action: crm.read}", "{principal: anonymous}"])
def test_an_allow_rule_is_for_a_caller_or_for_a_task(match):
    """A verified task says whom it is for."""
    assert not _faults(f"{{name: r, match: {match}, then: allow}}")


@pytest.mark.parametrize("effect", ["observe", "challenge", "throttle", "deny"])
def test_legacy_callers_can_be_restricted(effect):
    """By name or all of them."""
    assert not _faults(f"{{name: r, match: {{principal: ['legacy:*', 'legacy:billing-batch']}}, then: {effect}}}")


def test_a_grant_may_leave_legacy_callers_out():
    """They are not granted anything by that."""
    assert not _faults("{name: r, match: {principal: 'spiffe://**'}, exclude: {principal: 'legacy:*'}, then: allow}")


def test_unclassified_is_a_word_that_needs_no_entry():
    """Rules can name what no entry fits."""
    assert not _faults("{name: r, match: {action: unclassified}, then: deny}")


def test_an_allow_rule_that_can_never_match_is_warned():
    """Kind and stage of an unclassified request are a guess that never grants."""
    _, scope = _read("{name: r, match: {principal: anonymous, action: unclassified, action.kind: read}, then: allow}")
    assert not faults_of(scope)
    assert "never matches `unclassified`" in scope.report.warnings[0].message


def test_constants_of_yaml_are_conditions_too():
    """`when: true` is the condition that always holds."""
    assert _good("{name: r, when: true, then: deny}").when == "true"


def test_a_teams_rule_carries_its_name():
    """So do the scores that it adds to; it is enforced as its authors say."""
    rule = _good("{name: r, then: deny, enforce: 5%, adds: {risk: 30}}", team="billing")
    assert (rule.name, rule.team, rule.enforce, rule.adds) == ("billing/r", "billing", 500, (("billing/risk", 30),))


@pytest.mark.parametrize("effect", ["observe", "challenge", "throttle", "deny"])
def test_a_team_may_restrict(effect):
    """Its own actions."""
    assert not _faults(f"{{name: r, then: {effect}}}", team="billing")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{name: r, then: quarantine, contain: {pair: 1h}}", ".then: a team's rule contains nobody"),
        ("{name: r, then: quarantine}", ".then: a team's rule contains nobody"),
        (
            "{name: r, then: throttle, on_state_error: skip}",
            ".on_state_error: a team's rule is never skipped; write deny, local or by-kind",
        ),
        ("{name: a/b, then: deny}", ".name: `a/b` is no name"),
        ("{name: r, then: deny, contain: {pair: 1h}}", ".contain: only a rule with `then: quarantine` contains"),
    ],
)
def test_what_a_team_may_not_do_is_named_once(rule, message):
    """And the rule denies."""
    faults = _faults(rule, team="billing")
    assert len(faults) == 1
    assert faults[0].startswith(message)
    assert _read("{name: r, then: quarantine}", team="billing")[0].then is Effect.DENY
