"""Chooses the network that a URL names."""

from collections.abc import Callable, Mapping

from authz_server.state.cluster import Cluster
from authz_server.state.dial import cluster_seeds, dialler, sentinel_seeds
from authz_server.state.network import Network
from authz_server.state.sentinel import Sentinel
from authz_server.state.single import single
from authz_server.state.terms import DOWN_IN_CLUSTER, Terms


def network_at(url: str, terms: Terms) -> Network:
    """Build the network of a URL; nothing is connected.

    Args:
        url: of a store, its scheme one of `SCHEMES`.
        terms: of the store.

    Raises:
        ValueError: the URL cannot be read. The message does not repeat it.
    """
    build = _TOPOLOGIES.get(url.partition("://")[0])
    if build is None:
        raise ValueError(f"the state URL begins with none of {', '.join(SCHEMES)}")
    return build(url, terms)


def _single(url: str, terms: Terms) -> Network:
    return single(dialler(url), terms)


def _sentinel(url: str, terms: Terms) -> Network:
    return Sentinel(sentinel_seeds(url), terms)


def _cluster(url: str, terms: Terms) -> Network:
    terms.down = DOWN_IN_CLUSTER
    return Cluster(cluster_seeds(url), terms)


_TOPOLOGIES: Mapping[str, Callable[[str, Terms], Network]] = {
    "redis": _single,
    "rediss": _single,
    "unix": _single,
    "redis+sentinel": _sentinel,
    "rediss+sentinel": _sentinel,
    "redis+cluster": _cluster,
    "rediss+cluster": _cluster,
}
SCHEMES = tuple(f"{scheme}://" for scheme in _TOPOLOGIES)
"""What the URL of a store in a server begins with."""
