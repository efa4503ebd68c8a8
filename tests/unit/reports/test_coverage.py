"""What the tags of a policy cover."""

import json

from authz_server.policy.schema import parse_policy
from authz_server.reports.coverage import Missing, Use, as_json, coverage

POLICY = b"""
version: 1
actions:
  - {name: crm.read, match: {host: crm.example}, kind: read}
signals:
  calls: {count: steps, per: [principal], window: 10s}
rules:
  - {name: stolen, when: signals.calls > 3, then: quarantine, contain: {pair: 1h}, tags: [owasp:ASI03, attack:T1550, csf:PR.AA-05]}
  - {name: many, when: signals.calls > 3, then: deny, enforce: 0%, tags: [owasp:ASI02, owasp:ASI03, csf:DE, team:crm]}
  - {name: odd, when: signals.calls > 3, then: observe, tags: [owasp:ASI99, maestro:L6, atlas:AML.T0053]}
  - {name: plain, when: signals.calls > 3, then: throttle, tags: [team:crm, incident]}
  - {name: bare, when: signals.calls > 3, then: throttle}
"""


def found(policy=POLICY, environment=None):
    return coverage(parse_policy({"a.yaml": policy}, environment).text)


def test_each_id_knows_its_rules():
    """In the order of the frameworks and of the policy, with effect and share."""
    covered = {f"{each.framework}:{each.id}": each for each in found().covered}
    assert list(covered) == [
        "owasp:ASI02",
        "owasp:ASI03",
        "attack:T1550",
        "atlas:AML.T0053",
        "csf:PR.AA-05",
        "csf:DE",
        "maestro:L6",
    ]
    assert covered["owasp:ASI03"].uses == (Use("stolen", "quarantine", 10_000), Use("many", "deny", 0))
    assert covered["owasp:ASI03"].title == "Identity & Privilege Abuse"


def test_a_rule_in_shadow_covers_nothing_yet():
    """It is listed, and not as enforced."""
    covered = {each.id: each for each in found().covered}
    assert covered["ASI03"].enforced
    assert not covered["ASI02"].enforced


def test_what_nobody_covers():
    """Ids of OWASP, layers of MAESTRO, and functions of CSF that no part of is named."""
    missing = found().missing
    assert Missing("owasp", "ASI01", "Agent Goal Hijack") in missing
    assert [each.id for each in missing if each.framework == "csf"] == ["GV", "ID", "RS", "RC"]
    assert [each.id for each in missing if each.framework == "maestro"] == ["L1", "L2", "L3", "L4", "L5", "L7"]
    assert not {"attack", "atlas"} & {each.framework for each in missing}


def test_tags_that_cover_nothing():
    """The author's own, and those of a framework that has no such id."""
    own = found()
    assert own.own == ("incident", "team:crm")
    assert len(own.unknown) == 1
    assert own.unknown[0].startswith("`owasp:ASI99` is no id")
    assert own.untagged == ("plain", "bare")


def test_an_empty_policy_covers_nothing():
    """All ten, all layers and all functions are open."""
    empty = found(b"version: 1\n")
    assert empty.covered == ()
    assert len(empty.missing) == 10 + 7 + 6


def test_the_coverage_as_json():
    """Plain values; in a policy that is in shadow as a whole nothing is enforced."""
    plain = as_json(found())
    assert json.loads(json.dumps(plain)) == plain
    stolen = next(each for each in plain["covered"] if each["tag"] == "owasp:ASI03")
    assert stolen["enforced"] is True
    assert stolen["rules"][1] == {"rule": "many", "effect": "deny", "enforce": "0%"}
    assert {"tag": "csf:GV", "title": "Govern"} in plain["missing"]
    shadow = as_json(found(environment=("env.yaml", b"mode: shadow\n")))
    assert shadow["shadow"] is True
    assert not any(each["enforced"] for each in shadow["covered"])
