"""Which steps a rule touches."""

import pytest

from authz_server.model import Action
from authz_server.policy.entries import RuleEntry
from authz_server.policy.rule import Lift, Rule
from authz_server.policy.selector import EVERYTHING, Key, Selectors
from authz_server.policy.step import Step
from authz_server.policy.tree import Where
from authz_server.verdict import Effect
from tests.steps import AGENT, NOW, principal, request

READ = Action("crm.read", "read", "", "medium")
EXPORT = Action("crm.export", "bulk-read", "collection", "high")
UNKNOWN = Action("unclassified", "write", "", "medium")
NAMES = ("crm.read", "crm.export", "files.read")


SELECTORS = Selectors(NAMES)


def rule(match=None, exclude=None, effect=Effect.DENY, mode="by-kind"):
    entry = RuleEntry(
        name="r",
        match=match or {},
        exclude=exclude or {},
        when="",
        then=effect,
        reason="",
        remedy="",
        alert="",
        tags=(),
        contain=(),
        enforce=10_000,
        on_state_error=mode,
        where=Where(1, "p.yaml"),
    )
    return Rule(entry, SELECTORS.compile(match or {}), SELECTORS.compile(exclude) if exclude else None)


def step(who=AGENT, action=READ, **changes):
    return Step(request(**changes), principal(who) or None, action, {}, NOW)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, True),
        ({"action": ("crm.*",)}, True),
        ({"action": ("files.*",)}, False),
        ({"action.kind": ("read", "write")}, True),
        ({"action.kind": ("write",)}, False),
        ({"action.sensitivity": ("medium",)}, True),
        ({"action.stage": ("collection",)}, False),
        ({"principal": (AGENT,)}, True),
        ({"principal": ("spiffe://corp.example/ns/*/sa/a1",)}, True),
        ({"principal": ("anonymous",)}, False),
        ({"destination": ("crm/*",)}, True),
        ({"destination": ("vault/*",)}, False),
        ({"action": ("crm.*",), "principal": ("spiffe://other.example/**",)}, False),
    ],
)
def test_all_keys_of_a_match_must_hold(match, expected):
    """Any pattern of a key, every key of a match."""
    assert rule(match).applies(Key(READ, AGENT, "crm/api")) is expected


def test_anonymous_is_only_that_word():
    """A pattern over SPIFFE IDs never includes a step without an identity."""
    key = Key(READ, "", "crm/api")
    assert not rule({"principal": ("spiffe://**",)}).applies(key)
    assert rule({"principal": ("anonymous",)}).applies(key)


def test_an_allow_rule_touches_unclassified_only_by_name():
    """What the catalogue does not describe is not allowed by a pattern, a kind or silence."""
    key = Key(UNKNOWN, AGENT, "")
    assert not rule({"action.kind": ("write",)}, effect=Effect.ALLOW).applies(key)
    assert not rule({}, effect=Effect.ALLOW).applies(key)
    assert rule({}, effect=Effect.DENY).applies(key)


@pytest.mark.parametrize(
    ("exclude", "address", "touched"),
    [
        ({"principal": (AGENT,)}, "10.1.2.3", False),
        ({"principal": ("spiffe://corp.example/ns/other/**",)}, "10.1.2.3", True),
        ({"source": ("10.0.0.0/8",)}, "10.1.2.3", False),
        ({"source": ("10.0.0.0/8",)}, "192.0.2.1", True),
        ({"principal": (AGENT,), "source": ("10.0.0.0/8",)}, "192.0.2.1", True),
        ({"principal": (AGENT,), "source": ("10.0.0.0/8",)}, "10.1.2.3", False),
        ({"principal": ("spiffe://corp.example/ns/other/**",), "source": ("10.0.0.0/8",)}, "10.1.2.3", True),
    ],
)
def test_exclude_lifts_a_rule_when_all_its_keys_hold(exclude, address, touched):
    """Static and dynamic keys together."""
    it = rule({}, exclude)
    assert (it.applies(Key(READ, AGENT, "")) and it.touches(step(source_address=address))) is touched


@pytest.mark.parametrize(
    ("action", "mode"),
    [
        (READ, "local"),
        (EXPORT, "deny"),
        (Action("a", "read", "", "high"), "deny"),
        (Action("a", "read", "lateral-movement", "low"), "deny"),
        (Action("a", "discovery", "discovery", "low"), "local"),
        (Action("a", "write", "", "low"), "deny"),
        (Action("a", "message", "", "low"), "local"),
    ],
)
def test_without_a_reading_the_kind_of_action_decides(action, mode):
    """Changes, sensitive data and late stages are refused, reads go by local counts."""
    assert rule().state_error_mode(action) == mode


def test_a_rule_may_say_itself_what_happens_without_a_reading():
    """`on_state_error` of the rule wins."""
    assert rule(mode="skip").state_error_mode(EXPORT) == "skip"
    assert rule(mode="local").state_error_mode(Action("a", "write", "", "medium")) == "local"
    assert rule(mode="deny").state_error_mode(READ) == "deny"


@pytest.mark.parametrize(
    "action",
    [
        EXPORT,
        Action("a", "read", "", "high"),
        Action("a", "read", "", "critical"),
        Action("a", "read", "credential-access", "low"),
    ],
)
def test_no_rule_goes_by_local_counts_on_sensitive_or_late_steps(action):
    """Whoever can take the store away would choose when."""
    assert rule(mode="local").state_error_mode(action) == "deny"


def test_a_legacy_caller_is_granted_by_its_own_entry_only():
    """No pattern and no silence of an allow rule reaches it; restricting rules name it or touch everybody."""
    key = Key(READ, "legacy:batch", "")
    assert rule({"principal": ("legacy:batch",)}, effect=Effect.ALLOW).applies(key)
    assert not rule({"principal": ("legacy:*",)}, effect=Effect.ALLOW).applies(key)
    assert not rule({}, effect=Effect.ALLOW).applies(key)
    assert rule({"principal": ("legacy:*",)}).applies(key)
    assert rule({}).applies(key)
    assert not rule({"principal": ("spiffe://**", "anonymous")}).applies(key)


def test_a_task_is_matched_by_its_template():
    """A step without a task has none that any pattern fits."""
    it = rule({"task": ("weekly-*",)})
    assert it.applies(Key(READ, AGENT, "", "weekly-report"))
    assert not it.applies(Key(READ, AGENT, "", "break-glass"))
    assert not rule({"task": ("*",)}).applies(Key(READ, AGENT, ""))


def test_an_exception_lifts_until_its_end():
    """Its match and its time; of several the first by name is told."""
    it = rule()
    it.lifts = (
        Lift("by-match", SELECTORS.compile({"principal": ("spiffe://other.example/**",)}), 0, ""),
        Lift("in-time", EVERYTHING, NOW + 1, ""),
    )
    lifted = it.lifted_by(step())
    assert lifted is not None
    assert lifted.name == "in-time"
    late = step()
    late.now = NOW + 1
    assert it.lifted_by(late) is None
