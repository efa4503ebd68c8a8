import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from authz_server.content.json_strict import is_json
from authz_server.content.rpc import read_rpc
from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.keyhash import KeyedHash
from authz_server.model import BodyState
from authz_server.trial.trace_step import read_step
from bench.scenarios.registry import NAMES, mixed
from bench.scenarios.sites import SITES
from bench.scenarios.trace import Opening, interleaved
from tests.check_request import check_request
from tests.unit.bench_scenarios.traces import check_trace, made, text

ROOT = Path(__file__).parents[3]
SOURCES = (CredentialSource("authorization", ("bearer", "basic")), CredentialSource("x-api-key"))
DECODER = Decoder(DecodeSettings(KeyedHash(bytes(16)), SOURCES))
EACH = [(name, list(SITES)[number % len(SITES)]) for number, name in enumerate(NAMES)]


def decode(step):
    """The step as the server reads it."""
    request = step["request"]
    payload = check_request(
        request["method"],
        request["path"],
        request["headers"],
        request["body"].encode() if "body" in request else None,
        host=request["host"],
        principal=step["source"]["principal"],
        source=step["source"]["address"],
    )
    return DECODER.decode(payload)


@pytest.mark.parametrize(("name", "site"), EACH)
def test_every_line_has_the_format_and_is_in_order(name, site):
    """Strictly: no unknown field, no missing one, no number as text."""
    assert check_trace(text(name, site)) > 20


@pytest.mark.parametrize(("name", "site"), EACH)
def test_the_replay_reads_every_line(name, site):
    """It is what the traces are for."""
    for number, step in enumerate(made(name, site), 2):
        read = read_step(step, number)
        assert (read.chain, read.objective) == (step["chain"], step["objective"])


@pytest.mark.parametrize(("name", "site"), [pair for pair in EACH if pair[0] != "S7"])
def test_every_request_is_written_the_one_way(name, site):
    """The server reads each, its path is canonical and the body is whole; only S7 is there to be refused."""
    for step in made(name, site)[::7]:
        read = decode(step)
        assert read.path == step["request"]["path"].partition("?")[0]
        assert read.host == step["request"]["host"]
        assert read.body_state is (BodyState.COMPLETE if "body" in step["request"] else BodyState.ABSENT)
        if "body" in step["request"]:
            assert is_json(read.headers) or read.headers["content-type"] == "application/grpc"
        if "jsonrpc" in step["request"].get("body", ""):
            assert read_rpc(read).method in {"tools/call", "SendMessage"}


@pytest.mark.parametrize("site", SITES)
def test_the_same_seed_gives_the_same_bytes(site):
    """Also in another interpreter with other hashes of strings; another seed gives others."""
    command = [sys.executable, "-m", "bench.scenarios", "--scenario", "S12", "--site", site, "--seed"]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    for seed, same in (("3", True), ("4", False)):
        done = subprocess.run([*command, seed], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert (done.stdout == text("S12", site, 3)) is same


def test_a_mixed_trace_is_in_order_and_mostly_benign():
    """Thousands of steps of many chains, all valid, and endless."""
    steps, number = mixed(SITES["orchard"], 1), 4000
    chosen = [next(steps) for _ in range(number)]
    rows = [json.dumps({"policy": {"vars": {}, "actions": [], "tasks": []}}), *map(json.dumps, chosen)]
    assert check_trace("\n".join(rows) + "\n") == number
    assert len({step["chain"] for step in chosen}) > 100
    assert {step["label"] for step in chosen} == {"attack", "benign"}
    minute = {step["chain"] for step in chosen if 60 <= step["t"] < 75}
    assert len(minute) > 20


def test_openings_are_built_when_their_time_has_come():
    """Streams are merged by time, and none is built before the steps ahead of it are out."""
    built = []

    def opening(start, *times):
        def streams():
            built.append(start)
            return [[{"t": start + time} for time in times], []]

        return Opening(start, streams)

    steps = interleaved([opening(0, 0, 1, 9), opening(1, 0, 1), opening(5, 0)])
    assert [next(steps)["t"] for _ in range(3)] == [0, 1, 1]
    assert built == [0, 1]
    assert [step["t"] for step in steps] == [2, 5, 9]


def test_nothing_to_merge():
    """No openings, no steps."""
    assert list(interleaved([])) == []
