"""authz_server/policy/rule_entries.py and step_match.py."""

import pytest

from authz_server.policy.entries import RuleEntry
from authz_server.policy.schema import parse_policy
from authz_server.policy.tree import Where
from authz_server.verdict import Effect

_HEAD = "version: 1\nactions: [{name: crm.read, match: {path: /c}, kind: read}]\nrules:\n  - "


def _parse(rule: str):
    return parse_policy({"a.yaml": f"{_HEAD}{rule}\n".encode()})


def _faults(rule: str) -> list[str]:
    return [str(fault).removeprefix("a.yaml:4: rules[0]") for fault in _parse(rule).faults]


def test_a_rule_is_read_with_all_its_fields():
    """Every field of a quarantine, the smallest scope of containment first."""
    parsed = _parse(
        "{name: r.1, match: {action: crm.*, hours: '22:00-06:00 Europe/Berlin'}, exclude: {principal: [anonymous, 'spiffe://a.example/**']},"
        " when: 'signals.x > 1', then: quarantine, reason: Because., remedy: Ask., alert: critical, tags: [owasp:ASI03, a/b, a/b],"
        " contain: {principal: 1d, pair: 90s}, enforce: 2.5%, on_state_error: local}"
    )
    assert not parsed.faults
    assert parsed.text.rules == (
        RuleEntry(
            name="r.1",
            match={"action": ("crm.*",), "hours": ("22:00-06:00 Europe/Berlin",)},
            exclude={"principal": ("anonymous", "spiffe://a.example/**")},
            when="signals.x > 1",
            then=Effect.QUARANTINE,
            reason="Because.",
            remedy="Ask.",
            alert="critical",
            tags=("owasp:ASI03", "a/b"),
            contain=(("pair", 90), ("principal", 86_400)),
            enforce=250,
            on_state_error="local",
            where=Where(0, ""),
        ),
    )


def test_a_rule_needs_a_name_and_an_effect_only():
    """Everything else has a default: all steps, no condition, enforced for everybody."""
    parsed = _parse("{name: r, then: deny}")
    assert not parsed.faults
    rule = parsed.text.rules[0]
    assert (rule.match, rule.exclude, rule.when, rule.enforce, rule.contain, rule.on_state_error) == (
        {},
        {},
        "",
        10_000,
        (),
        "by-kind",
    )


def test_a_rule_takes_the_default_for_lost_state():
    """`on_state_error` of `defaults` holds where a rule says nothing."""
    text = f"{_HEAD}{{name: r, then: deny}}\n  - {{name: s, then: deny, on_state_error: deny}}\ndefaults: {{on_state_error: local}}\n"
    parsed = parse_policy({"a.yaml": text.encode()})
    assert not parsed.faults
    assert [rule.on_state_error for rule in parsed.text.rules] == ["local", "deny"]


@pytest.mark.parametrize("effect", ["observe", "throttle", "deny"])
def test_restricting_rules_may_be_about_anybody(effect):
    """Only what opens must say for whom."""
    assert not _faults(f"{{name: r, then: {effect}}}")


@pytest.mark.parametrize("share", [("0%", 0), ("100%", 10_000), ("0.01%", 1), ("12.5%", 1250), ("7.25%", 725)])
def test_a_share_is_counted_in_hundredths_of_a_percent(share):
    """No rounding."""
    parsed = _parse(f"{{name: r, then: deny, enforce: {share[0]}}}")
    assert not parsed.faults
    assert parsed.text.rules[0].enforce == share[1]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{then: deny}", ": `name` is missing"),
        ("{name: r}", ": `then` is missing"),
        ("{name: r, then: dney}", ".then: unknown effect `dney`; did you mean `deny`?"),
        ("{name: r, then: challenge}", ".then: `challenge` is not supported by this version"),
        ("{name: r, then: allow}", ".match: a rule that allows says whom: `match.principal`"),
        ("{name: r, match: {action: crm.read}, then: allow}", ".match: a rule that allows says whom"),
        ("{name: r, match: {task: '*'}, then: allow}", ".match.task: `task` is not supported by this version"),
        ("{name: r, match: {mcp.tool: x}, then: deny}", "`mcp.tool` is not supported by this version"),
        ("{name: r, match: {}, then: deny}", ".match: an empty match says nothing"),
        ("{name: r, exclude: {}, then: deny}", ".exclude: an empty match says nothing"),
        ("{name: r, match: {action: []}, then: deny}", ".match.action: an empty list matches nothing"),
        ("{name: r, match: [a], then: deny}", ".match: a mapping is expected, not a list"),
        ("{name: r, match: {acton: a}, then: deny}", "unknown key of a step match `acton`; did you mean `action`?"),
        ("{name: r, match: {host: a}, then: deny}", "unknown key of a step match `host`"),
        ("{name: r, match: {action: crm.raed}, then: deny}", ".match.action: no entry of `actions` fits `crm.raed`; did you mean `crm.read`?"),
        ("{name: r, match: {action: [crm.*, hr.*]}, then: deny}", ".match.action[1]: no entry of `actions` fits `hr.*`"),
        ("{name: r, exclude: {action: hr.*}, then: deny}", ".exclude.action: no entry of `actions` fits `hr.*`"),
        ("{name: r, match: {action: 'a b'}, then: deny}", "is no pattern of action names"),
        ("{name: r, match: {action: unclass*}, then: deny}", "no entry of `actions` fits `unclass*`"),
        ("{name: r, match: {action.kind: reads}, then: deny}", ".match.action.kind: unknown kind `reads`; did you mean `read`?"),
        ("{name: r, match: {action.stage: impct}, then: deny}", "unknown stage `impct`; did you mean `impact`?"),
        ("{name: r, match: {action.sensitivity: '*'}, then: deny}", "unknown sensitivity `*`"),
        ("{name: r, match: {principal: agents}, then: deny}", ".match.principal: a SPIFFE pattern starts with `spiffe://`"),
        ("{name: r, match: {principal: 'spiffe://*/a'}, then: deny}", "a wildcard cannot stand in the trust domain"),
        ("{name: r, match: {principal: '*'}, then: deny}", "a SPIFFE pattern starts with `spiffe://`"),
        ("{name: r, match: {source: 10.0.0.0/40}, then: deny}", ".match.source: this is no address"),
        ("{name: r, match: {hours: '25:00-26:00 UTC'}, then: deny}", ".match.hours: `25:00` is no time of day"),
        ("{name: r, when: , then: deny}", ".when: an expression is expected, not nothing"),
        ("{name: r, when: [a], then: deny}", ".when: an expression is expected, not a list"),
        ("{name: r, when: 'signals.a > $(limit)', then: deny}", ".when: `$(name)` has no meaning in an expression: write vars.name"),
        ("{name: r, then: quarantine}", ": a quarantine says whom it contains and for how long"),
        ("{name: r, then: quarantine, contain: {}}", ".contain: an empty containment contains nobody"),
        ("{name: r, then: quarantine, contain: {lineage: 1h}}", ".contain.lineage: `lineage` is not supported by this version"),
        ("{name: r, then: quarantine, contain: {task: 1h}}", "`task` is not supported by this version"),
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
        ("{name: r, then: deny, approval: {by: [a]}}", ".approval: `approval` is not supported by this version"),
        ("{name: r, then: deny, step_up: {acr: mfa}}", "`step_up` is not supported by this version"),
        ("{name: r, then: deny, adds: {risk: 20}}", "`adds` is not supported by this version"),
        ("{name: r, then: deny, whne: x}", "unknown field of a rule `whne`; did you mean `when`?"),
        ("{name: a/b, then: deny}", ".name: `a/b` is no name"),
        ("{name: 5, then: deny}", ".name: text is expected, not a number"),
        ("deny", ": a mapping is expected, not text"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_at_its_place(rule, message):
    """One message per mistake, with the path of the value that is wrong."""
    assert any(message in fault for fault in _faults(rule)), _faults(rule)


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
    parsed = _parse("{name: r, match: {principal: agents}, when: 'x', then: alow, enforce: many}")
    rule = parsed.text.rules[0]
    assert (rule.then, rule.enforce, rule.when) == (Effect.DENY, 10_000, "x")


@pytest.mark.parametrize("effect", ["allow", "throttle"])
def test_allow_and_throttle_may_be_skipped_without_state(effect):
    """Skipping a grant is strict; skipping a limit is a choice."""
    assert not _faults(f"{{name: r, match: {{principal: 'spiffe://**'}}, then: {effect}, on_state_error: skip}}")


def test_unclassified_is_a_word_that_needs_no_entry():
    """Rules can name what no entry fits."""
    assert not _faults("{name: r, match: {action: unclassified}, then: deny}")


def test_an_allow_rule_that_can_never_match_is_warned():
    """Kind and stage of an unclassified request are a guess that never grants."""
    parsed = _parse("{name: r, match: {principal: anonymous, action: unclassified, action.kind: read}, then: allow}")
    assert not parsed.faults
    assert "never matches `unclassified`" in parsed.warnings[0].message


def test_constants_of_yaml_are_conditions_too():
    """`when: true` is the condition that always holds."""
    assert _parse("{name: r, when: true, then: deny}").text.rules[0].when == "true"
