"""How matched rules become one decision, beyond what a whole policy shows."""

from authz_server.combine import containment_entities
from authz_server.model import Entity
from tests.steps import AGENT, credential, principal, request


def test_entities_go_from_the_smallest_to_the_widest():
    """Every presented credential makes a pair with whoever presents it."""
    one, two = credential("1"), credential("2")
    assert containment_entities(principal(), request(credentials=(one, two))) == (
        Entity("pair", (AGENT, one.id)),
        Entity("pair", (AGENT, two.id)),
        Entity("instance", (AGENT, "10.1.2.3")),
        Entity("principal", (AGENT,)),
    )


def test_an_instance_on_ipv6_is_its_network():
    """A contained host cannot leave by taking its next address."""
    instance = containment_entities(principal(), request(source_address="2001:db8::7"))[0]
    assert instance == Entity("instance", (AGENT, "2001:db8::/64"))


def test_nobody_has_no_entities():
    """An anonymous caller proved nothing that could be contained."""
    assert containment_entities(None, request(credentials=(credential(),))) == ()
