"""How a challenge is put to the caller."""

import pytest

from authz_server.envoy.challenge import answer_spec, approval_member, proof_challenge, step_up_challenge
from authz_server.verdict import REASONS, Decision, Demand, Reason, Verdict

APPROVAL = Demand("a", ("group:soc", "group:owners"), "arguments", 1, 600)
OTHER = Demand("b", ("group:owners",), "action", 20, 60)
STEP_UP = Demand("c", acr="mfa", max_age_s=300, steps_up=True)
FRESH = Demand("d", max_age_s=60, steps_up=True)
BARE = Demand("e")


def verdict(*demands, decision=Decision.CHALLENGE, reason=Reason.CHALLENGE):
    return Verdict(decision, reason, rule="secret-rule", demands=demands)


@pytest.mark.parametrize(
    ("demands", "status"),
    [
        ((), (7, 403)),
        ((BARE,), (7, 403)),
        ((APPROVAL,), (7, 403)),
        ((STEP_UP,), (16, 401)),
        ((APPROVAL, STEP_UP), (16, 401)),
    ],
)
def test_what_a_fresh_authentication_meets_is_a_401(demands, status):
    """Also where an approval is asked for as well: the repeated request meets the other."""
    spec = answer_spec(verdict(*demands))
    assert (spec.grpc, spec.http) == status
    assert (spec.public, spec.text) == (REASONS[Reason.CHALLENGE].public, REASONS[Reason.CHALLENGE].text)


def test_other_reasons_look_as_ever():
    """Nothing is demanded of them."""
    for reason in Reason:
        assert answer_spec(verdict(decision=Decision.DENY, reason=reason)) == REASONS[reason]


@pytest.mark.parametrize(
    ("demands", "parameters"),
    [
        ((STEP_UP,), ', acr_values="mfa", max_age="300"'),
        ((FRESH,), ', max_age="60"'),
        ((STEP_UP, FRESH, APPROVAL), ', acr_values="mfa", max_age="60"'),
        (
            (STEP_UP, STEP_UP._replace(acr="urn:x:strong", max_age_s=0)),
            ', acr_values="mfa urn:x:strong", max_age="300"',
        ),
        ((STEP_UP, STEP_UP._replace(rule="f")), ', acr_values="mfa", max_age="300"'),
    ],
)
def test_a_step_up_names_all_classes_and_the_smallest_age(demands, parameters):
    """As RFC 9470 writes them; each class once."""
    value = step_up_challenge(verdict(*demands))
    assert value.startswith('Bearer error="insufficient_user_authentication", error_description="')
    assert value.endswith(parameters)
    assert "secret-rule" not in value


@pytest.mark.parametrize("demands", [(), (APPROVAL,), (BARE,)])
def test_without_a_step_up_there_is_no_challenge_of_its_own(demands):
    """The ordinary one of a 401 stays."""
    assert step_up_challenge(verdict(*demands)) == ""


@pytest.mark.parametrize(
    ("demands", "member"),
    [
        ((APPROVAL,), {"by": ["group:soc", "group:owners"], "expires_in": 600}),
        ((APPROVAL, OTHER), {"by": ["group:soc", "group:owners"], "expires_in": 60}),
        ((STEP_UP, OTHER), {"by": ["group:owners"], "expires_in": 60}),
        ((STEP_UP, BARE), {}),
        ((), {}),
    ],
)
def test_an_approval_says_whose_and_for_how_long(demands, member):
    """Groups once each, and the time in which all of them hold."""
    assert approval_member(verdict(*demands)) == member


@pytest.mark.parametrize("detail", ["proof_expired", "proof_replayed", "proof_bound_to_another"])
def test_a_bad_proof_is_told_as_the_rfc_asks(detail):
    """And no more than that (RFC 9449 7.1)."""
    told = proof_challenge(Verdict(Decision.DENY, Reason.UNAUTHENTICATED, detail=detail))
    assert told.startswith('DPoP error="invalid_dpop_proof", algs="')
    assert "ES256" in told
    assert detail not in told


@pytest.mark.parametrize(
    ("reason", "detail"),
    [
        (Reason.UNAUTHENTICATED, "svid_expired"),
        (Reason.UNAUTHENTICATED, "wpt_expired"),
        (Reason.STATE_UNAVAILABLE, "proof_unconfirmed"),
        (Reason.DENIED, ""),
    ],
)
def test_nothing_else_is_a_bad_proof(reason, detail):
    """Where another proof would not help."""
    assert proof_challenge(Verdict(Decision.DENY, reason, detail=detail)) == ""
