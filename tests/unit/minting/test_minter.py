"""Tokens for destinations: what they say, how long they live, and for whom they are used again."""

import json

import pytest

from authz_server.minting import minter as module
from authz_server.minting.minter import Minter
from authz_server.minting.secrets import SecretFile, StaticSecrets
from authz_server.model import Task
from authz_server.verdict import Injected

AGENT = "spiffe://corp.example/ns/agents/sa/a"
CRM = Injected("authorization", "https://crm.corp.example", 60)
TASK = Task("report", "t" * 32, "spiffe://corp.example/ns/o/sa/o", AGENT, "alice@corp.example", 0, 2_000_000_000)
NOW = 1_790_000_000.0


def sign(claims, typ):
    return json.dumps({"typ": typ, **claims})


class Ids:
    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1
        return f"id-{self.count}"


@pytest.fixture
def it():
    return Minter(sign, "https://authz.corp.example", Ids(), StaticSecrets({}, lambda: 0.0))


def claims(value):
    return json.loads(value.removeprefix("Bearer "))


def test_a_token_names_the_caller_the_destination_and_its_end(it):
    assert claims(it.mint(CRM, AGENT, None, NOW)) == {
        "typ": "at+jwt",
        "iss": "https://authz.corp.example",
        "aud": "https://crm.corp.example",
        "sub": AGENT,
        "client_id": AGENT,
        "iat": 1_790_000_000,
        "exp": 1_790_000_060,
        "jti": "id-1",
    }


def test_under_a_task_the_agent_acts_for_its_originator(it):
    found = claims(it.mint(CRM, AGENT, TASK, NOW))
    assert (found["sub"], found["act"], found["txn"]) == ("alice@corp.example", {"sub": AGENT}, "t" * 32)


def test_a_header_of_its_own_has_no_scheme(it):
    assert it.mint(CRM, AGENT, None, NOW).startswith("Bearer ")
    assert it.mint(CRM._replace(header="x-crm-token"), AGENT, None, NOW).startswith("{")


def test_a_token_is_used_again_while_half_of_its_life_is_left(it):
    first = it.mint(CRM, AGENT, None, NOW)
    assert it.mint(CRM, AGENT, None, NOW + 29.9) == first
    later = it.mint(CRM, AGENT, None, NOW + 30)
    assert later != first
    assert claims(later)["exp"] == 1_790_000_090


@pytest.mark.parametrize(
    ("injected", "principal", "task"),
    [
        (CRM._replace(audience="https://dwh.corp.example"), AGENT, TASK),
        (CRM._replace(header="x-token"), AGENT, TASK),
        (CRM, AGENT + "2", TASK),
        (CRM, AGENT, None),
        (CRM, AGENT, TASK._replace(id="u" * 32)),
    ],
)
def test_nobody_gets_the_token_of_another(it, injected, principal, task):
    assert it.mint(injected, principal, task, NOW) != it.mint(CRM, AGENT, TASK, NOW)


def test_a_destination_that_knows_no_tokens_gets_its_secret(tmp_path):
    (tmp_path / "key").write_text("k3y")
    secrets = StaticSecrets({CRM.audience: SecretFile(tmp_path / "key")}, lambda: 0.0)
    assert Minter(sign, "i", Ids(), secrets).mint(CRM, AGENT, TASK, NOW) == "k3y"


def test_a_missing_secret_is_no_token(tmp_path):
    """A destination with a secret of its own never gets a token instead."""
    secrets = StaticSecrets({CRM.audience: SecretFile(tmp_path / "none")}, lambda: 0.0)
    assert Minter(sign, "i", Ids(), secrets).mint(CRM, AGENT, None, NOW) == ""


def test_memory_is_bounded(it, monkeypatch):
    monkeypatch.setattr(module, "MAX_MINTED", 10)
    for number in range(100):
        it.mint(CRM, f"{AGENT}{number}", None, NOW)
    assert len(it._minted) <= 10
