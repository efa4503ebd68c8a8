"""Addresses and paths as places."""

import pytest

from authz_server.policy.places import source_entity, under


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
