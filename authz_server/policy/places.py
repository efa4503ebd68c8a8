"""Addresses, paths and workloads as places: what counts as the same one, and what lies below another."""

import re
from functools import lru_cache
from ipaddress import ip_network
from typing import Final

from authz_server.spiffe import parse_spiffe_id

_VARIANT: Final = re.compile(r"(?:-(?:[0-9]+|v[0-9]+|[0-9a-f]{5,16}|blue|green|canary|stable))+\Z")
"""What tells deployments and instances of one service apart at the end of a service account's name."""


@lru_cache(maxsize=16_384)
def cohort_of(spiffe_id: str) -> str:
    """The workloads that count as one: an identity without what tells deployments and instances apart at its end.

    `spiffe://a.test/ns/crm/sa/api-blue` and `spiffe://a.test/ns/crm/sa/api-green-7f9c2d` are both
    `spiffe://a.test/ns/crm/sa/api`.
    """
    if parse_spiffe_id(spiffe_id) is None:
        return spiffe_id
    head, _, last = spiffe_id.rpartition("/")
    end = next((found.start() for found in _VARIANT.finditer(last)), len(last))
    return f"{head}/{last[:end] or last}"


@lru_cache(maxsize=65_536)
def source_entity(address: str) -> str:
    """The place that an address stands for: IPv4 as it is, IPv6 as its /64, for a host has as many addresses as it likes."""
    if ":" not in address:
        return address
    return str(ip_network(f"{address}/64", strict=False))


def under(path: str, root: str) -> bool:
    """Whether `path` is `root` or lies below it, by whole segments; false for anything with dot segments or `//`."""
    if not path.startswith("/") or "//" in path or "\\" in path or "\0" in path:
        return False
    if any(part in {".", ".."} for part in path.split("/")):
        return False
    stem = root.rstrip("/")
    return path == stem or path.startswith(stem + "/")
