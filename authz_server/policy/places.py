"""Addresses and paths as places: what counts as the same place, and what lies below another."""

from functools import lru_cache
from ipaddress import ip_network


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
