"""The manual about outcomes says what the code does."""

import re
from pathlib import Path

import yaml

from authz_server.config import load_config
from authz_server.control import listener, remembered
from authz_server.envoy import accesslog, join

TEXT = (Path(__file__).parents[3] / "docs/outcomes.md").read_text(encoding="utf-8")
(YAML,) = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def table(first):
    """The rows under a heading of the first column."""
    found = re.search(rf"^\| {first} \|.*?\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found[1].splitlines()]


def test_istio_asks_and_reports_at_the_same_place():
    """The provider that the resource names is the one that the mesh knows."""
    mesh, telemetry = yaml.safe_load_all(YAML)
    (provider,) = mesh["extensionProviders"]
    (logging,) = telemetry["spec"]["accessLogging"]
    assert logging == {"providers": [{"name": provider["name"]}], "match": {"mode": "SERVER"}}
    port = provider["envoyHttpAls"]["port"]
    text = re.search(r"`(access_logs: \{.*?)` and a port", TEXT)[1]
    (listen,) = load_config("config.yaml", text.encode(), {}).access_logs.listen
    assert (listen.address, listen.mesh_sidecar) == (f"0.0.0.0:{port}", True)


def test_the_table_of_limits_is_right():
    """Each is the constant that the code holds."""
    assert [int(row[1].strip("| ")) for row in table("Limit")] == [
        join.MAX_JOIN,
        join.LIFE_S,
        listener.MAX_MESSAGE,
        accesslog.MAX_ENTRIES,
        listener.MAX_STREAMS,
        listener.MAX_STREAMS_OF_ONE,
        remembered.MAX_REMEMBERED,
    ]
