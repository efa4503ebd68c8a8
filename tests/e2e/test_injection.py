"""Credentials that are made for one destination: what arrives upstream is ours, and nothing of the caller's own."""

import base64
import json

import httpx
import pytest

from authz_server.keyhash import KeyedHash
from authz_server.taskbook.keys import derived_signing_keys
from tests.envoy_site import DOORS, decision_of
from tests.site_pki import agent
from tests.work_site import ORCHESTRATOR, id_of, work_site

pytestmark = [pytest.mark.e2e, pytest.mark.server]

WRITER = agent("writer")
OWN = "Bearer what-the-agent-brought"
SECRET = "a-fixed-secret-of-the-partner"
CUSTOMER = "/v1/customers/7"


@pytest.fixture(scope="module", params=DOORS)
def place(request, tmp_path_factory):
    secret = tmp_path_factory.mktemp("secret") / "partner"
    secret.write_text(f"{SECRET}\n")
    with work_site(request.param, injections={"https://partners.example": {"secret": str(secret)}}) as found:
        yield found


def headers_of(answer):
    """What reached the upstream: name to values."""
    found = {}
    for name, value in answer.json()["headers"]:
        found.setdefault(name, []).append(value)
    return found


def parts_of(token):
    """Header and claims of a compact token."""
    return [json.loads(base64.urlsafe_b64decode(f"{part}===")) for part in token.split(".")[:2]]


def test_the_destination_gets_a_credential_of_its_own(place):
    """A token for it alone, for a minute, that names task and agent; the task's token and what the agent brought are gone."""
    issued = place.open_task(WRITER)
    for _ in range(4):
        answer = place.ask(WRITER, CUSTOMER, issued.token, headers={"authorization": OWN})
        assert answer.status_code == 200
        seen = headers_of(answer)
        (value,) = seen["authorization"]
        assert value.startswith("Bearer ey")
        assert "txn-token" not in seen
        assert issued.token not in answer.text
        assert OWN not in answer.text
        head, claims = parts_of(value.removeprefix("Bearer "))
        assert (head["typ"], head["alg"]) == ("at+jwt", "ES256")
        assert (claims["iss"], claims["aud"]) == ("https://authz.corp.example", "https://crm.corp.example")
        assert (claims["sub"], claims["client_id"], claims["act"]) == (ORCHESTRATOR, WRITER, {"sub": WRITER})
        assert claims["txn"] == issued.task.id
        assert 0 < claims["exp"] - claims["iat"] <= 60


def test_it_is_signed_with_the_key_of_the_deployment(place):
    """Whichever replica made it; a changed one is not."""
    token = place.open_task(WRITER).token
    answer = place.ask(WRITER, CUSTOMER, token, headers={})
    compact = headers_of(answer)["authorization"][0].removeprefix("Bearer ")
    keyed = KeyedHash((place.site.directory / "hash.key").read_bytes().strip())
    (key,) = derived_signing_keys(keyed).verifying.values()
    signed, _, signature = compact.rpartition(".")
    raw = base64.urlsafe_b64decode(f"{signature}===")
    assert parts_of(compact)[0]["kid"] == key.kid
    assert key.verifies(signed.encode(), raw)
    assert not key.verifies(f"{signed}A".encode(), raw)


def test_a_destination_that_knows_no_tokens_gets_its_secret(place):
    """In its own header; the policy takes away the agent's other one."""
    token = place.open_task(WRITER).token
    answer = place.ask(
        WRITER, "/v1/partners/7", token, host="billing", headers={"authorization": OWN, "x-api-key": "mine"}
    )
    seen = headers_of(answer)
    assert seen["x-api-key"] == [SECRET]
    assert not {"authorization", "txn-token"} & seen.keys()


def test_nothing_is_added_to_other_steps(place):
    """What no entry is about keeps what it brought, and a refusal shows no credential."""
    seen = headers_of(place.ask(WRITER, "/v1/notes/1", headers={"authorization": OWN}))
    assert seen["authorization"] == [OWN]
    refused = place.ask(WRITER, CUSTOMER, headers={"authorization": OWN})
    assert refused.status_code == 403
    assert "Bearer" not in str(httpx.Headers(refused.headers)) + refused.text


def test_no_credential_is_in_a_log(place):
    """Neither in decision records, nor in the server's or Envoy's logs."""
    token = place.open_task(WRITER).token
    answers = [
        place.ask(WRITER, CUSTOMER, token, headers={"authorization": OWN}),
        place.ask(WRITER, "/v1/partners/7", token, host="billing", headers={}),
    ]
    place.site.access(decision_of(answers[1]))
    place.site.record(id_of(place.ask(WRITER, CUSTOMER, headers={})))
    minted = headers_of(answers[0])["authorization"][0].removeprefix("Bearer ")
    told = (place.site.directory / "access.ndjson").read_text()
    told += "".join(each.log() + json.dumps(each.records()) for each in place.replicas)
    for secret in (SECRET, minted, minted.split(".")[2], token, token.split(".")[2], OWN):
        assert secret not in told
