"""One step: what is asked, by which connection, and how its answer is read."""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import grpc
import httpx
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server.demo.site import EDGE
from tests.check_request import check_request
from tests.envoy_site import HOST
from tests.replica import Replica
from tests.site_pki import agent

PROBE_S = 5.0
TAIL = 1 << 16
"""Bytes of the latest records."""


def step(identity: str, serial: object, *, method: str = "GET", path: str = "/v1/things/7") -> bytes:
    """Give the check of one step; another serial is another step."""
    return check_request(
        method,
        path,
        host=HOST,
        principal=agent(identity),
        source=source_of(identity),
        destination_principal=EDGE,
        stream_id=f"{identity}-{serial}",
    )


def source_of(identity: str) -> str:
    """Give the address that an identity comes from: everybody has one of its own."""
    number = crc32(identity.encode())
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def field(answer: CheckResponse, name: str) -> str:
    """Give a text of the answer's dynamic metadata, `""` when it is not there."""
    fields = answer.dynamic_metadata.fields
    return str(fields[name].string_value) if name in fields else ""


def options() -> list[tuple[str, int]]:
    """Of the channels that ask: one connection each, and back within a tenth of a second."""
    return [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 100),
    ]


def open_channel(replica: Replica) -> grpc.Channel:
    """Open a channel to a replica behind the native door, as Envoy would."""
    return grpc.insecure_channel(replica.address, options())


class Sizes(NamedTuple):
    """Of one server."""

    fds: int
    threads: int


def size_of(replica: Replica) -> Sizes:
    """Count the open file descriptors and the threads of a server."""
    assert replica.process is not None
    root = Path(f"/proc/{replica.process.pid}")
    return Sizes(len(list((root / "fd").iterdir())), len(list((root / "task").iterdir())))


def state_of(replica: Replica) -> str:
    """What the readiness probe of a server says of its store."""
    try:
        return str(httpx.get(f"http://{replica.probes}/readyz", timeout=PROBE_S).json()["state"])
    except (httpx.HTTPError, ValueError, KeyError):
        return "no answer"


def metrics_of(replica: Replica) -> dict[str, float]:
    """Give the metrics of a server: name with labels, as they are exposed, and value."""
    text = httpx.get(f"http://{replica.probes}/metrics", timeout=PROBE_S).text
    lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def has_counted(replica: Replica, since: float, whose: Collection[str] = ()) -> bool:
    """Whether a replica has decided a step with the store since a moment (Unix seconds); one of these identities, if any."""
    principals = {agent(identity) for identity in whose}
    with replica.decisions.open("rb") as records:
        records.seek(max(0, records.seek(0, os.SEEK_END) - TAIL))
        lines = records.read().splitlines(keepends=True)[1:]
    entries = [json.loads(line) for line in lines if line.endswith(b"\n")]
    return any(
        each["time"] > since
        and "calls" in each["readings"]
        and not each.get("degraded")
        and (not principals or each["principal"] in principals)
        for each in entries
    )
