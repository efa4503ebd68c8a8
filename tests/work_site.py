"""A site where agents work under tasks: two replicas with one store, operators, and calls of tools; for end-to-end tests."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from authz_server.control.approval_client import ApprovalClient
from authz_server.control.client import Target, open_channel
from authz_server.control.task_client import TaskClient
from authz_server.taskbook.opening import OpenTask
from tests.envoy_site import Site, site
from tests.replica import Replica
from tests.site_pki import SERVER_NAME

POLICY = Path(__file__).with_name("e2e") / "tasks.yaml"
ORCHESTRATOR = "spiffe://corp.example/ns/platform/sa/orchestrator"
OWNER = "spiffe://corp.example/ns/data/sa/owner"
OPERATORS = {
    "soc": {"members": ["local"], "may": ["contain", "release", "approve"]},
    "data-owners": {"members": ["spiffe://corp.example/ns/data/sa/*"], "may": ["approve"]},
}


class WorkSite:
    """A running site, and what its agents, issuers and operators do."""

    def __init__(self, found: Site) -> None:
        self.site = found
        self.replicas = found.replicas

    @contextmanager
    def control(self, caller: str, replica: int = 0) -> Iterator[Any]:
        """Open a channel to a replica's door for operators: over mutual TLS, or through its socket for `local`."""
        where: Replica = self.replicas[replica]
        target = Target(where.control)
        if caller != "local":
            svid = self.site.pki.issue(caller)
            bundle = self.site.pki.bundle.read_bytes()
            target = Target(where.control_tls, bundle, svid.chain_pem, svid.key_pem, SERVER_NAME)
        with open_channel(target) as opened:
            yield opened

    @contextmanager
    def tasks(self, caller: str = ORCHESTRATOR, replica: int = 0) -> Iterator[TaskClient]:
        """Give somebody's client for tasks."""
        with self.control(caller, replica) as opened:
            yield TaskClient(opened)

    @contextmanager
    def approvals(self, caller: str, replica: int = 0) -> Iterator[ApprovalClient]:
        """Give somebody's client for approvals."""
        with self.control(caller, replica) as opened:
            yield ApprovalClient(opened)

    def open_task(self, agent: str, **more: Any) -> Any:
        """Let the orchestrator open a task for an agent; the answer with its token."""
        with self.tasks() as desk:
            return desk.open(OpenTask("weekly-report", agent, **more))

    def call(
        self, principal: str, tool: str, token: str = "", *, host: str = "files", path: str = "/mcp", **more: Any
    ) -> httpx.Response:
        """Call a tool, or whatever `method` says, as MCP clients do; an `id` of None makes it a notification."""
        message: dict[str, Any] = {
            "jsonrpc": "2.0",
            "id": more.pop("id", 1),
            "method": more.pop("method", "tools/call"),
        }
        if message["method"] == "tools/call":
            message["params"] = {"name": tool, "arguments": more.pop("arguments", {})}
        if message["id"] is None:
            del message["id"]
        headers = {"content-type": "application/json", **more.pop("headers", {})}
        return self.ask(principal, path, token, host=host, method="POST", headers=headers, content=json.dumps(message))

    def ask(
        self, principal: str, path: str, token: str = "", *, host: str = "crm", headers: Mapping[str, str], **more: Any
    ) -> httpx.Response:
        """Make one request, under a task where there is a token."""
        shown = {"host": f"{host}.corp.example", **headers} | ({"txn-token": token} if token else {})
        return self.site.get(principal, path, headers=shown, **more)

    def maker_of(self, decision_id: str) -> str:
        """Name the replica that made a decision."""
        self.site.record(decision_id)
        (name,) = {
            each.name for each in self.replicas for entry in each.records() if entry["decision_id"] == decision_id
        }
        return name


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """Give the JSON-RPC error of a refusal."""
    found: dict[str, Any] = answer.json()["error"]
    return found


def id_of(answer: httpx.Response) -> str:
    """Give the id of the decision behind a refusal."""
    return str(answer.headers["x-authz-decision-id"])


@contextmanager
def work_site(door: str, **settings: Any) -> Iterator[WorkSite]:
    """Run such a site; `settings` are further ones of both replicas."""
    more = {"operators": OPERATORS, "tasks": {}, **settings}
    with site(door, _policies, replicas=2, shared=True, settings=more) as found:
        yield WorkSite(found)


def _policies(directory: Path) -> Path:
    folder = directory / "policies"
    folder.mkdir()
    shutil.copy(POLICY, folder)
    return folder
