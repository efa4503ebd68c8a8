"""What cases try of a policy: rules, terms both ways, exceptions, cases of actions; and the order of what is missing."""

from authz_server.trial.case_report import coverage_as_json, describe_coverage
from authz_server.trial.case_session import run_session
from tests.tried import AGENT, POLICY, site

HEAD = f"defaults: {{as: {AGENT}, request: {{host: crm.corp.example, path: /v1/customers/1}}}}\ncases:\n"


def covered(tmp_path, *steps, policy=POLICY, more=""):
    """The coverage of one case of these steps."""
    cases = HEAD + more + "- name: one\n  steps:\n" + "".join(f"  - {step}\n" for step in steps)
    return run_session(site(tmp_path, cases, policy)).coverage


def missing(coverage, name):
    """What was not tried of one entry."""
    return [gap.missing for gap in coverage.gaps if gap.name == name]


def test_rules_and_exceptions_and_cases_of_actions(tmp_path):
    """A rule is never asked, asked and never matched, or tried; each with its place."""
    coverage = covered(tmp_path, "{}")
    assert missing(coverage, "agents-read") == []
    assert missing(coverage, "tools") == ["never asked"]
    assert missing(coverage, "shared")[0] == "never matched, asked about 1 step"
    assert missing(coverage, "exception move") == ["never held"]
    assert missing(coverage, "files.{tool}") == ["case 1 never fitted", "case 2 never fitted"]
    assert [gap.place for gap in coverage.gaps] == sorted(
        (gap.place for gap in coverage.gaps), key=lambda place: int(place.rpartition(":")[2])
    )
    assert next(gap.place for gap in coverage.gaps if gap.name == "files.{tool}") == "policy.yaml:12"


def test_a_case_of_an_action_and_a_rule_in_shadow_count_when_they_are_met(tmp_path):
    """What matched in shadow was tried."""
    coverage = covered(tmp_path, "{mcp: {tool: delete_a}, request: {host: files.corp.example}}")
    assert missing(coverage, "files.{tool}") == ["case 2 never fitted"]
    assert missing(coverage, "no-delete") == []


def test_terms_are_seen_true_and_false(tmp_path):
    """Each by itself, whatever the others are."""
    many, term = "`signals.customers > 2` was never true", '`!(request.query == "a" || request.query == "b")`'
    assert missing(covered(tmp_path, "{}"), "too-many") == [
        "never matched, asked about 1 step",
        many,
        f"{term} was never false",
    ]
    steps = [f"{{request: {{path: /v1/customers/{number}?a}}}}" for number in range(3)]
    assert missing(covered(tmp_path, *steps), "too-many") == [
        "never matched, asked about 3 steps",
        f"{term} was never true",
    ]
    assert missing(covered(tmp_path, *steps, "{}"), "too-many") == []


def test_an_exception_counts_as_a_match_of_what_it_lifts(tmp_path):
    """The rule would have matched."""
    mover = "as: spiffe://corp.example/ns/agents/sa/mover"
    coverage = covered(tmp_path, *(f"{{{mover}, request: {{path: /v1/customers/{number}}}}}" for number in range(3)))
    assert missing(coverage, "exception move") == []
    assert "never matched, asked about 3 steps" not in missing(coverage, "too-many")


def test_terms_of_a_rule_that_is_not_about_the_step_are_not_tried(tmp_path):
    """The dynamic part of a match keeps the condition from being asked."""
    policy = POLICY.replace("{name: too-fast, when:", "{name: too-fast, match: {source: [10.9.0.0/16]}, when:")
    steps = ["{repeat: 7, from: 10.1.0.1}"]
    assert "`signals.calls > vars.calls_per_10s` was never true" in missing(
        covered(tmp_path, *steps, policy=policy), "too-fast"
    )
    steps = ["{repeat: 7, from: 10.9.0.1}"]
    assert missing(covered(tmp_path, *steps, policy=policy), "too-fast") == []


def test_a_term_that_errs_is_neither_true_nor_false(tmp_path):
    """As a condition on a header that is not there."""
    policy = POLICY.replace("when: signals.failed > 1", 'when: \'request.headers["x-a"] == "1" && signals.failed > 1\'')
    coverage = covered(tmp_path, "{}", policy=policy)
    said = '`request.headers["x-a"] == "1"` was never'
    assert {f"{said} true", f"{said} false"} <= set(missing(coverage, "failing"))


def test_a_step_that_no_rule_is_asked_about_tries_nothing(tmp_path):
    """A refused one."""
    coverage = covered(tmp_path, "{as: CN=x}")
    assert coverage.tried == 0
    assert coverage.percent == 0


def test_cases_with_environments_of_their_own_are_counted_together(tmp_path):
    """A rule is one rule, whatever its share."""
    more = "- {name: two, env: {vars: {calls_per_10s: 0}}, steps: [{}]}\n"
    assert missing(covered(tmp_path, "{}", more=more), "too-fast") == []


def test_what_a_case_adds_is_not_counted(tmp_path):
    """It is the site's, not the pack's."""
    added = "{name: put, match: {host: b.example, method: PUT}, kind: write, cases: [{method: PUT, kind: read}]}"
    more = f"- {{name: two, actions: [{added}], steps: [{{}}]}}\n"
    assert missing(covered(tmp_path, "{}", more=more), "put") == []


def test_teams_and_legacy_callers_count(tmp_path):
    """A team's rule under its full name with the team's signals, a legacy caller's by its own."""
    policy = POLICY.replace(
        "actions:\n",
        "teams: {crm: {actions: customer.*, hosts: [crm.corp.example]}}\nlegacy: [{name: old, match: {source: 10.4.0.0/16}, actions: customer.read, rate: 2/s}]\nactions:\n",
        1,
    )
    folder = site(
        tmp_path,
        HEAD + "- {name: one, steps: [{}, {as: anonymous, from: 10.4.0.1, repeat: 3, expect: {decision: throttle}}]}\n",
        policy,
    )
    (folder / "teams" / "crm").mkdir(parents=True)
    (folder / "teams" / "crm" / "rules.yaml").write_text(
        "signals: {mine: {count: steps, per: [principal], window: 1m}}\nrules: [{name: mine, when: signals.mine > 1, then: throttle}]\n"
    )
    session = run_session(folder)
    assert session.passed
    assert missing(session.coverage, "crm/mine") == []
    assert missing(session.coverage, "legacy:old") == missing(session.coverage, "legacy:old:rate") == []


def test_the_report(tmp_path):
    """Places first, the sum last, rounded down; the same as plain values."""
    policy = "version: 1\nrules:\n  - {name: a, match: {principal: anonymous, action: unclassified}, then: allow}\n  - {name: b, when: 'false', then: deny}\n"
    coverage = covered(tmp_path, "{as: anonymous}", policy=policy)
    assert describe_coverage(coverage) == [
        "policy.yaml:4: b: never matched, asked about 1 step",
        "policy.yaml:4: b: `false` was never true",
        "coverage: 50 %, 2 of 4 tried",
    ]
    assert coverage_as_json(coverage)["gaps"][1] == {
        "place": "policy.yaml:4",
        "name": "b",
        "missing": "`false` was never true",
    }
    assert coverage._replace(all=0, tried=0, gaps=()).percent == 100
    assert coverage._replace(all=3, tried=2).percent == 66
