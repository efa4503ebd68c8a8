"""Entities as operators write them."""

import pytest

from authz_server.containment.entities import canonical_entity
from authz_server.containment.record import PARTS
from authz_server.model import Entity
from authz_server.policy.places import source_entity

WHO = "spiffe://corp.example/ns/agents/sa/a13"
KEY = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "entity",
    [
        Entity("principal", (WHO,)),
        Entity("principal", ("legacy:billing-batch",)),
        Entity("instance", (WHO, "10.1.2.3")),
        Entity("pair", (WHO, KEY)),
        Entity("destination", (WHO, "spiffe://corp.example/ns/crm/sa/api")),
        Entity("task", ("6f0c-11",)),
        Entity("lineage", (WHO, WHO)),
        Entity("lineage", ("group:ops", "ann@corp.example")),
        Entity("credential", (KEY,)),
        Entity("source", ("2001:db8:0:1::/64",)),
    ],
)
def test_stays_as_it_is(entity: Entity) -> None:
    """What is in the form that steps carry is left alone."""
    assert canonical_entity(entity) == entity
    assert entity.type in PARTS


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8:0:1:2:3:4:5", "2001:DB8:0:1::", "2001:db8:0:1::/64", "::1"]
)
def test_source_is_the_place_that_steps_come_from(address: str) -> None:
    """An address becomes the place that a step from there is counted and contained by."""
    plain = address.removesuffix("/64").removeprefix("::ffff:")
    assert canonical_entity(Entity("source", (address,))).parts == (source_entity(plain),)


@pytest.mark.parametrize(
    ("entity", "text"),
    [
        (Entity("planet", ("earth",)), "cannot be contained; what can is credential, destination"),
        (Entity("pair", (WHO,)), "made of 2 parts, not of 1"),
        (Entity("principal", ("spiffe://corp.example",)), "SPIFFE ID with a path"),
        (Entity("principal", (f"{WHO}\n",)), "SPIFFE ID with a path"),
        (Entity("principal", ("spiffe://CORP.example/x",)), "SPIFFE ID with a path"),
        (Entity("principal", ("alice",)), "SPIFFE ID with a path"),
        (Entity("principal", ("legacy:",)), "SPIFFE ID with a path"),
        (Entity("destination", (WHO, "")), "SPIFFE ID with a path"),
        (Entity("instance", (WHO, "")), "a source is an IPv4 address"),
        (Entity("source", ("10.0.0.0/8",)), "a source is an IPv4 address"),
        (Entity("source", ("2001:db8::/32",)), "a source is an IPv4 address"),
        (Entity("source", ("2001:db8::1/64",)), "a source is an IPv4 address"),
        (Entity("source", ("fe80::1%eth0",)), "a source is an IPv4 address"),
        (Entity("source", ("010.1.1.1",)), "a source is an IPv4 address"),
        (Entity("credential", (KEY.upper(),)), "32 lower-case hexadecimal digits"),
        (Entity("pair", (WHO, KEY[:-1])), "32 lower-case hexadecimal digits"),
        (Entity("task", ("",)), "visible ASCII"),
        (Entity("task", ("x" * 257,)), "visible ASCII"),
        (Entity("task", ("a b",)), "visible ASCII"),
        (Entity("lineage", ("group:", WHO)), "SPIFFE ID with a path"),
        (Entity("lineage", ("group:ops", "a\x1b[2J")), "visible ASCII"),
    ],
)
def test_refuses(entity: Entity, text: str) -> None:
    """What no step could carry is an error that says what is expected."""
    with pytest.raises(ValueError, match=text):
        canonical_entity(entity)
