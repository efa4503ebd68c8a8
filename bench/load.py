"""The load comparison: h2load drives each server in turn, round after round, and only ratios are printed as results.

All share one machine, so each server is measured between the others' measurements, and what counts is the ratio within a round.
"""

import argparse
import json
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import grpc

from authz_server.demo.servers import Servers, free_port
from bench import site

CHECK = "/envoy.service.auth.v3.Authorization/Check"
ROOT = Path(__file__).resolve().parent.parent
BASE = "empty grpc.aio"
SHAPES = ((1, 16), (4, 16), (1, 1))
"""Connections, and calls in flight on each: Envoy keeps one connection a worker thread."""


def start(stack, name, folder, *arguments):
    """Start one server and wait until it answers; its address."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    log = stack.enter_context((folder / f"{name.replace(' ', '-')}.log").open("wb"))
    command = [sys.executable, "-m", "bench.serve", *arguments, "--address", address]
    program = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    stack.callback(program.wait)
    stack.callback(program.terminate)
    channel = grpc.insecure_channel(address)
    grpc.channel_ready_future(channel).result(timeout=30)
    channel.close()
    return address


def h2load(address, body, requests, shape):
    """One run: requests per second and the mean and 95th-percentile-like time of a request, in microseconds."""
    command = [
        "h2load", "-n", str(requests), "-c", str(shape[0]), "-m", str(shape[1]), "-t", "1", "-d", str(body),
        "-H", "content-type: application/grpc", "-H", "te: trailers", f"http://{address}{CHECK}",
    ]  # fmt: skip
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = float(re.search(r"finished in [^,]+, ([\d.]+) req/s", text)[1])
    succeeded = int(re.search(r"(\d+) succeeded", text)[1])
    if succeeded != requests:
        sys.exit(f"{address}: {succeeded} of {requests} requests succeeded:\n{text}")
    times = re.search(r"time for request:\s+(\S+)\s+(\S+)\s+(\S+)", text)
    return rate, micros(times[3])


def micros(text):
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def check_answers(address, payload, *, allowed):
    """The server must really decide: a benchmark of refusals measures nothing."""
    from envoy.service.auth.v3 import external_auth_pb2  # noqa: PLC0415 - only here

    with grpc.insecure_channel(address) as channel:
        answer = channel.unary_unary(CHECK)(payload, timeout=5)
    message = external_auth_pb2.CheckResponse.FromString(answer)
    if message.status.code != 0 or (allowed and not message.ok_response.headers):
        sys.exit(f"{address} does not allow the request: {message}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if shutil.which("h2load") is None:
        sys.exit("h2load is missing: apt-get install nghttp2-client")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        authority = site.authority()
        (folder / "ca.pem").write_bytes(authority.bundle_pem)
        payload = site.payload(authority.issue(site.AGENT).cert_pem)
        (folder / "body").write_bytes(b"\0" + struct.pack(">I", len(payload)) + payload)
        servers = stack.enter_context(Servers(folder))
        ca = ("--ca", str(folder / "ca.pem"))
        addresses = {
            BASE: start(stack, "empty", folder, "empty"),
            "ours, stateless": start(stack, "stateless", folder, "stateless", *ca),
            "ours, 6 signals in memory": start(stack, "memory", folder, "stateful", *ca),
            "ours, 6 signals in Valkey": start(stack, "valkey", folder, "stateful", "--state", servers.valkey(), *ca),
            "ours, 6 signals in Valkey, audit": start(
                stack,
                "audit",
                folder,
                "stateful",
                "--state",
                servers.valkey(),
                "--audit",
                str(folder / "audit.ndjson"),
                *ca,
            ),
        }
        for label, address in addresses.items():
            check_answers(address, payload, allowed=label != BASE)
        print(
            f"CheckRequest of {len(payload)} bytes; {options.rounds} interleaved rounds of {options.requests} requests each"
        )
        figures = measure(addresses, folder / "body", options)
    report(figures)
    if options.json:
        options.json.write_text(
            json.dumps({f"{label} {shape}": values for (shape, label), values in figures.items()}, indent=1)
        )


def measure(addresses, body, options):
    figures = {(shape, label): [] for shape in SHAPES for label in addresses}
    for shape in SHAPES:
        requests = options.requests if shape != (1, 1) else options.requests // 4
        for address in addresses.values():
            h2load(address, body, requests // 4, shape)  # warm up
        for _ in range(options.rounds):
            for label, address in addresses.items():
                figures[shape, label].append(h2load(address, body, requests, shape))
                time.sleep(0.05)
    return figures


def report(figures):
    for shape in SHAPES:
        connections, streams = shape
        base = figures[shape, BASE]
        print(
            f"\n{connections} connection(s), {streams} in flight on each:   req/s   ratio (min … max)    mean time   ratio"
        )
        for (measured, label), values in figures.items():
            if measured != shape:
                continue
            rates = [rate for rate, _ in values]
            ratios = [rate / other for (rate, _), (other, _) in zip(values, base, strict=True)]
            times = [mean for _, mean in values]
            slower = [mean / other for (_, mean), (_, other) in zip(values, base, strict=True)]
            print(
                f"{label:38} {statistics.median(rates):8.0f}  {statistics.median(ratios):5.2f}"
                f" ({min(ratios):.2f} … {max(ratios):.2f})"
                f"  {statistics.median(times):8.0f} us  {statistics.median(slower):5.2f}"
            )


if __name__ == "__main__":
    main()
