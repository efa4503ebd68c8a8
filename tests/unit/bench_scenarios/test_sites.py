import json
from random import Random

import pytest

from authz_server.keyhash import KeyedHash
from authz_server.policy.compiler import compile_policy
from bench.scenarios.catalogue import NATURE, SENSITIVE, TEMPLATES, covers, policy, scope_of, template_for
from bench.scenarios.phases import jewels
from bench.scenarios.site import DATA, LISTED, OPERATIONS
from bench.scenarios.sites import SITES
from bench.scenarios.wording import ask, probe
from tests.unit.bench_scenarios.traces import made

KEYED = KeyedHash(bytes(16))


@pytest.fixture(params=SITES)
def site(request):
    return SITES[request.param]


def test_the_policy_of_a_site_compiles(site):
    """As a file of its own beside a pack."""
    text = json.dumps({"version": 1, **policy(site)})
    assert compile_policy({"site.yaml": text.encode()}, KEYED)


def test_a_site_writes_every_operation(site):
    """And says what it is where the catalogue has it."""
    rng = Random(1)
    for role, operations in OPERATIONS.items():
        for op in operations:
            target = ask(site, rng, role, op)
            assert bool(target.action) is site.knows(role, op)
            assert target.principal == (site.gateway or site.services[role].principal)


def test_a_tool_call_says_the_same_in_headers_and_body():
    """Where the version of the protocol has such headers."""
    site, rng = SITES["meridian"], Random(1)
    for target in (ask(site, rng, "wiki", "read"), probe(site, rng, "files")):
        body = json.loads(target.body)
        assert body["params"]["name"] == target.headers["mcp-name"] == target.tool
        assert body["method"] == target.headers["mcp-method"]


def test_sites_have_nothing_in_common():
    """No host, identity or action of one occurs in another, but health checks; so nobody can tune to names."""
    seen = {}
    for name in SITES:
        for step in made("S1", name) + made("B8", name):
            for word in (step["request"]["host"], step["source"]["principal"], step["destination"]["principal"]):
                assert seen.setdefault(word, name) == name
    for one in SITES.values():
        for other in SITES.values():
            if one is not other:
                names = [{entry["name"] for entry in policy(site)["actions"]} for site in (one, other)]
                assert len(names[0] & names[1]) <= 1


def test_the_sites_differ_in_what_matters():
    """Layouts, styles, trust domains, catalogues."""
    assert {bool(site.gateway) for site in SITES.values()} == {True, False}
    styles = {service.style for site in SITES.values() for service in site.services.values()}
    assert styles == {"rest", "grpc", "mcp", "a2a"}
    assert len({site.agents_trust for site in SITES.values()}) == len(SITES)
    assert any(site.trust != site.agents_trust for site in SITES.values())
    bare = policy(SITES["fenwick"])["actions"]
    assert len(bare) == 6
    assert not any("stage" in entry for entry in bare)
    assert not any("stage" in entry for entry in policy(SITES["orchard"])["actions"])
    assert any("mcp.tool" in entry["match"] for entry in policy(SITES["meridian"])["actions"])


def test_addresses_belong_to_principals_and_are_shared_now_and_then(site):
    """One principal, one address; a few nodes are shared."""
    actors = [site.agent(f"{number}") for number in range(400)]
    assert actors == [site.agent(f"{number}") for number in range(400)]
    addresses = {actor.address for actor in actors}
    assert 300 < len(addresses) < 390


def test_every_site_has_something_to_protect(site):
    """And every such operation can be declared."""
    for role, op in jewels(site):
        assert op in SENSITIVE
        assert covers(site, template_for(role, op), site.action_name(role, op))


def test_a_template_covers_its_scope_only():
    """What it names, by the names of the site; an empty scope is everything that has a name."""
    site = SITES["meridian"]
    assert covers(site, "triage", "crm.customers.read")
    assert not covers(site, "triage", "crm.customers.export")
    assert not covers(site, "oncall", "")
    assert covers(site, "oncall", "crm.customers.delete")
    assert scope_of(site, "oncall") == ("*",)


def test_the_vocabulary_is_whole():
    """Every operation has a nature; every template names operations that exist."""
    assert {op for operations in OPERATIONS.values() for op in operations} == set(NATURE)
    assert len(LISTED) >= 12
    for template in TEMPLATES.values():
        for entry in template.scope:
            role, _, op = entry.partition(".")
            assert op == "*" or op in OPERATIONS[role]
    assert OPERATIONS["crm"] == DATA
