"""The third part of the demonstration: declared work, from the task's opening to its end.

Every act is real: tasks are opened and steps approved over gRPC with mutual TLS, tools are called through Envoy.
"""

import base64
import json
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import httpx

from authz_server.control.approval_client import ApprovalClient
from authz_server.control.client import open_channel
from authz_server.control.task_client import TaskClient
from authz_server.demo.agents import ANALYST, DANA, PLANNER, SCRAPER
from authz_server.demo.records import Records
from authz_server.demo.servers import MCP, DemoError
from authz_server.demo.site import Site
from authz_server.taskbook.opening import OpenTask

HOST: Final = "tools.corp.example"
ASK_TIMEOUT_S: Final = 5.0
"""Until what waits for an approval is shown to those who may grant it."""
SOON_S: Final = 1.0
"""Within which the end of a task has to hold."""
EXPORT: Final = "export_rows"


class Act(NamedTuple):
    """One thing that happened."""

    who: str
    """The SPIFFE ID."""
    note: str
    answer: str
    """The decision, or what was done."""
    why: str
    good: bool
    """Whether it is what had to happen."""


class Expected(NamedTuple):
    """What a call has to bring about."""

    decision: str
    cause: str
    """The rule, or the detail where no rule decides."""


ALLOWED: Final = Expected("allow", "within-the-task")
OUTSIDE: Final = Expected("deny", "no_grant")
STOLEN: Final = Expected("quarantine", "stolen-token")
WAITS: Final = Expected("challenge", "exports-are-looked-at")
OVER: Final = Expected("deny", "task_ended")


class Work:
    """Declared work on a running site.

    Args:
        site: of the demonstration.
        records: of the decisions.
        tell: takes each act as it happens.
    """

    def __init__(self, site: Site, records: Records, tell: Callable[[Act], None]) -> None:
        self._site = site
        self._records = records
        self._tell = tell
        self._calls = 0
        self._arrived: dict[str, str] = {}
        self._clients: dict[str, httpx.Client] = {}

    def run(self) -> None:
        """Do it all, whatever comes of each act.

        Raises:
            DemoError: an answer is none, or nobody was asked for an approval.
            CallRefusedError: the task could not be opened or ended, or nothing approved.
            ControlUnreachableError: authz-server did not answer.
        """
        try:
            with open_channel(self._site.target(PLANNER)) as channel:
                self._play(TaskClient(channel))
        finally:
            for client in self._clients.values():
                client.close()

    def _play(self, planner: TaskClient) -> None:
        issued = planner.open(OpenTask("weekly-report", ANALYST, purpose="the report of week 47"))
        token, task = issued.token, issued.task.id
        minutes = (issued.task.deadline.seconds - issued.task.opened.seconds) // 60
        self._note(PLANNER, "open a task for the analyst", "opened", f"{task[:8]}…: {minutes} min, 50 steps, 2 exports")
        self._call(ANALYST, "read the template", "read_template", token, ALLOWED)
        self._call(ANALYST, "write the report", "write_report", token, ALLOWED)
        self._call(ANALYST, "delete the old one, which is outside of the task", "delete_report", token, OUTSIDE)
        self._call(SCRAPER, "show the analyst's token, which leaked", "read_template", token, STOLEN)
        self._call(SCRAPER, "go on with its own work", "", "", STOLEN)
        self._call(ANALYST, "work on, undisturbed", "write_report", token, ALLOWED)
        self._call(ANALYST, "export 200 rows", EXPORT, token, WAITS)
        self._approve()
        self._call(ANALYST, "the same export again", EXPORT, token, ALLOWED)
        self._look(task)
        self._call(ANALYST, "and once more", EXPORT, token, WAITS)
        planner.end(task, "the report is done")
        ended = time.monotonic()
        self._note(PLANNER, "end the task", "ended", "everywhere, whatever the token says")
        self._call(ANALYST, "one more page", "write_report", token, OVER, within=ended + SOON_S)

    def _call(self, who: str, note: str, tool: str, token: str, expected: Expected, *, within: float = 0.0) -> None:
        """Call a tool, or list them; repeat it until `within` (monotonic seconds) where something has to come soon."""
        while True:
            began = time.monotonic()
            record, said = self._ask(who, tool, token)
            found = Expected(str(record.get("decision", "")), str(record.get("rule") or record.get("detail", "")))
            if found == expected or time.monotonic() >= within:
                break
        why = found.cause + (f": {said}" if said else "")
        if within:
            why += f" (tried {(began - within + SOON_S) * 1000:.0f} ms later)"
        if found != expected:
            why += f"; it had to be {expected.decision} by {expected.cause}"
        self._note(who, note, found.decision, why, good=found == expected)

    def _ask(self, who: str, tool: str, token: str) -> tuple[dict[str, Any], str]:
        """One call through Envoy: the decision's record, and what the caller is told of a refusal."""
        client = self._clients.get(who)
        if client is None:
            client = self._clients[who] = httpx.Client(verify=self._site.tls(who), timeout=10)
        self._calls += 1
        call: dict[str, Any] = {"jsonrpc": "2.0", "id": self._calls, "method": "tools/call" if tool else "tools/list"}
        if tool:
            call["params"] = {"name": tool, "arguments": {"rows": 200} if tool == EXPORT else {}}
        response = client.post(
            f"https://127.0.0.1:{self._site.port}{MCP}",
            headers={"host": HOST} | ({"txn-token": token} if token else {}),
            json=call,
            extensions={"sni_hostname": HOST},
        )
        answer = response.json()
        if answer.get("id") != self._calls:
            raise DemoError(f"an answer that is none to call {self._calls}: {response.text[:200]}")
        if response.is_success:
            self._arrived = answer["result"]["arrived"]
            return self._records.find(answer["decision"].get("x-authz-decision-id", "")), ""
        error = answer["error"]
        return self._records.find(error["data"].get("decision_id", "")), f"{error['code']} {error['message']}"

    def _approve(self) -> None:
        """Let a person look at what waits, and grant it."""
        limit = time.monotonic() + ASK_TIMEOUT_S
        with open_channel(self._site.target(DANA)) as channel:
            desk = ApprovalClient(channel)
            while not (asked := desk.pending()):
                if time.monotonic() > limit:
                    raise DemoError("nobody was asked to approve the export")
                time.sleep(0.05)
            (step,) = asked
            granted = desk.approve(step.id, "looked at it")
        why = f"{step.action} {json.loads(step.arguments)['arguments']} for {step.principal.rpartition('/')[2]}, once"
        self._note(DANA, "look at what waits", granted.state, why, good=granted.state == "approved")

    def _look(self, task: str) -> None:
        """Say what came to the destination with the step."""
        kind, _, token = self._arrived["authorization"].partition(" ")
        claims = _claims(token)
        good = (kind, claims.get("aud"), claims.get("txn")) == ("Bearer", "https://warehouse.corp.example", task)
        good = good and claims.get("act") == {"sub": ANALYST} and not self._arrived["txn-token"]
        life = claims.get("exp", 0) - claims.get("iat", 0)
        why = f"a token for {claims.get('aud')} alone, {life} s long; the task's own token stayed behind"
        self._note("warehouse", "look at what arrived", "credential" if good else "?", why, good=good)

    def _note(self, who: str, note: str, answer: str, why: str, *, good: bool = True) -> None:
        self._tell(Act(who, note, answer, why, good))


def _claims(token: str) -> dict[str, Any]:
    """What a compact token says, unverified: it is shown, and nothing is decided by it."""
    try:
        found = json.loads(base64.urlsafe_b64decode(f"{token.split('.')[1]}==="))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
