"""`authz-server demo`: watch a real Envoy ask about every request of a benign agent, of an intruder, and of declared work."""

import json
import signal
import tempfile
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console

from authz_server.demo.agents import ANALYST, DemoStep, Seen, benign_job, intrusion
from authz_server.demo.records import LOG_TIMEOUT_S, Records
from authz_server.demo.servers import DemoError, Servers
from authz_server.demo.show import Board, WorkBoard, introduce, summary, work_summary
from authz_server.demo.site import SERVER_NAME, Site, start_site
from authz_server.demo.work import Act, Work
from authz_server.errors import AuthzError

PACE_S: Final = 0.12
"""Between two steps, so that a person can follow the table."""


def run_demo(console: Console, *, keep: bool, pace_s: float = PACE_S) -> int:
    """Run the demonstration.

    Args:
        console: where the table goes.
        keep: leave everything running until Ctrl-C, and print commands to try.
        pace_s: seconds between two steps.

    Returns:
        0 when the benign agent finished, the intruder did not, and the declared work went as it had to; else 1.

    Raises:
        DemoError: something did not start, or a decision left no record.
    """
    # However it is ended, what it started has to end with it; in the background of a shell SIGINT would be ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="authz-demo-") as folder, Servers(Path(folder)) as servers:
        with console.status("starting Valkey, authz-server, an upstream and Envoy"):
            site = start_site(servers, time.time())
        records = Records(site.decisions)
        seen = _drive(console, site, records, pace_s)
        latencies = _latencies(site, len(seen))
        chains = summary(console, seen, latencies)
        work = _work(console, site, records, pace_s)
        if keep:
            _wait(console, site)
        return 0 if chains and work else 1


def _interleaved() -> Iterator[DemoStep]:
    for pair in zip_longest(benign_job(), intrusion()):
        yield from (step for step in pair if step is not None)


def _drive(console: Console, site: Site, records: Records, pace_s: float) -> list[Seen]:
    introduce(console, "A benign agent and an intruder", "Each step is asked about at authz-server by Envoy.")
    seen: list[Seen] = []
    key = ""
    clients: dict[str, httpx.Client] = {}
    with Board(console) as board:
        try:
            for step in _interleaved():
                client = clients.get(step.principal)
                if client is None:
                    client = clients[step.principal] = httpx.Client(verify=site.tls(step.principal), timeout=10)
                response = _send(client, site, step, key)
                identifier, stolen = _read(response)
                key = stolen or key
                seen.append(Seen(step, response.status_code, records.find(identifier)))
                board.add(seen[-1])
                time.sleep(pace_s)
        finally:
            for client in clients.values():
                client.close()
    return seen


def _work(console: Console, site: Site, records: Records, pace_s: float) -> bool:
    """Show declared work; whether it went as it had to.

    Raises:
        DemoError: it could not even be done.
    """
    introduce(
        console,
        "Declared work",
        "The planner opens a task for the analyst, whose token leaks; an export waits for Dana; the task ends.",
    )
    acts: list[Act] = []
    with WorkBoard(console) as board:

        def tell(act: Act) -> None:
            acts.append(act)
            board.add(act)
            time.sleep(pace_s)

        try:
            Work(site, records, tell).run()
        except AuthzError as error:
            raise DemoError(f"the declared work stopped: {error}") from None
    return work_summary(console, acts)


def _send(client: httpx.Client, site: Site, step: DemoStep, key: str) -> httpx.Response:
    headers = {"host": step.host}
    if step.uses_key:
        headers["authorization"] = f"Bearer {key or 'guessed-key'}"
    return client.request(
        step.method,
        f"https://127.0.0.1:{site.port}{step.path}",
        headers=headers,
        json=step.body,
        extensions={"sni_hostname": step.host},
    )


def _read(response: httpx.Response) -> tuple[str, str]:
    """The decision's id, from the answer of whoever answered, and the key when it was the vault."""
    answer: dict[str, Any] = response.json()
    if response.is_success:
        return str(answer["decision"].get("x-authz-decision-id", "")), str(answer.get("key", ""))
    return str(answer.get("decision_id", "")), ""


def _latencies(site: Site, expected: int) -> list[int]:
    """What authz-server added to each request, in microseconds, as Envoy measured it.

    Raises:
        DemoError: Envoy did not log every request.
    """
    limit = time.monotonic() + LOG_TIMEOUT_S
    lines: list[str] = []
    while len(lines) < expected and time.monotonic() < limit:
        time.sleep(0.1)
        lines = site.access_log.read_text(encoding="utf-8").splitlines() if site.access_log.exists() else []
    found = [json.loads(line) for line in lines]
    latencies = [int(entry["authz_us"]) for entry in found if entry.get("authz_us") is not None]
    if len(latencies) < expected:
        raise DemoError(f"Envoy measured {len(latencies)} checks for {expected} requests")
    return latencies


def _wait(console: Console, site: Site) -> None:
    tls = site.directory / "tls"
    dana = f"--control localhost:{site.control_port} --server-name {SERVER_NAME} --ca {tls}/ca.crt --cert {tls}/dana.pem --key {tls}/dana.key"
    base = f"curl -sS --cacert {tls}/ca.crt --cert {tls}/report-writer.pem --key {tls}/report-writer.key --connect-to ::127.0.0.1:{site.port}"
    console.print("\n[bold]Still running.[/] Try (Ctrl-C ends it):", highlight=False)
    for line in (
        f"{base} https://crm.corp.example/v1/customers/7",
        f"{base} https://vault.corp.example/v1/secret/x -H 'Authorization: Bearer demo-deploy-key-7f3a'",
        f"{base} -X POST https://crm.corp.example/v1/customers/export",
        f"authz-server task open --control unix:{site.control} --template weekly-report --agent {ANALYST} --token-only",
        f"authz-server task list --control unix:{site.control} --all",
        f"authz-server contained --control unix:{site.control}",
        f"authz-server approvals {dana}",
        f"$EDITOR {site.directory}/policies/demo.yaml      # reloaded when saved",
        f"tail -f {site.decisions}",
        f"less {site.directory}/envoy.yaml",
    ):
        console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("stopping")
