"""Traces for the tests: a scenario's steps, and a validator that admits the format of a trace and nothing else."""

import json
import re
from functools import cache
from ipaddress import ip_address

from bench.scenarios.catalogue import policy
from bench.scenarios.registry import steps
from bench.scenarios.sites import SITES
from bench.scenarios.trace import lines

STAGES = ("discovery", "credential-access", "lateral-movement", "collection", "exfiltration", "impact")
_ID = re.compile(r"spiffe://[a-z0-9._-]+(?:/[A-Za-z0-9._-]+)+")
_NAME = re.compile(r"[a-z0-9-]{1,64}")
_CHAIN = re.compile(r"[A-Z]{1,2}[0-9]{0,2}-[0-9]{2,6}(?:/[a-z0-9-]+)?")
_TASK = re.compile(r"[A-Za-z0-9._-]{1,128}")


@cache
def made(name, site="meridian", seed=3):
    """All steps of one trace."""
    return list(steps(name, SITES[site], seed))


@cache
def chains(name, site="meridian", seed=3):
    """The same by chain."""
    found = {}
    for step in made(name, site, seed):
        found.setdefault(step["chain"], []).append(step)
    return found


def text(name, site="meridian", seed=3):
    """The trace as it is written."""
    return "".join(lines(SITES[site], steps(name, SITES[site], seed)))


def attacks(name, site="meridian", seed=3):
    """The chains of attackers."""
    return {chain: found for chain, found in chains(name, site, seed).items() if found[0]["label"] == "attack"}


def check_trace(trace):
    """Fail at the first line that is not of the format, or is out of order; the number of steps."""
    rows = [json.loads(line) for line in trace.splitlines()]
    assert trace.endswith("\n")
    assert set(rows[0]) == {"policy"}
    assert set(rows[0]["policy"]) == {"vars", "actions", "tasks"}
    times, labels = 0.0, {}
    for row in rows[1:]:
        check_step(row)
        assert row["t"] >= times
        times = row["t"]
        assert labels.setdefault(row["chain"], row["label"]) == row["label"]
    return len(rows) - 1


def check_step(row):
    """One step."""
    assert {"t", "label", "chain", "objective", "source", "destination", "request", "outcome"} <= set(row)
    assert set(row) <= {
        "t",
        "label",
        "chain",
        "stage",
        "objective",
        "source",
        "destination",
        "request",
        "task",
        "outcome",
    }
    assert isinstance(row["t"], float)
    assert row["t"] >= 0
    assert row["label"] in {"attack", "benign"}
    assert _CHAIN.fullmatch(row["chain"]), row["chain"]
    assert row.get("stage", "impact") in STAGES
    assert isinstance(row["objective"], bool)
    if row["label"] == "benign":
        assert "stage" not in row
        assert not row["objective"]
    _check_peers(row["source"], row["destination"])
    _check_request(row["request"])
    if "task" in row:
        assert set(row["task"]) == {"template", "id"}
        assert all(_TASK.fullmatch(value) for value in row["task"].values())
    outcome = row["outcome"]
    assert set(outcome) == {"status", "bytes", "after"}
    assert type(outcome["status"]) is int
    assert 200 <= outcome["status"] <= 599
    assert type(outcome["bytes"]) is int
    assert outcome["bytes"] >= 0
    assert isinstance(outcome["after"], float)
    assert 0 < outcome["after"] <= 5


def _check_peers(source, destination):
    assert set(source) == {"principal", "address"}
    assert _ID.fullmatch(source["principal"])
    assert str(ip_address(source["address"])) == source["address"]
    assert set(destination) == {"principal", "service"}
    assert _ID.fullmatch(destination["principal"])
    assert _NAME.fullmatch(destination["service"])


def _check_request(request):
    assert {"method", "host", "path", "headers"} <= set(request) <= {"method", "host", "path", "headers", "body"}
    assert request["method"] in {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert isinstance(request["host"], str)
    assert request["host"]
    assert request["path"].startswith("/")
    for name, value in request["headers"].items():
        assert name == name.lower()
        assert isinstance(value, str)
    assert isinstance(request.get("body", " "), str)
    assert request.get("body", " ")


def of_stage(steps, *stages):
    """The steps of some stages."""
    return [step for step in steps if step.get("stage") in stages]


def rate(steps):
    """Steps a second."""
    return (len(steps) - 1) / (steps[-1]["t"] - steps[0]["t"])


def principals(steps):
    """Who made them, in the order of their first steps."""
    return list(dict.fromkeys(step["source"]["principal"] for step in steps))


def credential(step):
    """The header that a step shows."""
    headers = step["request"]["headers"]
    return headers.get("authorization") or headers.get("x-api-key")


def action_of(site, step):
    """The entry of the site's catalogue that a step is, found the simple way; None for what it does not have."""
    request = step["request"]
    tool = json.loads(request["body"]).get("params", {}).get("name") if _is_call(request) else ""
    return _action_of(site, request["method"], request["host"], request["path"].partition("?")[0], tool)


def _is_call(request):
    return "tools/call" in request.get("body", "")


@cache
def _action_of(site, method, host, path, tool):
    for entry in policy(SITES[site])["actions"]:
        match = entry["match"]
        if match.get("host", host) != host or match.get("mcp.tool", "") != (tool or ""):
            continue
        if "grpc.service" in match:
            if path == f"/{match['grpc.service']}/{match['grpc.method']}":
                return entry
        elif match.get("method", method) == method and _fits(match["path"], path):
            return entry
    return None


def _fits(pattern, path):
    """Literals before captures is enough for these catalogues."""
    pairs = list(zip(pattern.split("/"), path.split("/"), strict=False))
    return pattern.count("/") == path.count("/") and all(one == two or one.startswith("{") for one, two in pairs)
