"""What the store keeps about an entity, in the words of the policy."""

import pytest

from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.policy.compiler import compile_policy
from authz_server.reports.kept import describe_kept, instance_as_json, kept_as_json, limit_words
from authz_server.reports.kept_words import moment, span
from authz_server.state.admin import Kept, Stored

POLICY = """\
version: 1
actions:
  - {name: doc.read, match: {method: GET, path: "/docs/{doc}"}, kind: read}
  - {name: vault.read, match: {method: GET, path: /vault}, kind: credential, stage: credential-access}
signals:
  calls:  {count: steps, per: [principal], window: 10s}
  turned: {count: denied, per: [principal], window: 5m}
  docs:   {distinct: path.doc, per: [principal], window: 1h}
  hosts:  {first_seen: destination, per: [principal], window: 7d, learn: 24h}
  chain:  {sequence: [discovery, credential-access, exfiltration], each: [principal], window: 6h, half_life: 2h}
  seized: {mark: action.kind == "credential", each: [principal], keep: 1h}
  probes: {walk: {refused: 2, success: -1}, each: [principal], half_life: 6h}
  spent:  {budget: steps, per: [principal], window: 1d}
  risk:   {score: true, each: [principal, lineage], half_life: 15m, cap: 100}
rules:
  - {name: all-read, match: {principal: "spiffe://**", action: doc.read}, then: allow}
  - {name: too-fast, when: signals.calls > 40, then: throttle}
  - {name: far-too-fast, when: signals.calls >= 101, then: deny}
  - {name: nosy, when: signals.docs > 2, then: deny, adds: {risk: 5}}
  - {name: fresh, when: signals.hosts == 1, then: observe}
  - {name: intrusion, when: signals.chain >= 2, then: quarantine, contain: {instance: 15m}}
  - {name: risky, when: signals.risk > 50, then: deny}
  - {name: marked, when: signals.seized == 1 && signals.probes > 3, then: observe}
  - {name: spender, when: signals.spent > 100, then: deny}
  - {name: blind, when: signals.turned > 3, then: observe}
"""
NOW = 1_800_000_000_000
ALICE = Entity("principal", ("spiffe://corp.example/ns/agents/sa/alice",))
SNAPSHOT = compile_policy({"p.yaml": POLICY.encode()}, KeyedHash(bytes(32)))
IDS = {name: plan.signal.id for name, plan in SNAPSHOT.plans.items()}


def u48(number):
    return number.to_bytes(6, "big")


def u32(number):
    return number.to_bytes(4, "big")


def kept(**values):
    """Of signals by name, or by id."""
    stored = (
        Stored(b"az:{t}:s:" + name.encode(), IDS.get(name, name), "", b"\x01" + value, 5000)
        for name, value in values.items()
    )
    return Kept(ALICE, "t" * 32, NOW, tuple(stored), 2, (b"az:{t}:t",), b"1|5|9", None)


def described(name, value):
    (found,) = describe_kept(SNAPSHOT, kept(**{name: value}))
    assert found.signal == name
    return found


def test_a_count():
    """Its buckets, who compares it with what, and when it falls."""
    found = described("calls", u48(NOW - 1000) + u32(50) + u32(0))
    assert (found.word, found.reading, found.ends_ms) == ("count", 50, 9000)
    assert found.words.startswith("50 steps in the last 10s")
    assert found.words.endswith("the last 1s ago")
    assert [(limit.limit, limit.rules, limit.falls_ms > 0) for limit in found.limits] == [
        (40, ("too-fast",), True),
        (100, ("far-too-fast",), False),
    ]
    above, below = (limit_words(limit, found.reading) for limit in found.limits)
    assert above.startswith("ABOVE it, for ")
    assert above.endswith(": 40 (too-fast)")
    assert below == "not above it: 100 (far-too-fast)"


def test_what_feeds_a_count_is_said():
    """Refused steps are no steps."""
    assert "1 refused steps in the last 5m" in described("turned", u48(NOW) + u32(1) + u32(0)).words


def test_a_list():
    """Members are hashes: how many there are is all that can be said."""
    found = described("docs", b"".join(u48(NOW - age) + bytes(8) for age in (7_200_000, 60_000, 2000)))
    assert (found.reading, found.ends_ms) == (2, 3_598_000)
    assert found.words.startswith("2 different values of path.doc in the last 1h, the newest seen 2s ago")


def test_a_chain():
    """Its stages by their names, in the order of the intrusion, as deep as they still are."""
    stages = bytes((1, 4)) + u48(NOW - 60_000) + bytes((0, 4)) + u48(NOW - 7_300_000)
    found = described("chain", stages)
    assert found.reading == 2
    assert "discovery at depth 1 2h 1m ago, credential-access at depth 2 1m ago; depths halve every 2h" in found.words
    assert [limit.rules for limit in found.limits] == [("intrusion",)]


def test_what_is_familiar():
    """Since when, and whether it still learns."""
    day = 24 * 3_600_000
    member = u48(NOW - 5000) + bytes(8)
    young = described("hosts", u48(NOW - day // 2) + b"\x00\x03" + member)
    assert (young.reading, young.limits) == (1, ())
    assert young.words.startswith("1 known values of destination, learned since 2027-01-14T20:00:00Z from 3 events")
    assert young.words.endswith("still learning until 2027-01-15T20:00:00Z")
    assert "learning until" not in described("hosts", u48(NOW - day) + b"\x00\x03" + member).words
    assert described("hosts", u48(NOW - 9 * day) + b"\x00\x03" + u48(NOW - 8 * day) + bytes(8)).words == "nothing known"


def test_a_level():
    """What is left of it now."""
    found = described("risk", u32(80_000) + u48(NOW - 900_000))
    assert (found.reading, found.limits[0].falls_ms) == (40, 0)
    assert found.words == "40 of at most 100 units; what is there halves every 15m"


def test_a_level_that_remembers():
    """How many members, of whom only hashes are kept."""
    found = described("probes", u32(2500) + u48(NOW) + bytes(16))
    assert found.words.startswith("2.5 of at most ")
    assert found.words.endswith("remembers its last 2 members")


def test_a_mark():
    """Whether it is set; rules do not compare how many set it."""
    found = described("seized", u48(NOW - 9000) + b"\x00\x01" + u48(NOW - 9000) + bytes(8))
    assert (found.words, found.limits) == ("set by 1 in the last 1h, the newest 9s ago", ())
    old = u48(NOW - 3_600_000)
    assert described("seized", old + b"\x00\x01" + old + bytes(8)).words == "not set"


def test_a_budget():
    """What is used, and until when."""
    found = described("spent", u48(NOW - 3_600_000) + u32(7))
    assert (found.reading, found.words) == (7, "7 used up since 2027-01-15T07:00:00Z; all is free again in 23h")
    assert found.limits[0].rules == ("spender",)


def test_proxies_that_vouch():
    """The hidden list behind a signal that rules contain by."""
    found = described("reporters:chain", u48(NOW - 1000) + bytes(8))
    assert found.words.startswith("1 proxies that vouch for chain in the last 6h")


def test_what_the_policy_does_not_know_comes_last():
    """A signal of another policy, or a value of another version of the server."""
    found = describe_kept(SNAPSHOT, kept(ffffffff=b"", risk=b"\x00", calls=u48(NOW) + u32(1) + u32(0)))
    assert [each.signal for each in found] == ["calls", "", ""]
    shown = instance_as_json(found[2])
    assert (shown["reading"], shown["means_nothing_after_ms"], shown["expires_ms"]) == (None, None, 5000)


def test_all_of_it_as_plain_values():
    """With the stored bytes."""
    what = kept(calls=u48(NOW) + u32(1) + u32(0))
    shown = kept_as_json(what, describe_kept(SNAPSHOT, what))
    assert shown["entity"] == {"type": "principal", "parts": list(ALICE.parts)}
    assert (shown["contained_flag"], shown["recent_steps"], shown["other_keys"]) == ("1|5|9", 2, ["az:{t}:t"])
    assert shown["time"] == "2027-01-15T08:00:00Z"
    (signal,) = shown["signals"]
    assert (signal["signal"], signal["reading"], signal["value"]) == ("calls", 1, f"01{NOW:012x}0000000100000000")
    assert signal["limits"][0] == {"limit": 40, "rules": ("too-fast",), "falls_ms": 0}


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(-5, "0ms"), (999, "999ms"), (1000, "1s"), (61_500, "1m 1s"), (7_384_000, "2h 3m"), (90_000_000, "1d 1h")],
)
def test_spans(ms, shown):
    """In the two largest units."""
    assert span(ms) == shown


def test_moments():
    """To the second."""
    assert moment(NOW + 999) == "2027-01-15T08:00:00Z"
