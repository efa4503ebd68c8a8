"""The doors of HTTP on a real server, as its configuration opens them: who is a gateway there, and what its questions do."""

import json
import ssl

import httpx
import pytest
import yaml

from authz_server.demo.servers import Servers, free_port
from tests.listening import short_directory
from tests.replica import Replica
from tests.site_pki import SERVER_NAME, SitePki, agent

pytestmark = [pytest.mark.e2e, pytest.mark.server]

GATEWAY = "spiffe://corp.example/ns/edge/sa/authzen-gateway"
CALLER = agent("asker")
POLICY = """version: 1
actions: [{name: note.read, match: {path: "/v1/notes/{note}"}, kind: read}]
signals: {calls: {count: steps, per: [principal], window: 10m}}
rules:
  - {name: agents, match: {principal: "spiffe://corp.example/ns/agents/**"}, then: allow}
  - {name: often, when: signals.calls > 2, then: throttle}
"""
QUESTION = {
    "subject": {"type": "workload", "id": CALLER},
    "action": {"name": "GET"},
    "resource": {"type": "http", "id": "https://notes.corp.example/v1/notes/1"},
}


class Door:
    """One server with `web`, and its callers."""

    def __init__(self, servers, pki):
        self.pki = pki
        self.port = free_port()
        tls = {"certificate": "server.pem", "key": "server.key", "client_ca": "callers.crt"}
        files = {name: str(pki.directory / file) for name, file in tls.items()}
        (servers.directory / "hash.key").write_text("k" * 64)
        folder = servers.directory / "policies"
        folder.mkdir()
        (folder / "policy.yaml").write_text(POLICY)
        self.replica = Replica(
            servers,
            pki,
            "native",
            0,
            {
                "state": "memory",
                "policies": str(folder),
                "secrets": {"hash_key": str(servers.directory / "hash.key")},
                "operators": {"soc": {"members": ["local"], "may": ["contain"]}},
                "tasks": {},
                "web": {
                    "base": f"https://{SERVER_NAME}",
                    "listen": [{"address": f"127.0.0.1:{self.port}", "tls": files}],
                },
            },
        )
        settings = yaml.safe_load(self.replica.config.read_text())
        settings["trust"] |= {
            "bind": "any",
            "proxies": [GATEWAY],
            "gateways": [GATEWAY],
            "identity_from": ["principal"],
        }
        self.replica.config.write_text(yaml.safe_dump(settings))

    def call(self, caller, path, body=None):
        svid = self.pki.issue(caller)
        chain = self.pki.directory / "asker.pem"
        chain.write_bytes(svid.chain_pem + svid.key_pem)
        context = ssl.create_default_context(cafile=self.pki.bundle)
        context.load_cert_chain(chain)
        with httpx.Client(verify=context, base_url=f"https://127.0.0.1:{self.port}") as client:
            return client.request(
                "GET" if body is None else "POST", path, json=body, extensions={"sni_hostname": SERVER_NAME}
            )


@pytest.fixture
def door():
    with short_directory() as directory, Servers(directory) as servers:
        found = Door(servers, SitePki(directory / "tls"))
        found.replica.start()
        found.replica.await_ready()
        yield found


def test_where_everything_is(door):
    """The metadata name what answers, and the keys of task tokens are there."""
    found = door.call(CALLER, "/.well-known/authzen-configuration").json()
    assert found["access_evaluation_endpoint"] == f"https://{SERVER_NAME}/access/v1/evaluation"
    assert door.call(CALLER, "/jwks").json()["keys"]


def test_a_gateway_checks_and_a_workload_asks(door):
    """The workload as often as it likes; the gateway's third question is one too many, and all of its are recorded."""
    path = "/access/v1/evaluation"
    assert [door.call(CALLER, path, QUESTION).json()["decision"] for _ in range(5)] == [True] * 5
    answers = [door.call(GATEWAY, path, QUESTION).json() for _ in range(3)]
    assert [answer["decision"] for answer in answers] == [True, True, False]
    assert answers[0]["context"]["headers"]["x-authz-principal"] == CALLER
    assert door.call(CALLER, path, QUESTION).json()["decision"] is True
    other = door.call(agent("curious"), path, QUESTION)
    assert (other.status_code, other.json()["reason"]) == (403, "subject_of_another")
    door.replica.terminate()
    assert door.replica.wait() == 0
    records = door.replica.records()
    assert [(each["caller"]["id"], each["decision"]) for each in records] == [
        (GATEWAY, "allow"),
        (GATEWAY, "allow"),
        (GATEWAY, "throttle"),
    ]
    assert CALLER not in json.dumps([each["caller"] for each in records])
