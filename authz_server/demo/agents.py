"""Who takes part in the demonstration, and what its first two agents do: plain HTTP steps, each with its own certificate."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

BENIGN: Final = "spiffe://corp.example/ns/agents/sa/report-writer"
INTRUDER: Final = "spiffe://corp.example/ns/agents/sa/helpdesk-bot"
STOLEN: Final = "spiffe://corp.example/ns/ci/sa/deploy"
"""A second identity that the intruder got hold of."""
PLANNER: Final = "spiffe://corp.example/ns/platform/sa/planner"
"""Opens tasks."""
ANALYST: Final = "spiffe://corp.example/ns/agents/sa/analyst"
"""Works under one."""
SCRAPER: Final = "spiffe://corp.example/ns/agents/sa/scraper"
"""Got hold of its token."""
DANA: Final = "spiffe://corp.example/ns/data/sa/dana"
"""A person: looks at exports."""


class DemoStep(NamedTuple):
    """One HTTP request of an agent."""

    agent: str
    """`benign` or `intruder`."""
    principal: str
    note: str
    method: str
    host: str
    path: str
    body: Mapping[str, str] | None = None
    uses_key: bool = False
    """Sends the credential that the intruder read before."""
    objective: bool = False
    """What the intruder came for."""


class Seen(NamedTuple):
    """One step and what became of it."""

    step: DemoStep
    status: int
    record: dict[str, Any]
    """The decision's record; empty when none was found."""


def benign_job() -> list[DemoStep]:
    """A weekly report: look up customers, read the template, write the report. All of it must pass."""

    def step(note: str, method: str, host: str, path: str, body: Mapping[str, str] | None = None) -> DemoStep:
        return DemoStep("benign", BENIGN, note, method, f"{host}.corp.example", path, body)

    return [
        step("which customers are there", "GET", "crm", "/v1/customers"),
        *(step(f"look up customer {number}", "GET", "crm", f"/v1/customers/{number}") for number in range(101, 109)),
        step("read the template", "GET", "files", "/v1/files/templates/weekly.md"),
        step("read last week's report", "GET", "files", "/v1/files/reports/week-46.md"),
        step("write the report", "PUT", "files", "/v1/reports/week-47", {"title": "Week 47"}),
    ]


def intrusion() -> list[DemoStep]:
    """Scan, read a credential, use it under another identity, pull data: each step plausible alone."""

    def step(note: str, method: str, host: str, path: str, **more: Any) -> DemoStep:
        base = DemoStep("intruder", INTRUDER, note, method, f"{host}.corp.example", path)
        return base._replace(**more)

    return [
        *(step("scan", "GET", "crm", f"/v1/{word}") for word in ("customers", "users", "admin", "exports")),
        *(step("scan", "GET", "files", f"/v1/{word}") for word in ("files", "backups")),
        step("probe the administration", "GET", "crm", "/admin/config"),
        step("look at a customer", "GET", "crm", "/v1/customers/1"),
        step("read the deploy key", "GET", "vault", "/v1/secret/ci/deploy-key"),
        step("try the key", "GET", "crm", "/v1/customers/2", uses_key=True),
        step(
            "use the key as another workload",
            "POST",
            "deploy",
            "/v1/deployments",
            principal=STOLEN,
            body={"image": "x"},
            uses_key=True,
        ),
        step("once more", "POST", "deploy", "/v1/deployments", principal=STOLEN, body={"image": "x"}, uses_key=True),
        step(
            "back to the first identity: pull the data", "POST", "crm", "/v1/customers/export", body={}, objective=True
        ),
        *(step("look for another way", "GET", host, "/v1/exports") for host in ("dwh", "billing", "payroll")),
        step("pull the data again", "POST", "crm", "/v1/customers/export", body={}, objective=True),
    ]
