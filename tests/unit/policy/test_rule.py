"""Which steps a rule touches."""

import pytest

from authz_server.model import Action
from authz_server.policy.facts import Step
from authz_server.policy.rule import Key, Rule, actions_of, compile_selector
from authz_server.verdict import Effect
from tests.steps import AGENT, NOW, principal, request

READ = Action("crm.read", "read", "", "medium")
EXPORT = Action("crm.export", "bulk-read", "collection", "high")
UNKNOWN = Action("unclassified", "write", "", "medium")
NAMES = ("crm.read", "crm.export", "files.read")


def rule(match=None, exclude=None, effect=Effect.DENY):
    return Rule(
        "r", effect, compile_selector(match or {}, NAMES), compile_selector(exclude, NAMES) if exclude else None
    )


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
    assert actions_of(("*",), NAMES) == set(NAMES)
    assert actions_of(("unclassified",), NAMES) == {"unclassified"}


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
    it = rule()
    it.on_state_error = "skip"
    assert it.state_error_mode(EXPORT) == "skip"


def test_an_unknown_key_is_refused():
    """The front of the language knows all keys; this one is for its tests."""
    with pytest.raises(ValueError, match="no key"):
        compile_selector({"nonsense": ("a",)}, NAMES)
