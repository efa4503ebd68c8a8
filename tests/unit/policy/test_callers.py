"""Callers that the policy itself knows: the legacy ones, and those that it contains."""

import pytest

from authz_server.model import Absent, Principal
from authz_server.policy.callers import contained_by
from authz_server.policy.step import Step
from authz_server.verdict import Effect
from tests.steps import AGENT, NOW, credential, policy, principal, request

HEAD = """
    version: 1
    actions:
      - {name: read, match: {path: "/v1/**"}, kind: read}
      - {name: write, match: {path: "/v2/**"}, kind: write}
"""
LEGACY = """
    legacy:
      - {name: wide, match: {source: [10.0.0.0/8]}, actions: [read]}
      - {name: shown, match: {source: [10.0.0.0/8], header: {x-client: b*}}, actions: [read, write], rate: 5/s}
      - {name: posts, match: {source: [10.0.0.0/8], method: POST, header: {x-client: c}}, actions: ["*"]}
    rules: []
"""
MARKED = {"authz.legacy": "true"}


def caller(text=HEAD + LEGACY, **changes):
    found = policy(text).callers.identify(request(**{"context": MARKED, **changes}))
    return found.id if found is not None else ""


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "legacy:wide"),
        ({"headers": {"x-client": "batch"}}, "legacy:shown"),
        ({"headers": {"x-client": "c"}}, "legacy:wide"),
        ({"headers": {"x-client": "c"}, "method": "POST"}, "legacy:posts"),
        ({"source_address": "192.0.2.1"}, ""),
        ({"source_address": ""}, ""),
        ({"source_address": "2001:db8::1"}, ""),
        ({"context": {}}, ""),
        ({"context": {"authz.legacy": "TRUE"}}, ""),
        ({"context": {"authz.legacy": "1"}}, ""),
    ],
)
def test_the_most_specific_entry_that_fits_names_the_caller(changes, name):
    """By where it calls from and what it shows, on routes that the operator has marked."""
    assert caller(**changes) == name


def test_a_legacy_caller_is_no_workload():
    """It has no trust domain, and says how it is known."""
    found = policy(HEAD + LEGACY).callers.identify(request(context=MARKED))
    assert found == Principal("legacy:wide", "", "", "", "legacy")


@pytest.mark.parametrize("name", ["unclassified", "anonymous", "wide.x"])
def test_any_name_names(name):
    """Words of the language are no exceptions."""
    assert caller(HEAD + LEGACY.replace("wide", name)) == f"legacy:{name}"


def test_without_legacy_callers_nobody_is_one():
    """Whatever the route says."""
    assert caller(HEAD + "    rules: []\n") == ""


def test_an_entry_is_a_grant_and_a_limit():
    """The grant names its one caller and its actions; the limit denies without the store."""
    rules = {rule.name: rule for rule in policy(HEAD + LEGACY).rules.rules}
    assert rules.keys() == {"legacy:wide", "legacy:shown", "legacy:shown:rate", "legacy:posts"}
    grant, limit = rules["legacy:shown"], rules["legacy:shown:rate"]
    assert (grant.effect, grant.entry.match) == (
        Effect.ALLOW,
        {"principal": ("legacy:shown",), "action": ("read", "write")},
    )
    assert (limit.effect, limit.entry.match) == (Effect.THROTTLE, {"principal": ("legacy:shown",)})
    assert (limit.limits, limit.retry_after, limit.on_state_error) == ({"legacy:shown": (5,)}, 1, "deny")


CONTAINED = """
    tasks: [{name: t, issuers: [group:x], agents: ["spiffe://**"], actions: ["*"], ttl: 5m}]
    contained:
      - {principal: "spiffe://corp.example/ns/agents/**", source: 192.0.2.0/24, reason: both}
      - {principal: ["spiffe://evil.example/**", anonymous], reason: either}
      - {credential: "%s", reason: key}
    rules: []
"""


@pytest.mark.parametrize(
    ("who", "changes", "reason"),
    [
        (AGENT, {}, None),
        (AGENT, {"source_address": "192.0.2.9"}, "both"),
        ("spiffe://evil.example/x", {}, "either"),
        ("", {}, "either"),
        (AGENT, {"credentials": (credential("a"), credential("b"))}, "key"),
    ],
)
def test_all_keys_of_a_declared_containment_must_fit(who, changes, reason):
    """Whoever makes the step, and whatever it presents."""
    snapshot = policy(HEAD + CONTAINED % credential("b").id)
    req = request(**changes)
    identity = principal(who)
    step = Step(req, None if isinstance(identity, Absent) else identity, snapshot.catalogue.unclassified, {}, NOW)
    found = contained_by(snapshot.contained, step)
    assert (found.reason if found is not None else None) == reason
