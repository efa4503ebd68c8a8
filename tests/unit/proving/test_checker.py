"""Which proof a request presents, for what it must be made, and what it says of what else the request presents."""

import pytest

from authz_server.model import Credential, Invalid, Task
from authz_server.task.jws import digest_of
from tests.jose import AGENT, NEXT, NOW, part, principal_of
from tests.steps import request
from tests.unit.proving.world import (
    HOLDER,
    HOST,
    THIEF,
    access_token,
    bound_headers,
    checker,
    dpop,
    wit,
    workload_headers,
    wpt,
)

TASK = Task("t", "t1", AGENT, AGENT, AGENT, 0, NOW + 900, key=HOLDER.public.kid)


def asking(headers, *, repeated=(), host=HOST, path="/v1/things", credentials=(), method="GET"):
    found = request(method, path, headers=headers)
    return found._replace(host=host, raw_path=path, repeated=dict(repeated), credentials=credentials)


def proved(headers, who=AGENT, it=None, **more):
    it = it or checker()
    assert it.presents(headers)
    principal = principal_of(who) if who else None
    return it.proof_of(asking(headers, **more), principal, NOW, b"mark")


def word(headers, task=None, **more):
    """`credential.proof`, or the code."""
    found = proved(headers, **more)
    return found.reason if isinstance(found, Invalid) else found.word(task)


def test_what_presents_nothing_is_not_looked_at():
    """Nor what is presented to others, where that is not served."""
    assert not checker().presents({"authorization": "DPoP x", "txn-token": "y"})
    assert not checker(dpop=False).presents({"dpop": "x"})
    assert not checker(workloads=None).presents({"workload-identity-token": "x", "workload-proof-token": "x"})


def test_a_token_bound_to_the_key_is_proved():
    """RFC 9449 4.3, check 12."""
    assert word(bound_headers()) == "dpop"


def test_a_thief_makes_a_key_and_a_proof_of_its_own():
    """With the stolen token in it, all of whose checks hold but the last."""
    stolen = access_token()
    assert word(bound_headers(stolen, THIEF)) == "proof_bound_to_another"


@pytest.mark.parametrize(
    "token",
    [
        access_token(None),
        access_token(None, cnf={"x5t#S256": "A" * 43}),
        access_token(None, cnf="key"),
        access_token(None, cnf={"jkt": 7}),
        "opaque",
        "a.b.c",
        f"{part({})}.{part(b'[1]')}.{part(b'x')}",
        f"{part({})}.{part(b'{')}.{part(b'x')}",
    ],
)
def test_a_proof_says_nothing_of_a_token_that_names_no_key(token):
    """It holds, and that is for the destination to judge; no policy goes by it."""
    assert word(bound_headers(token)) == ""
    assert word(bound_headers(token), task=TASK) == ""


def test_without_a_token_the_task_may_name_the_key():
    """And no task, or the task of another key, does not."""
    assert word({"dpop": dpop()}, task=TASK) == "dpop"
    assert word({"dpop": dpop()}) == ""
    assert word({"dpop": dpop(THIEF)}, task=TASK) == ""
    assert word({"dpop": dpop()}, task=TASK._replace(key="")) == ""


@pytest.mark.parametrize("authorization", ["Bearer stolen", "Basic YTpi", "Digest a=b"])
def test_a_credential_beside_the_proof_is_not_proved(authorization):
    """Else a stolen one would pass for one that is held."""
    headers = {"authorization": authorization, "dpop": dpop()}
    assert word(headers, task=TASK) == ""


def test_nor_is_another_credential_beside_the_token():
    """Whatever header it is in."""
    key = Credential("x-api-key", "0" * 32)
    assert word(bound_headers(), credentials=(key,)) == ""
    assert word({"dpop": dpop()}, task=TASK, credentials=(key,)) == ""
    assert word(bound_headers(), credentials=(Credential("dpop", "0" * 32),)) == "dpop"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"htm": "POST"}, "proof_htm"),
        ({"htu": f"https://{HOST}/v1/others"}, "proof_htu"),
        ({"htu": "https://evil.example/v1/things"}, "proof_htu"),
        ({"htu": f"http://{HOST}/v1/things"}, "proof_htu"),
        ({"htu": f"https://{HOST}:8443/v1/things"}, "proof_htu"),
        ({"iat": NOW - 61}, "proof_expired"),
        ({"iat": NOW + 6}, "proof_from_the_future"),
        ({"ath": None}, "proof_ath"),
        ({"ath": digest_of("another")}, "proof_ath"),
        ({"jti": "short"}, "proof_jti"),
        ({"head": {"alg": "none"}}, "proof_alg"),
        ({"head": {"alg": "HS256"}}, "proof_alg"),
        ({"head": {"typ": "JWT"}}, "proof_typ"),
    ],
)
def test_a_proof_for_something_else(more, code):
    """Of RFC 9449 4.3."""
    assert word(bound_headers(**more)) == code


@pytest.mark.parametrize("path", ["/v1/things", "/v1/things?page=2", f"/v1/things?next=https://{HOST}/#x"])
def test_the_query_is_none_of_the_target(path):
    """RFC 9449 4.2."""
    assert word(bound_headers(), path=path) == "dpop"


def test_a_proof_comes_once():
    """Two lines, or two joined ones."""
    one, two = dpop(), dpop()
    assert word({"dpop": f"{one},{two}"}, repeated={"dpop": (one, two)}) == "proof_repeated"
    assert word({"dpop": f"{one},{two}"}) == "proof_malformed"


def test_origins_say_what_a_host_is_known_as():
    """No other host takes proofs then."""
    it = checker(origins={HOST: f"https://{HOST}:8443"})
    assert word(bound_headers(htu=f"https://{HOST}:8443/v1/things"), it=it) == "dpop"
    assert word(bound_headers(), it=it) == "proof_htu"
    assert word(bound_headers(), it=it, host="other.corp.example") == "proof_host"


def test_a_proof_for_one_host_is_none_for_another():
    """Its owner cannot show it elsewhere, whatever it says of itself."""
    assert word(bound_headers(), host="other.corp.example") == "proof_htu"


def test_a_proof_is_good_once():
    """Even with another step's mark only; the same step finds it again."""
    it, headers = checker(), bound_headers()
    for mark, found in ((b"a", "Proved"), (b"b", "Invalid"), (b"a", "Proved")):
        assert type(it.proof_of(asking(headers), None, NOW, mark)).__name__ == found


def test_what_the_store_is_asked():
    """For the one use of this key's proof."""
    one, two = proved(headers := bound_headers()).use, proved(headers).use
    assert one == two
    assert (one.signal.cap, one.signal.window_ms) == (1, 70_000)
    assert one.entity.parts[0] == HOLDER.public.kid
    assert proved(workload_headers()).use.signal.window_ms == 305_000


def test_a_workload_proves_itself():
    """Where its token names who calls."""
    assert word(workload_headers()) == "wpt"


@pytest.mark.parametrize("who", [NEXT, ""])
def test_the_token_of_another_workload(who):
    """Whoever was called by the workload has seen its token, and its proof."""
    assert word(workload_headers(), who=who) == "wit_of_another"


def test_both_halves_are_needed():
    """The token alone proves nothing, and the proof alone names nobody."""
    both = workload_headers()
    assert word({"workload-identity-token": both["workload-identity-token"]}) == "wpt_missing"
    assert word({"workload-proof-token": both["workload-proof-token"]}) == "wit_missing"


def test_one_kind_of_proof_at_a_time():
    """Which of two counts is nobody's to guess."""
    assert word(workload_headers() | {"dpop": dpop()}) == "proof_ambiguous"
    assert word(workload_headers() | {"dpop": dpop()}, it=checker(dpop=False)) == "wpt"


def test_a_thief_of_the_workloads_token_cannot_prove():
    """Nor who makes a token of its own."""
    token = wit()
    assert word({"workload-identity-token": token, "workload-proof-token": wpt(token, THIEF)}) == "wpt_signature"
    forged = wit(THIEF, THIEF)
    assert word({"workload-identity-token": forged, "workload-proof-token": wpt(forged, THIEF)}) == "wit_signature"


def test_two_proofs_of_workloads():
    """Each header comes once."""
    both = workload_headers()
    name = "workload-proof-token"
    assert word(both, repeated={name: (both[name], both[name])}) == "wpt_repeated"


@pytest.mark.parametrize(
    ("headers", "covered", "code"),
    [
        ({"authorization": "Bearer abc"}, {"ath": digest_of("abc")}, "wpt_ath"),
        ({"authorization": "DPoP abc"}, {"ath": digest_of("abc")}, "wpt_ath"),
        ({"authorization": "Basic YTpi"}, {"oth": {"authorization": digest_of("Basic YTpi")}}, "wpt_oth"),
        ({"x-api-key": "abc"}, {"oth": {"x-api-key": digest_of("abc")}}, "wpt_oth"),
        ({"txn-token": "eyJ.x.y"}, {"tth": digest_of("eyJ.x.y")}, "wpt_tth"),
    ],
)
def test_every_credential_is_covered(headers, covered, code):
    """What the proof says nothing of was put there by somebody else."""
    token = wit()
    both = {"workload-identity-token": token, **headers}
    assert word({**both, "workload-proof-token": wpt(token, **covered)}) == "wpt"
    assert word({**both, "workload-proof-token": wpt(token)}) == code
    stripped = {"workload-identity-token": token, "workload-proof-token": wpt(token, **covered)}
    assert word(stripped) == code
