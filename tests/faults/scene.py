"""What the tests of a failing store share."""

from typing import NamedTuple

from tests.faults.harness import Ground
from tests.faults.proxy import Proxy
from tests.servers import Server


class Scene(NamedTuple):
    """An Envoy and two servers, which reach a store through a proxy."""

    store: Server
    between: Proxy
    site: Ground
