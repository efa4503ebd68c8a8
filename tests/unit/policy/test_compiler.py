"""Compilation of a whole policy: every fault located, limits found, one digest for one meaning."""

import textwrap

import pytest

from authz_server.errors import PolicyError
from authz_server.model import Action
from authz_server.policy.compiler import compile_policy
from authz_server.policy.rule import Key
from authz_server.policy.signal_compiler import DEFAULT_COUNT_CAP, DEFAULT_DISTINCT_CAP
from authz_server.policy.step import Step
from tests.steps import AGENT, KEYED, NOW, policy, principal, request

HEAD = """
    version: 1
    vars: {limit: 40}
    actions:
      - {name: read,  match: {method: GET, path: "/v1/{thing}"}, kind: read}
      - {name: write, match: {method: PUT, path: /v1/x}, kind: write, body: json}
    signals:
      calls: {count: steps, per: [principal], window: 10s}
      things: {distinct: path.thing, per: [principal], window: 1h}
    facts:
      busy: signals.calls > 7
      tenant: request.headers[?"x-tenant"].orValue("none")
    rules:
      - {name: all, match: {principal: "spiffe://**", action: "*"}, then: allow}
"""


STEP = Step(request(), principal(), Action("read", "read", "", "medium"), {"thing": "7"}, NOW)


def faults(more, head=HEAD):
    with pytest.raises(PolicyError) as caught:
        policy(head + more)
    return [str(fault) for fault in caught.value.faults]


def caps(more):
    snapshot = policy(HEAD + more)
    candidates = snapshot.rules.candidates(Key(snapshot.catalogue.actions["read"], AGENT, ""))
    return {hit.signal.name: hit.signal.cap for hit in candidates.hits(STEP)}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("when: signals.cals > 1", "there is no `signals.cals` (column 8); did you mean `signals.calls`?"),
        ("when: signals.calls", "a condition is true or false, this one is INT"),
        (
            "when: outcome.status",
            "`outcome.status` is known only after the answer; a signal with `fed_by: outcomes` reads it (column 8)",
        ),
        ("when: 'action.kind == \"reed\"'", 'did you mean "read"?'),
        (
            "match: {action: write}, when: 'path.thing == \"1\"'",
            "no action that this touches has `{thing}` in its path",
        ),
        ("match: {action: read}, when: request.json.a == 1", "`body: json`"),
        ("when: 'request.path =='", "Syntax error"),
        ("when: 'facts.tenant > 1'", "no matching overload"),
    ],
)
def test_a_faulty_condition_is_refused_with_its_place(rule, message):
    """File, line, path, what is wrong, and the nearest name."""
    (only,) = faults(f"      - {{name: bad, {rule}, then: deny}}\n")
    assert only.startswith("policy.yaml:15: rules[1].when: ")
    assert message in only


def test_a_rule_on_a_kind_touches_what_a_case_refines_to_it():
    """The captures of an action are there for each of its kinds."""
    cases = "kind: write, cases: [{method: GET, kind: read}]}"
    head = HEAD.replace('{method: GET, path: "/v1/{thing}"}, kind: read}', 'path: "/v1/{thing}"}, ' + cases, 1)
    head = head.replace("match: path:", "match: {path:")
    policy(head + "      - {name: a, match: {action.kind: read}, when: 'path.thing == \"1\"', then: deny}\n")


def test_all_faults_of_a_policy_are_listed_at_once():
    """Of the text, the conditions and the catalogue together."""
    more = """
      - {name: one, when: signals.cals > 1, then: deny}
      - {name: two, when: signals.calls > 1, then: denny}
      - {name: three, match: {action: raed}, then: deny}
      - {name: one, then: deny}
"""
    found = faults(more)
    assert len(found) == 4
    assert [int(each.split(":")[1]) for each in found] == sorted(int(each.split(":")[1]) for each in found)


def test_a_fact_of_an_open_type_is_refused():
    """It would move type errors from load to run time."""
    assert "wrap it" in faults("", HEAD.replace("tenant: request", "bad: request.json\n      tenant: request"))[0]


def test_a_signal_filter_cannot_read_signals():
    """It is evaluated before the readings are there."""
    found = faults(
        "", HEAD.replace("per: [principal], window: 10s}", "per: [principal], window: 10s, when: facts.busy}")
    )
    assert "before the readings" in found[0]


def test_caps_come_from_the_limits_of_the_rules():
    """Twice the largest limit for counts, one more than it for members, constants and facts included."""
    assert caps("      - {name: a, when: signals.calls > vars.limit || signals.things > 8, then: deny}\n") == {
        "calls": 82,
        "things": 9,
    }
    assert caps("      - {name: a, when: facts.busy, then: deny}\n") == {"calls": 16}
    assert caps("      - {name: a, when: signals.calls * 2 > signals.things, then: deny}\n") == {
        "calls": DEFAULT_COUNT_CAP,
        "things": DEFAULT_DISTINCT_CAP,
    }


def test_a_limit_that_no_list_can_hold_is_refused():
    """Above 1 024 members a step would pay for a list longer than the rest of its decision."""
    assert "at most 1023" in faults("      - {name: a, when: signals.things > 2000, then: deny}\n")[0]


@pytest.mark.parametrize("limit", [1 << 31, 1 << 60])
def test_a_limit_that_no_count_can_reach_is_refused(limit):
    """Rather than a signal that the store cannot keep."""
    assert "more than can be counted" in faults(f"      - {{name: a, when: signals.calls > {limit}, then: deny}}\n")[0]


def test_warnings_do_not_refuse():
    """An unread signal, and a list that costs memory."""
    snapshot = policy(HEAD + "      - {name: a, when: signals.things > 100, then: deny}\n")
    messages = [fault.message for fault in snapshot.warnings]
    assert any("no rule reads this signal" in message for message in messages)
    assert any("bytes for each entity" in message for message in messages)


def test_a_list_without_a_limit_warns_how_far_it_reads():
    """A condition that computes with it could otherwise wait for a reading that never comes."""
    snapshot = policy(HEAD + "      - {name: a, when: signals.things * 2 > 200, then: deny}\n")
    assert any("reads at most 65" in fault.message for fault in snapshot.warnings)


def test_an_unread_signal_is_not_measured():
    """What no rule asks for costs no step anything."""
    assert caps("") == {}


def test_the_digest_is_of_the_meaning_not_of_the_layout():
    """Comments, order and files do not count; a limit does."""
    rule = "      - {name: a, when: signals.calls > 3, then: deny}\n"
    other = "      - {name: b, when: signals.calls > 3, then: deny}\n"
    one = policy(HEAD + rule + other)
    assert one.digest == policy(HEAD + "# a comment\n" + other + rule).digest
    assert one.digest != policy(HEAD + rule.replace("3", "4") + other).digest
    lines = textwrap.dedent(HEAD + rule + other)
    cut = lines.index("rules:")
    split = compile_policy({"a.yaml": lines[:cut].encode(), "b.yaml": ("version: 1\n" + lines[cut:]).encode()}, KEYED)
    assert split.digest == one.digest


def test_a_changed_definition_of_a_signal_starts_afresh():
    """Its id covers all that gives the stored value its meaning; a limit does not."""

    def ids(text):
        snapshot = policy(text)
        candidates = snapshot.rules.candidates(Key(snapshot.catalogue.actions["read"], AGENT, ""))
        return {hit.signal.name: hit.signal.id for hit in candidates.hits(STEP)}

    rule = "      - {name: a, when: signals.calls > 3, then: deny}\n"
    assert ids(HEAD + rule) == ids(HEAD + rule.replace("3", "30"))
    assert ids(HEAD + rule) != ids(HEAD.replace("10s", "20s") + rule)


def test_a_new_snapshot_is_warmed_with_what_the_old_one_was_asked():
    """So that the first step after a reload compiles nothing."""
    old, new = policy(HEAD), policy(HEAD + "      - {name: a, when: signals.calls > 3, then: deny}\n")
    key = Key(old.catalogue.actions["read"], AGENT, "crm")
    old.rules.candidates(key)
    new.warm_like(old)
    assert key in new.rules.known_keys()
