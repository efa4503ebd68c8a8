"""Step matches compiled: which keys and which steps they are about."""

import pytest

from authz_server.content.rpc import Rpc
from authz_server.model import Action
from authz_server.policy import selector
from authz_server.policy.selector import EVERYTHING, Key, Selectors
from authz_server.policy.step import Step
from tests.steps import AGENT, NOW, credential, principal, request

NAMES = ("crm.read", "crm.export", "files.read", "crmx")
READ = Action("crm.read", "read", "", "medium")


def key(action=READ, who=AGENT, service="crm/api", template=""):
    return Key(action, who, service, template)


def step(who=AGENT, **changes):
    return Step(request(**changes), principal(who) or None, READ, {}, NOW)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("crm.*",), {"crm.read", "crm.export"}),
        (("*",), set(NAMES)),
        (("*.read", "crmx"), {"crm.read", "files.read", "crmx"}),
        (("c*t",), {"crm.export"}),
        (("crm.read", "crm.made"), {"crm.read"}),
        (("unclassified",), {"unclassified"}),
        (("un*",), set()),
    ],
)
def test_the_known_actions_that_patterns_mean(patterns, expected):
    """What no entry fits is meant by that word only."""
    assert Selectors(NAMES).actions_of(patterns) == expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, True),
        ({"action": ("crm.*",)}, True),
        ({"action": ("files.*",)}, False),
        ({"action.kind": ("read", "write")}, True),
        ({"action.kind": ("write",)}, False),
        ({"action.stage": ("collection",)}, False),
        ({"action.sensitivity": ("medium",)}, True),
        ({"principal": (AGENT,), "destination": ("crm/*",)}, True),
        ({"principal": (AGENT,), "destination": ("vault/*",)}, False),
        ({"task": ("*",)}, False),
    ],
)
def test_all_static_tests_must_hold(match, expected):
    """They depend on nothing but the key."""
    compiled = Selectors(NAMES).compile(match)
    assert compiled.holds_statically(key()) is expected
    assert compiled.dynamic == ()


def test_a_scope_narrows_what_a_match_can_be_about():
    """A team speaks of its own actions only, whatever it writes."""
    selectors = Selectors(NAMES)
    assert not selectors.compile({}, ("files.*",)).holds_statically(key())
    assert not selectors.compile({"action": ("*",)}, ("files.*",)).holds_statically(key())
    assert selectors.compile({"action": ("*.read",)}, ("crm.*",)).holds_statically(key())


def test_what_grants_must_be_sure():
    """A name that stands for several tools fits what restricts if one of them may be meant."""
    selectors, family = Selectors(NAMES), key(Action("files.read_*", "read", "", "low"))
    match = {"action": ("files.read_x",)}
    assert selectors.compile(match).holds_statically(family)
    assert not selectors.compile(match, surely=True).holds_statically(family)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"source": ("10.0.0.0/8",)}, True),
        ({"source": ("192.0.2.0/24",)}, False),
        ({"credential": (credential("c1").id,)}, True),
        ({"credential": ("other",)}, False),
        ({"hours": ("00:00-23:59 UTC",)}, True),
        ({"mcp.tool": ("read_*",)}, True),
        ({"mcp.tool": ("write_*",)}, False),
        ({"source": ("10.0.0.0/8",), "mcp.tool": ("write_*",)}, False),
    ],
)
def test_dynamic_tests_look_at_the_step(match, expected):
    """What differs between the steps of one key."""
    it = step(credentials=(credential("c2"), credential("c1")))
    it.rpc = Rpc("tools/call", "read_file", {}, "", 1, {})
    compiled = Selectors(NAMES).compile(match)
    assert compiled.static == ()
    assert compiled.holds_dynamically(it) is expected
    assert compiled.holds(it) is expected


def test_a_step_without_a_call_has_no_tool():
    """Not even `*` fits."""
    assert not Selectors(NAMES).compile({"mcp.tool": ("*",)}).holds(step())


def test_everything_is_about_every_step():
    """A match that was not written."""
    assert EVERYTHING.holds(step(""))


def test_equal_parts_share_one_test():
    """That is what an index can tell them by, and what keeps many rules small."""
    selectors = Selectors(NAMES)
    one = selectors.compile({"principal": (AGENT,), "action": ("crm.*",)})
    two = selectors.compile({"action": ("crm.*",), "principal": (AGENT,)}, surely=True)
    assert one.static[0] is two.static[1]
    assert one.static[1] is not two.static[0]
    assert selectors.compile({"action": ("crm.*",)}).static[0] is one.static[1]


def test_an_unknown_key_is_refused():
    """The loader knows all of them."""
    with pytest.raises(ValueError, match="no key of a step match"):
        Selectors(NAMES).compile({"action.color": ("red",)})


def test_the_tests_of_tokens_are_remembered_within_bounds(monkeypatch):
    """Issuers write what they like."""
    monkeypatch.setattr(selector, "MAX_TOKEN_TESTS", 4)
    selectors = Selectors(NAMES)
    assert selectors.action_test(("crm.*",)) is selectors.action_test(("crm.*",))
    for number in range(50):
        selectors.action_test((f"crm.{number}",))
    assert len(selectors._tokens) <= 4
    assert selectors.action_test(("crm.*",))(key())
