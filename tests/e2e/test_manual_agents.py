"""The examples of docs/agents.md, run as they stand there, against a real Envoy and server."""

import json
import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.envoy_site import await_value
from tests.site_pki import SERVER_NAME, agent
from tests.work_site import ORCHESTRATOR, OWNER, work_site

pytestmark = [pytest.mark.e2e, pytest.mark.server]

MANUAL = Path(__file__).parents[2] / "docs" / "agents.md"
FENCE = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
AGENT = agent("a13")
SHELL_S = 60


def blocks(language):
    """The examples in a language, in their order."""
    return [text for found, text in FENCE.findall(MANUAL.read_text(encoding="utf-8")) if found == language]


class Desk:
    """A running site as the manual's readers have it: names, files and variables."""

    def __init__(self, place, folder):
        self.place = place
        self.folder = folder
        self.task = ""
        pki = place.site.pki
        self._files = {}
        for principal in (AGENT, ORCHESTRATOR):
            name = principal.rpartition("/")[2]
            self._files[principal] = pki.issue(principal).write(folder, name)
        (folder / ".curlrc").write_text(f'connect-to = "::127.0.0.1:{place.site.port}"\n')

    def variables(self, caller=AGENT):
        """What the manual says is set, for who is to call the control listener."""
        certificate, key = self._files[AGENT]
        own_certificate, own_key = self._files[caller]
        bundle = str(self.place.site.pki.bundle)
        return {
            "CRM": "https://crm.corp.example",
            "MCP": "https://files.corp.example/mcp",
            "SVID": str(certificate),
            "SVID_KEY": str(key),
            "BUNDLE": bundle,
            "TOKEN_FILE": str(self.folder / "token"),
            "AUTHZ_CONTROL": self.place.replicas[0].control_tls,
            "AUTHZ_CONTROL_CERT": str(own_certificate),
            "AUTHZ_CONTROL_KEY": str(own_key),
            "AUTHZ_CONTROL_CA": bundle,
            "AUTHZ_CONTROL_SERVER_NAME": SERVER_NAME,
        }

    def shell(self, text):
        """Run an example; what it printed. Whoever opens tasks is the orchestrator, everything else is the agent's."""
        variables = self.variables(ORCHESTRATOR if "task open" in text else AGENT)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            env={"PATH": path, "HOME": str(self.folder), "CURL_HOME": str(self.folder), **variables},
            cwd=self.folder, capture_output=True, text=True, timeout=SHELL_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def token(self):
        return (self.folder / "token").read_text().strip()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    with work_site("native") as place:
        yield Desk(place, tmp_path_factory.mktemp("agent"))


@pytest.fixture
def module(desk, monkeypatch):
    """All Python of the manual in one module, run under a fresh task."""
    for name, value in desk.variables().items():
        monkeypatch.setenv(name, value)
    resolve = socket.getaddrinfo

    def resolved(host, port, *more, **named):
        if isinstance(host, str) and host.endswith(".corp.example"):
            return resolve("127.0.0.1", desk.place.site.port, *more, **named)
        return resolve(host, port, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    issued = desk.place.open_task(AGENT)
    desk.task = issued.task.id
    (desk.folder / "token").write_text(issued.token + "\n")
    names = {"__name__": "manual"}
    for text in blocks("python"):
        exec(compile(text, str(MANUAL), "exec"), names)
    return SimpleNamespace(**names, names=names)


def test_there_are_examples():
    """Of both kinds; all of them are run below."""
    assert len(blocks("sh")) >= 3
    assert len(blocks("python")) >= 4


def test_the_shell_examples(desk):
    """A task is opened, a step made under it, and the token changed for the next one; its file is the agent's alone."""
    printed, tokens = [], []
    for text in blocks("sh"):
        printed.append(desk.shell(text))
        tokens.append(desk.token)
        assert stat.S_IMODE((desk.folder / "token").stat().st_mode) == 0o600
    assert tokens[0] == tokens[1] != tokens[2]
    answer = json.loads(printed[1])
    assert answer["path"] == "/v1/customers/7"
    assert ["x-authz-principal", AGENT] in answer["headers"]
    assert printed[0] == printed[2] == ""


def test_a_step_and_a_tool_in_python(desk, module):
    """What passes gives the destination's answer."""
    assert module.customer["path"] == "/v1/customers/7"
    seen = json.loads(module.call_tool("read_report", {"week": 47}))
    assert ["x-authz-action", "files.read_report"] in seen["headers"]
    before = desk.token
    assert module.renew() > 0
    assert desk.token != before
    assert module.call_tool("read_report", {})


def test_a_refusal_is_something_to_read(desk, module):
    """Status, reason, detail and remedy; what a decision id leads to is its record."""
    said = module.call_tool("delete_report", {})
    assert said == "refused by policy: 403 denied: Agents delete nothing. Ask the owner of the files."
    with pytest.raises(module.Refused) as refused:
        module.step("GET", "https://crm.corp.example/nowhere")
    assert (refused.value.status, refused.value.reason) == (403, "no_match")
    assert desk.place.site.record(refused.value.decision_id)["action"] == "unclassified"


def test_what_waits_for_an_approval_passes_when_it_has_it(desk, module, monkeypatch):
    """It is tried again after a pause, in which somebody looks at it."""
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 1:
            with desk.place.approvals(OWNER) as people:
                (asked,) = await_value(people.pending)
                people.approve(asked.id, "looked at it")

    time = module.names["time"]
    monkeypatch.setitem(module.names, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    monkeypatch.setenv("MCP", "https://dwh.corp.example/mcp")
    seen = json.loads(module.call_tool("export_rows", {"rows": 3}))
    assert ["x-authz-action", "rows.export"] in seen["headers"]
    assert pauses
    assert min(pauses) >= 15


def test_after_the_end_of_the_task_the_agent_stops(desk, module):
    """It tries nothing again."""
    with desk.place.tasks() as issuer:
        issuer.end(desk.task, "done")

    def over():
        try:
            module.work("GET", "https://crm.corp.example/v1/customers/7")
        except module.Refused as refused:
            return (refused.status, refused.reason) == (403, "task_mismatch")
        return False

    await_value(over)
