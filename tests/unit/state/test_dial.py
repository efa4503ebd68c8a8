"""The URLs of stores."""

import socket
from contextlib import ExitStack

import pytest

from authz_server.state.dial import MAX_SEEDS, cluster_seeds, dialler, sentinel_seeds
from authz_server.state.slots import Address


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hunter2@[::1/0",
        "redis://user:hunter/2@host",
        "redis://:hunter2@host:port",
        "http://user:hunter2@host",
        "unix://user:hunter2@",
        "redis://user:hunter2@host?ssl_cert_reqs=none",
        "redis://user:hunter2@host?socket_timeout=60",
        "redis://host?password=hunter2",
        "redis://host?hunter2=1",
        "redis://host/hunter2",
        "redis://user:hunter2@host?db=hunter2",
        "hunter2",
    ],
)
def test_faulty_urls_are_refused_in_silence(url: str) -> None:
    """A URL that cannot be used is refused, and no word of it is repeated."""
    with pytest.raises(ValueError, match="state URL") as caught:
        dialler(url)
    assert "hunter" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("redis+cluster://a", [("a", 6379)]),
        ("redis+cluster://a:1,b,[::1]:3,[::2],10.0.0.1:65535/0", [("a", 1), ("b", 6379), ("::1", 3), ("::2", 6379), ("10.0.0.1", 65535)]),
        ("rediss+cluster://user:p%40ss@a:1,b:2/?ssl_ca_certs=/ca.pem", [("a", 1), ("b", 2)]),
    ],
)  # fmt: skip
def test_cluster(url: str, addresses: list) -> None:
    """The nodes of a cluster's URL, with a port of their own or the usual one."""
    assert [tuple(address) for address in cluster_seeds(url).addresses] == addresses


def test_connections_of_a_cluster() -> None:
    """Each node is spoken to with the URL's credentials and options, on its own address."""
    seeds = cluster_seeds("rediss+cluster://user:p%40ss@a:1/?ssl_ca_certs=/ca.pem")
    link = seeds.dial(Address("10.9.9.9", 7000))
    assert (link.host, link.port, link.username, link.password, link.db) == ("10.9.9.9", 7000, "user", "p@ss", 0)
    assert link.ca_certs == "/ca.pem"
    assert type(link).__name__ == type(dialler("rediss://h")()).__name__


def test_an_address_that_swallows_everything_keeps_the_others_of_its_name_away_once() -> None:
    """A connection may take so long and no longer; the next one goes to the address behind."""
    with ExitStack() as stack:
        dead, good = (stack.enter_context(socket.socket()) for _ in range(2))
        dead.bind(("127.0.0.2", 0))
        dead.listen(0)
        port = dead.getsockname()[1]
        good.bind(("127.0.0.3", port))
        good.listen()
        for _ in range(4):  # what waits to be accepted is full: no more is answered
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", port))
        make = dialler(f"redis://store.test:{port}")
        resolved = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("127.0.0.2", "127.0.0.3")]
        links = [make() for _ in range(2)]
        links[0].lookups._resolve = lambda *_, **__: resolved
        for link in links:
            link.socket_connect_timeout = 0.1
        with pytest.raises(TimeoutError):
            links[0]._connect()
        assert stack.enter_context(links[1]._connect()).getpeername() == ("127.0.0.3", port)


def test_sentinels() -> None:
    """The service, its database, and the same credentials for the sentinels."""
    seeds = sentinel_seeds("redis+sentinel://user:pw@a,b:5/store-1/3")
    assert (seeds.addresses, seeds.service) == ((Address("a", 26379), Address("b", 5)), "store-1")
    server, sentinel = seeds.dial(Address("p", 1)), seeds.ask(Address("s", 2))
    assert (server.username, server.password, server.db) == ("user", "pw", 3)
    assert (sentinel.username, sentinel.password, sentinel.db, sentinel.host) == ("user", "pw", 0, "s")


@pytest.mark.parametrize(
    ("query", "login"),
    [
        ("sentinel_username=watch&sentinel_password=p%26w", ("watch", "p&w")),
        ("sentinel_password=pw", (None, "pw")),
        ("sentinel_password=", (None, None)),
    ],
)
def test_sentinels_with_a_login_of_their_own(query: str, login: tuple) -> None:
    """Credentials for the sentinels alone replace the others, and empty ones are none."""
    seeds = sentinel_seeds(f"redis+sentinel://user:hunter2@a/store?{query}")
    sentinel = seeds.ask(Address("s", 2))
    assert (sentinel.username, sentinel.password) == login
    assert seeds.dial(Address("p", 1)).password == "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://", "redis+cluster://user:hunter2@", "redis+cluster://a,,b", "redis+cluster://a:0",
        "redis+cluster://a:65536", "redis+cluster://a:hunter2", "redis+cluster://user:hunter/2@a", "redis+cluster://a/1",
        "redis+cluster://a/hunter2", "redis+cluster://a?db=1", "redis+cluster://a?ssl_cert_reqs=none",
        "redis+cluster://a?sentinel_password=hunter2", "redis+cluster://[::1", "redis+cluster://a b",
        "redis+cluster://" + ",".join(["a"] * (MAX_SEEDS + 1)),
    ],
)  # fmt: skip
def test_faulty_clusters(url: str) -> None:
    """What names no cluster is refused, and no word of it is repeated."""
    with pytest.raises(ValueError, match="state URL") as caught:
        cluster_seeds(url)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a", "redis+sentinel://a/", "redis+sentinel://a/x/y", "redis+sentinel://a/x/0/0", "redis+sentinel:///x",
        "redis+sentinel://a/hunter 2", f"redis+sentinel://a/{'x' * 65}", "redis+sentinel://a/x?timeout=hunter2",
        "redis+sentinel://a/x?password=hunter2", "redis+sentinel://user:hunter2@a:b/x",
    ],
)  # fmt: skip
def test_faulty_sentinels(url: str) -> None:
    """What names no service is refused, and no word of it is repeated."""
    with pytest.raises(ValueError, match="state URL") as caught:
        sentinel_seeds(url)
    assert "hunter" not in str(caught.value)
