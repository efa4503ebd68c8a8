"""HTTP over mutual TLS, as the manual shows it, and as it fits together with the checks of a proxy."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from authz_server import doorway
from authz_server.approvals.approver import Approver
from authz_server.demo.pki import Authority
from authz_server.engine import Engine, Trust
from authz_server.envoy.wire import CheckResponse
from authz_server.identity.authenticate import Authenticator, TrustSettings
from authz_server.identity.caller import build_caller_settings
from authz_server.identity.svid import SvidVerifier, parse_bundle
from authz_server.listeners.doors import Door, ServerTls
from authz_server.model import Call, Caller, CallerKind
from authz_server.web.described import encode_check
from authz_server.web.evaluation_request import read_evaluation
from authz_server.web.server import WebListener
from tests.listening import running, short_directory
from tests.steps import KEYED
from tests.unit.web.world import AGENT, EXPORT, GATEWAY, ORCHESTRATOR, SOC, World

pytestmark = pytest.mark.server

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "web.md"
HOST = "authz.corp.example"
_BLOCK = re.compile(r"^```(sh|json)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CURL = """#!/bin/sh
exec {curl} --silent --show-error --cacert ca.pem --connect-to {host}:443:127.0.0.1:{port} "$@"
"""


@pytest.fixture
def site():
    """A directory with everybody's certificates, and the server behind them."""
    with short_directory() as directory:
        authority = Authority("corp.example", time.time())
        names = {
            "server": "spiffe://corp.example/ns/authz/sa/s",
            "orchestrator": ORCHESTRATOR,
            "agent": AGENT,
            "approver": SOC,
            "gateway": GATEWAY,
        }
        for name, spiffe_id in names.items():
            authority.issue(spiffe_id, dns=[HOST]).write(directory, name)
        (directory / "ca.pem").write_bytes(authority.bundle_pem)
        verifier = SvidVerifier([parse_bundle("corp.example", authority.bundle_pem)])
        files = (str(directory / name) for name in ("server.pem", "server.key", "ca.pem"))
        door = Door("127.0.0.1:0", tls=ServerTls(*files, doorway.peer_caller(lambda: verifier)))
        world = World()
        with running(WebListener(door, world.app)) as listener:
            world.directory = directory
            world.port = listener.address.rpartition(":")[2]
            yield world


def shell(site, commands):
    """Run commands as somebody would who reads the manual; what the last one printed."""
    (site.directory / "bin").mkdir(exist_ok=True)
    curl = site.directory / "bin" / "curl"
    curl.write_text(CURL.format(curl=shutil.which("curl"), host=HOST, port=site.port))
    curl.chmod(0o700)
    path = f"{curl.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e"], input=commands, cwd=site.directory, env={"PATH": path}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def fits(found, shown):
    """Whether an answer is what is shown; `…` stands for anything."""
    if shown == "…":
        return True
    if isinstance(shown, dict):
        return (
            isinstance(found, dict)
            and found.keys() == shown.keys()
            and all(fits(found[key], shown[key]) for key in shown)
        )
    if isinstance(shown, list):
        return isinstance(found, list) and len(found) == len(shown) and all(map(fits, found, shown))
    return found == shown


@pytest.mark.skipif(
    not (all(map(shutil.which, ("curl", "jq"))) and MANUAL.exists()), reason="needs curl, jq and the manual"
)
def test_the_manual_is_right(site):
    """Each example runs after those before it, and answers what stands below it."""
    blocks = _BLOCK.findall(MANUAL.read_text())
    earlier = ""
    for (kind, commands), (_, shown) in zip(blocks[::2], blocks[1::2], strict=True):
        assert kind == "sh"
        printed = shell(site, f"{earlier}printf '\\n=====\\n'\n{commands}")
        answer = printed.rpartition("=====\n")[2]
        assert fits(json.loads(answer.strip().splitlines()[-1]), json.loads(shown)), commands
        # What cannot be repeated is not: of an earlier example only its files and variables stay.
        earlier += "".join(f"{line}\n" for line in commands.splitlines() if line.startswith("TOKEN="))


def test_what_was_asked_for_here_lets_the_check_pass_once(site):
    """Evaluated, asked for, granted; then Envoy brings the step."""
    approver = Approver(KEYED, site.shelf, site.store, site.approvals.take)
    trust = Trust(Authenticator(TrustSettings(None, ("principal",))), build_caller_settings(()))
    engine = Engine(site.engine._replace(approver=approver), trust)

    def check(serial):
        payload = encode_check(read_evaluation(EXPORT).step(), serial)
        site.now += 11  # the policy of this world counts steps
        (answer,) = engine.decide([Call(payload, Caller(CallerKind.SOCKET, "x"), None)])
        return CheckResponse.FromString(answer).status.code

    assert check("1") == 7
    (site.directory / "export.json").write_text(json.dumps(EXPORT))
    asked = shell(
        site,
        "curl --cert agent.pem --key agent.key https://authz.corp.example/access/v1/evaluation --json @export.json",
    )
    denial = json.loads(asked)["context"]["access_request"]
    (site.directory / "request.json").write_text(json.dumps({**EXPORT, "denial": denial}))
    taken = shell(
        site, "curl --cert agent.pem --key agent.key https://authz.corp.example/access/v1/request --json @request.json"
    )
    name = json.loads(taken)["task"]["id"]
    path = f"https://authz.corp.example/approvals/{name}/approve"
    shell(site, f"""curl --cert approver.pem --key approver.key {path} --json '{{"reason": "looked at it"}}'""")
    assert [check("2"), check("3")] == [0, 7]


def test_without_a_certificate_nobody_comes_in(site):
    with pytest.raises(AssertionError, match=r"SSL|TLS|reset|closed|[Ee]mpty|alert"):
        shell(site, "curl https://authz.corp.example/jwks")
