"""Who may show a token."""

from hashlib import sha256

import pytest

from authz_server.task.attenuate import Narrowing, narrow
from authz_server.task.binding import ANOTHER, bound, confirm_certificate
from authz_server.task.claims import Confirmation
from tests.jose import AGENT, CLAIMS, NEXT, NOW, ORCHESTRATOR, THUMB, principal_of

DIGEST = sha256(b"a certificate").hexdigest()
OTHER_DIGEST = sha256(b"another certificate").hexdigest()
ME = principal_of(AGENT)
BY_CERTIFICATE = CLAIMS._replace(confirmation=Confirmation("x5t#S256", confirm_certificate(DIGEST)))
BY_KEY = CLAIMS._replace(confirmation=Confirmation("jkt", THUMB))


@pytest.mark.parametrize("by", ["certificate", "principal", "xfcc"])
@pytest.mark.parametrize("thumbprint", [None, DIGEST])
def test_the_agent_shows_its_token(by, thumbprint):
    """However it was authenticated."""
    assert bound(CLAIMS, principal_of(AGENT, by), thumbprint) == ""


@pytest.mark.parametrize(
    "presenter",
    [
        None,
        principal_of(NEXT),
        principal_of(ORCHESTRATOR),
        principal_of("customer-7"),
        principal_of(AGENT + "1"),
        principal_of(AGENT[:-1]),
        principal_of(AGENT.replace("corp.example", "corp.example.evil")),
        principal_of(AGENT.upper()),
        principal_of("legacy:a1", "legacy"),
        principal_of(""),
    ],
)
@pytest.mark.parametrize("claims", [CLAIMS, BY_CERTIFICATE, BY_KEY])
def test_nobody_else_does(claims, presenter):
    """Neither who opened it nor on whose behalf; a stolen token's certificate or key without the name is not enough."""
    assert bound(claims, presenter, DIGEST, THUMB) == ANOTHER


def test_a_certificate_is_compared():
    """RFC 8705: the agent with another certificate is refused, and so is one without any."""
    assert bound(BY_CERTIFICATE, ME, DIGEST) == ""
    assert bound(BY_CERTIFICATE, ME, OTHER_DIGEST) == ANOTHER
    assert bound(BY_CERTIFICATE, ME, None) == "task_certificate_missing"
    assert bound(BY_CERTIFICATE, ME, "") == "task_certificate_missing"
    assert bound(BY_CERTIFICATE, ME, "no digest") == ANOTHER
    assert bound(BY_CERTIFICATE, ME, None, THUMB) == "task_certificate_missing"


def test_a_key_is_compared():
    """RFC 9449: the proof must be by the key of the token."""
    assert bound(BY_KEY, ME, None, THUMB) == ""
    assert bound(BY_KEY, ME, None, THUMB[:-1] + "E") == ANOTHER
    assert bound(BY_KEY, ME, DIGEST) == "task_proof_missing"


def test_each_carrier_has_a_token_of_its_own():
    """The delegate's is none of the parent's, nor the other way round."""
    child = narrow(CLAIMS, Narrowing("k-2", NOW, NOW + 60, NEXT))
    assert bound(child, principal_of(NEXT), None) == ""
    assert bound(child, ME, None) == ANOTHER
    assert bound(CLAIMS, principal_of(NEXT), None) == ANOTHER


def test_a_thumbprint_is_of_sha_256():
    """As Envoy writes it; everything else is refused where a token is made."""
    assert confirm_certificate("00" * 32) == THUMB
    for text in ("", "00" * 31, "zz" * 32, "00" * 33):
        with pytest.raises(ValueError, match=r"."):
            confirm_certificate(text)
