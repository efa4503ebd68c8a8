"""authz_server/policy/caller_entries.py and part_match.py."""

import pytest

from authz_server.policy.caller_entries import read_contained, read_legacy
from authz_server.policy.matches import RequestMatch
from authz_server.policy.schema import parse_policy
from authz_server.policy.section_entries import ContainedEntry, LegacyEntry
from authz_server.policy.tree import Where
from tests.policy_nodes import faults_of, matches_in, read_entry


def _legacy(text, constants="{}"):
    node, scope = read_entry(text, constants)
    return read_legacy(node, matches_in(scope), scope), faults_of(scope)


def _contained(text, constants="{}"):
    node, scope = read_entry(text, constants)
    return read_contained(node, matches_in(scope), scope), faults_of(scope)


def test_a_legacy_caller_is_read_with_all_its_fields():
    """Where it calls from, what it shows, where it goes, what it may do and how fast."""
    entry, faults = _legacy(
        "{name: batch, match: {source: [10.4.2.0/24, '2001:db8::/32'], header: {x-client-id: billing}, host: '*.corp.example',"
        " method: [GET, POST], path: '/v1/{x}'}, actions: [crm.*, files.read_x], rate: 20/s}"
    )
    assert not faults
    match = RequestMatch(
        source=("10.4.2.0/24", "2001:db8::/32"),
        header=(("x-client-id", ("billing",)),),
        host=("*.corp.example",),
        method=("GET", "POST"),
        path=("/v1/{x}",),
    )
    assert entry == LegacyEntry("batch", match, ("crm.*", "files.read_x"), (20, 1000), Where(0, ""))


def test_a_source_alone_makes_a_caller_and_no_rate_limits_it():
    """The least that is asked for."""
    entry, faults = _legacy("{name: batch, match: {source: $(net)}, actions: crm.read}", "{net: [10.4.2.0/24]}")
    assert not faults
    assert (entry.match, entry.rate) == (RequestMatch(source=("10.4.2.0/24",)), (0, 0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{match: {source: 10.0.0.1}, actions: '*'}", ": `name` is missing"),
        ("{name: b, actions: '*'}", ": `match` is missing"),
        ("{name: b, match: {source: 10.0.0.1}}", ": `actions` is missing"),
        ("{name: b, match: {header: {x-client-id: b}}, actions: '*'}", ".match: a caller without an identity is known by `source` at least"),
        ("{name: b, match: {}, actions: '*'}", ".match: a caller without an identity is known by `source` at least"),
        ("{name: b, match: {source: 0.0.0.0/0}, actions: '*'}", ".match.source: `0.0.0.0/0` is everywhere; name the networks"),
        ("{name: b, match: {source: [10.0.0.1, '::/0']}, actions: '*'}", ".match.source: `::/0` is everywhere"),
        ("{name: b, match: {source: here}, actions: '*'}", ".match.source: this is no address"),
        ("{name: b, match: {source: 10.0.0.1, header: {}}, actions: '*'}", ".match.header: an empty list of headers says nothing"),
        ("{name: b, match: {source: 10.0.0.1, header: {X-Id: b}}, actions: '*'}", ".match.header.X-Id: the name of a header is a lower-case token"),
        ("{name: b, match: {source: 10.0.0.1, mcp.tool: x}, actions: '*'}", ".match.mcp.tool: `mcp.tool` does not tell who calls; a caller has source, header, host, method, path"),
        ("{name: b, match: {source: 10.0.0.1, upgrade: tcp}, actions: '*'}", ".match.upgrade: `upgrade` does not tell who calls"),
        ("{name: b, match: {source: 10.0.0.1, sorce: x}, actions: '*'}", ".match.sorce: unknown key of a request match `sorce`; did you mean `source`?"),
        ("{name: b, match: here, actions: '*'}", ".match: a mapping is expected, not text"),
        ("{name: b, match: {source: 10.0.0.1}, actions: crm.raed}", ".actions: no entry of `actions` fits `crm.raed`; did you mean `crm.read`?"),
        ("{name: b, match: {source: 10.0.0.1}, actions: [crm.read, hr.*]}", ".actions[1]: no entry of `actions` fits `hr.*`"),
        ("{name: b, match: {source: 10.0.0.1}, actions: []}", ".actions: an empty list matches nothing"),
        ("{name: b, match: {source: 10.0.0.1}, actions: '*', rate: fast}", ".rate: a rate is steps over a span of time"),
        ("{name: b, match: {source: 10.0.0.1}, actions: '*', kind: read}", ".kind: unknown field of a legacy caller `kind`"),
        ("billing", ": a mapping is expected, not text"),
    ],
)  # fmt: skip
def test_every_mistake_about_a_legacy_caller_is_named_once_at_its_place(text, message):
    """What was found and what is expected."""
    faults = _legacy(text)[1]
    assert len(faults) == 1, faults
    assert faults[0].startswith(message), faults


@pytest.mark.parametrize(
    "match", ["{header: {x-client-id: b}}", "{source: here}", "{source: 10.0.0.1, path: v1}", "[]"]
)
def test_nobody_is_taken_for_a_caller_whose_match_is_faulty(match):
    """A part of it would fit more requests than was meant."""
    assert _legacy(f"{{name: b, match: {match}, actions: '*'}}")[0] is None


def test_a_containment_is_read():
    """All that it names must fit."""
    entry, faults = _contained(
        "{principal: ['spiffe://a.example/x', 'spiffe://a.example/y'], source: 10.0.0.0/8, credential: 'sha256:*', task: weekly-report,"
        " reason: INC-4712}"
    )
    assert not faults
    match = {
        "principal": ("spiffe://a.example/x", "spiffe://a.example/y"),
        "source": ("10.0.0.0/8",),
        "credential": ("sha256:*",),
        "task": ("weekly-report",),
    }
    assert entry == ContainedEntry(match, "INC-4712", Where(0, ""))


@pytest.mark.parametrize(
    "whom",
    ["principal: anonymous", "principal: legacy:billing-batch", "source: 10.0.0.1", "credential: '*'", "task: '*'"],
)
def test_one_key_is_enough_for_a_containment(whom):
    """Anything that a step has."""
    entry, faults = _contained(f"{{{whom}, reason: INC-1}}")
    assert not faults
    assert len(entry.match) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{reason: INC-1}", ": a containment says whom: one of `principal`, `source`, `credential`, `task` at least"),
        ("{principal: 'spiffe://**'}", ": `reason` is missing"),
        ("{principal: 'spiffe://**', reason: ''}", ".reason: a text of 1 to 256 characters"),
        ("{principal: a13, reason: INC-1}", ".principal: a SPIFFE pattern starts with `spiffe://`"),
        ("{principal: [], reason: INC-1}", ".principal: an empty list matches nothing"),
        ("{source: here, reason: INC-1}", ".source: this is no address"),
        ("{task: weekly-raport, reason: INC-1}", ".task: no entry of `tasks` fits `weekly-raport`; did you mean `weekly-report`?"),
        ("{action: crm.read, principal: 'spiffe://**', reason: INC-1}", ".action: unknown field of a declared containment `action`"),
        ("[a13]", ": a mapping is expected, not a list"),
    ],
)  # fmt: skip
def test_every_mistake_about_a_containment_is_named_once_at_its_place(text, message):
    """What was found and what is expected."""
    faults = _contained(text)[1]
    assert len(faults) == 1, faults
    assert faults[0].startswith(message), faults


def test_a_name_stands_for_one_legacy_caller():
    """A rule that excludes it must know which."""
    caller = "{name: b, match: {source: 10.0.0.1}, actions: a}"
    text = f"version: 1\nactions: [{{name: a, match: {{path: /a}}, kind: read}}]\nlegacy:\n  - {caller}\n  - {caller}\n"
    assert [str(fault) for fault in parse_policy({"a.yaml": text.encode()}).faults] == [
        "a.yaml:5: legacy[1].name: `b` is defined twice, first at a.yaml:4"
    ]
