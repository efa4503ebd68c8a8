"""Which node of a cluster has which key, as the cluster tells it (Redis Cluster specification, "Key distribution")."""

import re
from binascii import crc_hqx
from collections.abc import Mapping
from typing import Any, NamedTuple

SLOTS = 16_384
"""Of every cluster (`CLUSTER_SLOTS`)."""
MAX_NODES = 1_000
"""The specification's own bound for the nodes of a cluster; answers that name more are refused."""
MAX_HOST_CHARS = 253
"""Of a name in the DNS (RFC 1035); addresses are shorter."""

_HOST = re.compile(rf"[0-9A-Za-z._:-]{{1,{MAX_HOST_CHARS}}}")
_TARGET = re.compile(rf"([0-9]{{1,5}}) ([0-9A-Za-z._:-]{{0,{MAX_HOST_CHARS}}}):([0-9]{{1,5}})")
_PORT = re.compile(rb"[0-9]{1,5}")

MAX_PORT = 65_535
"""Of TCP."""


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    """A name or an IP address, an IPv6 one without brackets."""
    port: int


def slot_of(key: bytes) -> int:
    """Give the slot of a key: the CRC16 (XMODEM) of what stands in its first pair of braces, if anything does."""
    opening = key.find(b"{")
    if opening >= 0:
        closing = key.find(b"}", opening + 1)
        if closing > opening + 1:
            key = key[opening + 1 : closing]
    return crc_hqx(key, 0) % SLOTS


def parse_target(text: str, asked: Address) -> tuple[int, Address] | None:
    """Read what follows MOVED or ASK: `<slot> <host>:<port>`.

    Args:
        text: the rest of the error reply.
        asked: the server that gave it; an empty host is its own.

    Returns:
        The slot and the server that has it, or None when it is no such text.
    """
    match = _TARGET.fullmatch(text)
    if match is None:
        return None
    slot, port = int(match[1]), int(match[3])
    if slot >= SLOTS or not 0 < port <= MAX_PORT:
        return None
    return slot, Address(match[2] or asked.host, port)


def parse_slots(reply: Any, asked: Address) -> Mapping[int, Address] | None:
    """Read the reply of CLUSTER SLOTS: which primary has which slot. Replicas are left out.

    Args:
        reply: as it came from the connection.
        asked: the server that gave it; a host that is null or empty is its own.

    Returns:
        The primary of each slot that has one, or None when the reply is no such list: then none of it is believed.
    """
    if type(reply) is not list:
        return None
    owners: dict[int, Address] = {}
    for entry in reply:
        match entry:
            case [int(first), int(last), [(bytes() | None) as host, int(port), *_], *_] if (
                0 <= first <= last < SLOTS and 0 < port <= MAX_PORT
            ):
                address = _address(host, port, asked)
                if address is None:
                    return None
                owners.update(dict.fromkeys(range(first, last + 1), address))
            case _:
                return None
    return owners if owners and len(set(owners.values())) <= MAX_NODES else None


def parse_address(reply: Any) -> Address | None:
    """Read the reply of SENTINEL GET-MASTER-ADDR-BY-NAME; None when it names no server."""
    match reply:
        case [bytes() as host, bytes() as port] if _PORT.fullmatch(port) and 0 < int(port) <= MAX_PORT:
            return _address(host, int(port), None)
    return None


def _address(host: bytes | None, port: int, asked: Address | None) -> Address | None:
    if not host and asked is not None:
        return Address(asked.host, port)
    text = (host or b"").decode("ascii", "replace")
    return Address(text, port) if _HOST.fullmatch(text) else None
