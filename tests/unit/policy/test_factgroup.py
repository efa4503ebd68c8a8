"""Facts that signals are kept by are evaluated together, and fail apart."""

from authz_server import pdp
from tests.steps import NOW, policy, principal, request

TEXT = """
version: 1
facts:
  place: destination.service + " " + request.path
  tenant: request.headers["x-tenant"]
  plain: request.method
actions: [{name: a, match: {path: /v1/things}, kind: read}]
signals:
  places: {distinct: facts.place, per: [facts.plain, principal], window: 1h}
  tenants: {distinct: facts.tenant, per: [principal], window: 1h}
rules:
  - {name: all, match: {principal: "spiffe://**", action: a}, then: allow}
  - {name: many, when: signals.places > 5 || signals.tenants > 5, then: deny}
"""


def members(**more):
    """The member and the further key parts of each hit of one step, by signal."""
    pending = pdp.begin(policy(TEXT), request(**more), principal(), NOW)
    return {hit.signal.name: (hit.entity.parts, hit.member) for hit in pending.hits}


def test_all_have_their_values():
    """As if each had been asked for alone."""
    found = members(headers={"x-tenant": "blue"})
    assert found == {
        "places": (("GET",), "crm/api /v1/things"),
        "tenants": (("spiffe://corp.example/ns/agents/sa/a1",), "blue"),
    }


def test_one_that_fails_takes_no_other_along():
    """The header is missing: its fact is absent, the others are not."""
    found = members()
    assert found["places"] == (("GET",), "crm/api /v1/things")
    assert found["tenants"][1] == ""
