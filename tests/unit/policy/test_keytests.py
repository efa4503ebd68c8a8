"""The tests over candidate keys."""

import pytest

from authz_server.model import Action, Task
from authz_server.policy.keytests import ActionTest, Key, PrincipalTest, ServiceTest, TemplateTest, key_of
from authz_server.policy.patterns import compile_globs
from authz_server.policy.step import Step
from tests.steps import AGENT, NOW, principal, request

KNOWN = frozenset({"crm.read", "files.read", "unclassified"})


def key(action="crm.read", who=AGENT, service="crm/api", template=""):
    return Key(Action(action, "read", "", "low"), who, service, template)


def test_the_key_of_a_step():
    """Nobody is the empty principal, no task the empty template."""
    action = Action("crm.read", "read", "", "low")
    step = Step(request(), None, action, {}, NOW)
    assert key_of(step) == Key(action, "", "crm/api", "")
    step = Step(request(), principal(), action, {}, NOW)
    step.task = Task("weekly", "t1", AGENT, AGENT, AGENT, 0, int(NOW) + 60)
    assert key_of(step) == Key(action, AGENT, "crm/api", "weekly")


@pytest.mark.parametrize(
    ("patterns", "name", "surely", "expected"),
    [
        (("crm.*",), "crm.read", True, True),
        (("crm.*",), "crm.made", True, True),
        (("crm.made",), "crm.made", True, True),
        (("crm.*",), "files.made", True, False),
        (("*",), "unclassified", True, False),
        (("*",), "unclassified", False, False),
        (("files.read_*",), "files.read_*", True, True),
        (("files.read_x",), "files.read_*", True, False),
        (("files.read_x",), "files.read_*", False, True),
        (("crm.*",), "files.read_*", False, False),
    ],
)
def test_actions_by_known_and_by_made_names(patterns, name, surely, expected):
    """Known names are resolved; what stands for several tools fits a part of them only for what restricts."""
    meant = frozenset({"crm.read"}) if patterns == ("crm.*",) else frozenset()
    test = ActionTest(compile_globs(patterns), meant, KNOWN, surely=surely)
    assert test(key(name)) is expected


def test_what_an_action_test_looks_for():
    """The meant names and those that are spelt out."""
    test = ActionTest(compile_globs(("crm.*", "x")), frozenset({"crm.read"}), KNOWN, surely=True)
    assert (test.names, test.spells) == ({"crm.read", "x"}, False)
    assert ActionTest(compile_globs(("x",)), frozenset(), KNOWN, surely=True).spells


@pytest.mark.parametrize(
    ("patterns", "who", "expected"),
    [
        ((AGENT,), AGENT, True),
        ((AGENT,), AGENT + "x", False),
        (("spiffe://corp.example/ns/*/sa/a1",), AGENT, True),
        (("spiffe://corp.example/ns/other/**", AGENT), AGENT, True),
        (("spiffe://**",), "", False),
        (("spiffe://**",), "legacy:batch", False),
        (("anonymous",), "", True),
        (("anonymous",), AGENT, False),
        (("legacy:*",), "legacy:batch", True),
        (("legacy:other",), "legacy:batch", False),
        (("legacy:*",), "", False),
    ],
)
def test_callers_by_what_they_are(patterns, who, expected):
    """IDs, the word for nobody, and legacy callers never pass for one another."""
    assert PrincipalTest(patterns)(key(who=who)) is expected


def test_what_a_principal_test_looks_for():
    """Exact IDs apart from patterns."""
    test = PrincipalTest((AGENT, "spiffe://corp.example/**", "anonymous", "legacy:x"))
    assert (test.exact, test.anonymous) == ({AGENT}, True)
    assert [pattern.text for pattern in test.wild] == ["spiffe://corp.example/**"]
    assert test.legacy.literals == {"legacy:x"}


def test_destinations_and_templates():
    """An absent one fits no pattern."""
    assert ServiceTest(compile_globs(("crm/*",)))(key())
    assert not ServiceTest(compile_globs(("*",)))(key(service=""))
    assert TemplateTest(compile_globs(("week*",)))(key(template="weekly"))
    assert not TemplateTest(compile_globs(("*",)))(key())
