"""Handing on and replacing: nothing that comes out is wider."""

import pytest

from authz_server.policy.step import UNCLASSIFIED
from authz_server.task import attenuate
from authz_server.task.attenuate import Narrowing, covers, narrow, replace
from authz_server.task.claims import MAX_GENERATION, Confirmation
from authz_server.task.token import issue
from tests.jose import AGENT, CLAIMS, FULL, NEXT, NOW, THIRD, THUMB, signing_key, verifier

ASKED = Narrowing("k-2", NOW + 10, NOW + 60, THIRD)
AGAIN = Narrowing("k-2", NOW + 290, NOW + 590)
OTHER_THUMB = "B" * 42 + "A"


@pytest.mark.parametrize(
    ("pattern", "narrower"),
    [
        ("*", "*"), ("*", "a"), ("*", "a.*"), ("a.*", "a.b"), ("a.*", "a.*"), ("a.*", "a.b.*"), ("a.*", "a.*.b"),
        ("*.read", "crm.*.read"), ("a*b*c", "a*x*b*c"), ("a*b*c", "abc"), ("a**b", "a*b"), ("a*b", "a**b"), ("a", "a"),
        ("unclassified", "unclassified"), ("uncl*", "uncl*"), ("*a*a*", "aa"), ("files.*", "files.read_*"),
    ],
)  # fmt: skip
def test_a_pattern_covers_what_means_less(pattern, narrower):
    """Or the same."""
    assert covers(pattern, narrower)


@pytest.mark.parametrize(
    ("pattern", "narrower"),
    [
        ("a", "*"), ("a.*", "*"), ("a.b", "a.*"), ("a.*", "a*"), ("a*b", "a*"), ("*.read", "crm.*"), ("a*a", "a"),
        ("ab*ba", "aba"), ("a*b*c", "a*c"), ("*x*", "a*b"), ("*", "unclassified"), ("unclass*", "unclassified"), ("a", "A"),
        ("*aa*", "a*a"), ("", "a"), ("a", ""), ("a?c", "abc"), ("[a-z]*", "a"),
    ],
)  # fmt: skip
def test_a_pattern_does_not_cover_what_means_more(pattern, narrower):
    """Nor what is not classified, which only its own word means."""
    assert not covers(pattern, narrower)


def test_the_unclassified_have_one_name():
    """The policy's."""
    assert attenuate.UNCLASSIFIED == UNCLASSIFIED


def test_a_child_is_of_the_same_task():
    """With its own id, agent and times, asked for by the parent; what is not named stays."""
    child = narrow(FULL, ASKED)
    assert child == FULL._replace(
        jti="k-2", issued=NOW + 10, expires=NOW + 60, agents=(AGENT, NEXT, THIRD), req_wl=NEXT, generation=0,
        confirmation=Confirmation("spiffe", THIRD),
    )  # fmt: skip
    assert verifier().verify(issue(child, signing_key()), NOW + 20) == child


def test_a_child_may_do_less():
    """Fewer actions, smaller and further budgets, an earlier end."""
    child = narrow(
        FULL,
        ASKED._replace(
            actions=("crm.customer.read",), steps=5, deadline=NOW + 100, context=(),
            budgets=(("crm.customer.export", 1), ("crm.*", 3)),
        ),
    )  # fmt: skip
    assert (child.actions, child.steps, child.deadline, child.context) == (("crm.customer.read",), 5, NOW + 100, ())
    assert dict(child.budgets) == {"crm.customer.export": 1, "crm.*": 3}


def test_where_the_parent_names_no_actions_the_template_bounds_the_child():
    """Any pattern is narrower than no pattern of its own."""
    assert narrow(CLAIMS, ASKED._replace(actions=("*",))).actions == ("*",)


WIDER = {
    "actions": ({"actions": ("crm.*",)}, "narrow_actions"),
    "everything": ({"actions": ("*",)}, "narrow_actions"),
    "one_of_two": ({"actions": ("crm.customer.read", "vault.read")}, "narrow_actions"),
    "steps": ({"steps": 201}, "narrow_budget"),
    "negative": ({"steps": -1}, "narrow_budget"),
    "budget": ({"budgets": (("crm.customer.export", 3),)}, "narrow_budget"),
    "second_budget": ({"budgets": (("crm.customer.export", 1), ("crm.customer.export", 9))}, "narrow_budget"),
    "no_budget": ({"budgets": (("crm.customer.export", 0),)}, "narrow_budget"),
    "many_budgets": ({"budgets": tuple((f"a{number}", 1) for number in range(16))}, "narrow_budget"),
    "expiry": ({"expires": NOW + 301}, "narrow_expiry"),
    "deadline": ({"deadline": NOW + 901}, "narrow_expiry"),
    "beyond_its_deadline": ({"deadline": NOW + 50}, "narrow_expiry"),
    "no_life": ({"expires": NOW + 10}, "narrow_expiry"),
    "expired": ({"now": NOW + 300}, "narrow_expired"),
    "itself": ({"agent": NEXT}, "narrow_loop"),
    "loop": ({"agent": AGENT}, "narrow_loop"),
    "nobody": ({"agent": ""}, "narrow_agent"),
    "pattern": ({"agent": "spiffe://corp.example/**"}, "narrow_agent"),
    "domain": ({"agent": "spiffe://corp.example"}, "narrow_agent"),
    "another_name": ({"confirmation": Confirmation("spiffe", NEXT)}, "narrow_binding"),
}


@pytest.mark.parametrize("attack", WIDER)
def test_a_child_may_not_do_more(attack):
    """Each way of widening has its code."""
    change, code = WIDER[attack]
    assert narrow(FULL, ASKED._replace(**change)) == code


def test_the_chain_ends():
    """Where the template says, and at eight for every template."""
    assert narrow(FULL, ASKED, 1) == "narrow_depth"
    assert isinstance(narrow(FULL, ASKED, 2), tuple)
    deep = FULL._replace(agents=tuple(f"{AGENT}{number}" for number in range(9)))
    assert narrow(deep, ASKED, 100) == "narrow_depth"


@pytest.mark.parametrize("method", ["x5t#S256", "jkt"])
def test_a_proof_beside_the_name_is_not_given_up(method):
    """A child of a token that needs a certificate or a key needs one too."""
    parent = FULL._replace(confirmation=Confirmation(method, THUMB))
    assert narrow(parent, ASKED) == "narrow_binding"
    for own in ("x5t#S256", "jkt"):
        asked = ASKED._replace(confirmation=Confirmation(own, OTHER_THUMB))
        assert narrow(parent, asked).confirmation == asked.confirmation


def test_a_replacement_lasts_longer_and_says_the_same():
    """It is what makes authorization continuous: the task is asked for again every few minutes."""
    renewed = replace(FULL, AGAIN)
    assert renewed == FULL._replace(jti="k-2", issued=NOW + 290, expires=NOW + 590, req_wl=NEXT, generation=4)
    assert replace(FULL, AGAIN._replace(agent=NEXT)) == renewed


NO_REPLACEMENT = {
    "too_late": (FULL, {"now": NOW + 300}, "narrow_expired"),
    "beyond_the_task": (FULL, {"expires": NOW + 901}, "narrow_expiry"),
    "longer_task": (FULL, {"deadline": NOW + 10_000}, "narrow_expiry"),
    "another_agent": (FULL, {"agent": THIRD}, "narrow_agent"),
    "former_agent": (FULL, {"agent": AGENT}, "narrow_agent"),
    "actions": (FULL, {"actions": ("*",)}, "narrow_actions"),
    "steps": (FULL, {"steps": 1000}, "narrow_budget"),
    "too_often": (FULL._replace(generation=MAX_GENERATION), {}, "narrow_generation"),
    "name_for_certificate": (
        FULL._replace(confirmation=Confirmation("x5t#S256", THUMB)),
        {"confirmation": Confirmation("spiffe", NEXT)},
        "narrow_binding",
    ),
    "name_for_key": (
        FULL._replace(confirmation=Confirmation("jkt", THUMB)),
        {"confirmation": Confirmation("spiffe", NEXT)},
        "narrow_binding",
    ),
    "another_key": (
        FULL._replace(confirmation=Confirmation("jkt", THUMB)),
        {"confirmation": Confirmation("jkt", OTHER_THUMB)},
        "narrow_binding",
    ),
    "certificate_for_key": (
        FULL._replace(confirmation=Confirmation("jkt", THUMB)),
        {"confirmation": Confirmation("x5t#S256", OTHER_THUMB)},
        "narrow_binding",
    ),
}


@pytest.mark.parametrize("attack", NO_REPLACEMENT)
def test_a_replacement_is_no_way_out(attack):
    """Not of the task's end, its agent, its bounds or its proof."""
    parent, change, code = NO_REPLACEMENT[attack]
    assert replace(parent, AGAIN._replace(**change)) == code


def test_a_new_certificate_follows_the_rotation():
    """Of the same agent."""
    parent = FULL._replace(confirmation=Confirmation("x5t#S256", THUMB))
    renewed = replace(parent, AGAIN._replace(confirmation=Confirmation("x5t#S256", OTHER_THUMB)))
    assert renewed.confirmation.value == OTHER_THUMB


def test_a_name_may_become_more():
    """A token that was bound by name is bound to a key from now on."""
    assert replace(FULL, AGAIN._replace(confirmation=Confirmation("jkt", THUMB))).confirmation.method == "jkt"
