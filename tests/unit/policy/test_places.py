"""Addresses and paths as places."""

import pytest

from authz_server.policy.places import cohort_of, source_entity, under


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/workspace", True),
        ("/workspace/a/b", True),
        ("/workspace2", False),
        ("/workspace/../etc", False),
        ("/workspace/./a", False),
        ("/workspace//a", False),
        ("/workspace\\..\\etc", False),
        ("workspace/a", False),
        ("/workspace/a\0b", False),
        ("", False),
    ],
)
def test_under_goes_by_whole_segments(path, inside):
    """A prefix of a name is not a folder, and dots never climb."""
    assert under(path, "/workspace") is inside
    assert under(path, "/workspace/") is inside


def test_a_source_entity_is_an_ipv4_address_or_an_ipv6_network():
    """A host has as many IPv6 addresses as it likes."""
    assert source_entity("10.1.2.3") == "10.1.2.3"
    assert source_entity("2001:db8::1") == source_entity("2001:db8::ffff") == "2001:db8::/64"
    assert source_entity("") == ""


@pytest.mark.parametrize(
    ("spiffe_id", "cohort"),
    [
        ("spiffe://a.test/ns/crm/sa/api", "spiffe://a.test/ns/crm/sa/api"),
        ("spiffe://a.test/ns/crm/sa/api-blue", "spiffe://a.test/ns/crm/sa/api"),
        ("spiffe://a.test/ns/crm/sa/api-green-7f9c2d", "spiffe://a.test/ns/crm/sa/api"),
        ("spiffe://a.test/ns/crm/sa/api-v2", "spiffe://a.test/ns/crm/sa/api"),
        ("spiffe://a.test/ns/crm/sa/api-cafe", "spiffe://a.test/ns/crm/sa/api-cafe"),
        ("spiffe://a.test/ns/crm/sa/blue-api", "spiffe://a.test/ns/crm/sa/blue-api"),
        ("spiffe://a.test/ns/other/sa/api", "spiffe://a.test/ns/other/sa/api"),
        ("spiffe://a.test/jobs/storefront-green", "spiffe://a.test/jobs/storefront"),
        ("spiffe://a.test/workload/7", "spiffe://a.test/workload/7"),
        ("legacy:batch", "legacy:batch"),
    ],
)
def test_deployments_of_one_service_are_one_cohort(spiffe_id, cohort):
    """What only tells deployments and instances apart does not count."""
    assert cohort_of(spiffe_id) == cohort
