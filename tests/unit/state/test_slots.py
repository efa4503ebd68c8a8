"""Slots and their owners, against the cluster specification and what servers may say."""

from binascii import crc_hqx
from typing import Any

import pytest

from authz_server.state.slots import MAX_NODES, SLOTS, Address, parse_address, parse_slots, parse_target, slot_of

ASKED = Address("10.0.0.1", 7000)


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"123456789", 0x31C3),  # the check value of the specification's CRC16
        (b"foo", 12182),
        (b"somekey", 11058),
        (b"foo{hash_tag}", 2515),
        (b"bar{hash_tag}", 2515),
        (b"", 0),
    ],
)
def test_vectors(key: bytes, slot: int) -> None:
    """Keys have the slots that CLUSTER KEYSLOT gives them."""
    assert slot_of(key) == slot


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"{user1000}.following", b"user1000"),
        (b"foo{}{bar}", b"foo{}{bar}"),
        (b"foo{{bar}}zap", b"{bar"),
        (b"foo{bar}{zap}", b"bar"),
        (b"foo{bar", b"foo{bar"),
        (b"}foo{bar}", b"bar"),
    ],
)
def test_hash_tags(key: bytes, hashed: bytes) -> None:
    """Only what stands in the first pair of braces is hashed, if anything does (the specification's examples)."""
    assert slot_of(key) == crc_hqx(hashed, 0) % SLOTS


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("3999 127.0.0.1:6381", (3999, Address("127.0.0.1", 6381))),
        ("0 ::1:6381", (0, Address("::1", 6381))),
        ("1 node-3.store.svc:1", (1, Address("node-3.store.svc", 1))),
        ("1 :6381", (1, Address("10.0.0.1", 6381))),
    ],
)
def test_redirects(text: str, target: tuple) -> None:
    """A redirect names a slot and a server; one without a host means the server that was asked."""
    assert parse_target(text, ASKED) == target


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1 host", "16384 host:1", "-1 host:1", "1 host:0", "1 host:65536", "1 host:1 x", "1 ho st:1",
        "1 host:1\n", "1 user@host:1", "1 host/x:1", f"1 {'h' * 254}:1",
    ],
)  # fmt: skip
def test_faulty_redirects(text: str) -> None:
    """A redirect that cannot be read leads nowhere."""
    assert parse_target(text, ASKED) is None


def entry(first: Any = 0, last: Any = 16383, host: Any = b"10.0.0.2", port: Any = 7000) -> list:
    return [first, last, [host, port, b"id", []], [b"10.0.0.9", 7009, b"replica"]]


def test_slots_and_primaries() -> None:
    """Each slot has the first server of its range, and what no range covers has none."""
    owners = parse_slots(
        [entry(0, 99), entry(200, 299, b"host.name", 1), entry(300, 300, None), entry(301, 301, b"")], ASKED
    )
    assert owners is not None
    assert owners[0] == owners[99] == Address("10.0.0.2", 7000)
    assert owners[250] == Address("host.name", 1)
    assert owners[300] == owners[301] == Address("10.0.0.1", 7000)
    assert 100 not in owners
    assert len(owners) == 202


@pytest.mark.parametrize(
    "reply",
    [
        None, b"OK", [], [[]], [[0, 1]], [entry(-1)], [entry(5, 4)], [entry(0, 16384)], [entry(port=0)], [entry(port=65536)],
        [entry(host=b"?")], [entry(host=b"a b")], [entry(host=b"\xff")], [entry(host=7)], [entry(port=b"1")],
        [entry("0")], [[0, 1, []]], [[0, 1, [b"h"]]], [entry(), "x"],
        [entry(n, n, b"h%d" % n) for n in range(MAX_NODES + 1)],
    ],
)  # fmt: skip
def test_faulty_slots(reply: Any) -> None:
    """Of a reply that is no table of slots nothing is believed."""
    assert parse_slots(reply, ASKED) is None


@pytest.mark.parametrize(
    ("reply", "address"),
    [
        ([b"127.0.0.1", b"6379"], Address("127.0.0.1", 6379)),
        ([b"::1", b"1"], Address("::1", 1)),
        (None, None),
        ([b"", b"6379"], None),
        ([b"host", b"0"], None),
        ([b"host", b"65536"], None),
        ([b"host", b"+1"], None),
        ([b"host", b"1" * 9], None),
        ([b"ho st", b"1"], None),
        ([b"host", 1], None),
        ([b"host"], None),
    ],
)
def test_address_of_a_primary(reply: Any, address: Address | None) -> None:
    """A sentinel names a host and a port, or nothing that is believed."""
    assert parse_address(reply) == address
