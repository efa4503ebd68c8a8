"""Following pods over real HTTPS, from a server that speaks the watch protocol of Kubernetes, and that fails in all its ways."""

import random
import ssl
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from authz_server.demo.pki import Authority
from authz_server.errors import ConfigError
from authz_server.taskbook import pod_api
from authz_server.taskbook.pod_api import WATCH_S, Cluster, HttpsPodApi, in_cluster
from authz_server.taskbook.pods import PodWatch
from authz_server.taskbook.workloads import Workloads
from tests.envoy_site import await_value
from tests.listening import short_directory
from tests.unit.taskbook.cluster import A, B, pages, pieces, recorded

pytestmark = pytest.mark.server

SOON_S = 20.0
CUT, HOLD = "cut", "hold"
"""At the end of a stream: the connection breaks within a chunk, or it stays open in silence."""


class Handler(BaseHTTPRequestHandler):
    """Serves the lists and watches of its server's script, and keeps what was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        server.asked.append((url.path, query, self.headers["Authorization"]))
        if server.statuses:
            return self._refuse(server.statuses.popleft())
        if "watch" in query:
            return self._stream(server.watches.popleft() if server.watches else [HOLD])
        body = server.pages["continue" in query]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def _refuse(self, status):
        self.send_response(status)
        self.send_header("Location", "https://localhost:1/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _stream(self, script):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for each in script:
            if each == HOLD:
                self.server.released.wait(SOON_S)
                self.close_connection = True
                return
            if each == CUT:
                self.wfile.write(b"400\r\n{")
                self.close_connection = True
                return
            for piece in pieces(each, 997):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, certificate, key):
        super().__init__(("localhost", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.asked, self.statuses, self.watches = [], deque(), deque()
        self.pages = pages("list")
        self.released = threading.Event()

    def handle_error(self, request, client_address):
        """A client that goes away is what some tests are about."""


class Site:
    """A server, the files of a service account, and what follows the one with the other."""

    def __init__(self, directory):
        self.authority = Authority("corp.example", time.time())
        self.authority.issue("spiffe://corp.example/ns/kube-system/sa/api", dns=["localhost"]).write(directory, "api")
        self.token, self.ca = directory / "token", directory / "ca.crt"
        self.token.write_text("first.token\n")
        self.ca.write_bytes(self.authority.bundle_pem)
        self.server = Server(directory / "api.pem", directory / "api.key")
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()
        self.follow()

    def follow(self, monotonic=time.monotonic, **more):
        self.api = HttpsPodApi(
            Cluster("localhost", self.server.server_address[1], self.token, self.ca, **more), monotonic
        )
        self.workloads = Workloads(["corp.example"], clock=time.time, monotonic=time.monotonic, grace_s=0.0)
        self.watch = PodWatch(self.api, self.workloads, clock=time.time, monotonic=time.monotonic, jitter=random.random)

    def step(self, *script):
        self.server.watches.append(list(script))
        return self.watch.step()

    def close(self):
        self.server.released.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def site():
    with short_directory() as path:
        found = Site(path)
        yield found
        found.close()


def test_a_list_and_the_watches_behind_it(site):
    """With a token and bookmarks; the pods are known, and their end is."""
    opened = time.time()
    site.step(recorded("job"))
    assert site.workloads.running == 3
    site.step(recorded("job_end") + recorded("bookmark"))
    assert (site.workloads.running, site.watch.failed) == (2, {})
    assert not site.workloads.is_gone(B, 0)
    assert site.workloads.is_gone(A, opened - 60)
    first, second, third, fourth = site.server.asked
    assert first == ("/api/v1/pods", {"limit": "100"}, "Bearer first.token")
    assert second[1] == {"limit": "100", "continue": "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NDgyMDB9"}
    watch = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S)}
    assert third[1] == watch | {"resourceVersion": "48200"}
    assert fourth[1] == watch | {"resourceVersion": "48300"}


def test_a_connection_that_breaks_is_resumed_where_it_was(site):
    """In the middle of a chunk; what was whole counts."""
    assert site.step(recorded("job"), recorded("job_end"), CUT) > 0
    assert site.watch.failed == {"connection": 1}
    assert not site.workloads.is_gone(A, 0)
    site.step(recorded("bookmark"))
    assert site.server.asked[-1][1]["resourceVersion"] == "48411"
    assert site.workloads.is_gone(A, 0)
    assert site.watch.lists == 1


def test_a_token_that_is_replaced_is_read_anew(site):
    site.step(recorded("bookmark"))
    site.token.write_text("second.token")
    site.step(recorded("bookmark"))
    assert [token for _, _, token in site.server.asked] == ["Bearer first.token"] * 3 + ["Bearer second.token"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "unauthorized"), (403, "forbidden"), (410, "expired"), (429, "status"), (500, "status"), (302, "status")],
)
def test_what_the_server_refuses(site, status, code):
    """A redirect is not followed: the token is for this server alone."""
    site.step(recorded("bookmark"))
    site.server.statuses.append(status)
    assert site.step(recorded("bookmark")) > 0
    assert site.watch.failed == {code: 1}
    asked = len(site.server.asked)
    site.watch.step()
    assert [path for path, _, _ in site.server.asked[asked:]] == ["/api/v1/pods"] * 3
    assert site.watch.lists == 2


def test_a_server_of_another_authority_gets_no_token(site):
    """Nor is anything believed that it says."""
    site.ca.write_bytes(Authority("corp.example", time.time()).bundle_pem)
    assert site.watch.step() > 0
    assert (site.watch.failed, site.server.asked) == ({"certificate": 1}, [])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "token_unreadable"),
        (b"a\r\nX: y", "token_unreadable"),
        (b"a" * 20_000, "token_unreadable"),
        (b"\xff", "token_unreadable"),
        (None, "account_missing"),
    ],
    ids=["empty", "a header of its own", "too long", "no text", "missing"],
)
def test_a_token_that_is_none(site, content, code):
    if content is None:
        site.token.unlink()
    else:
        site.token.write_bytes(content)
    site.watch.step()
    assert (site.watch.failed, site.server.asked) == ({code: 1}, [])


def test_one_namespace_alone(site):
    site.follow(namespace="agents")
    site.step(recorded("bookmark"))
    assert {path for path, _, _ in site.server.asked} == {"/api/v1/namespaces/agents/pods"}
    for name in ("../x", "a/b", "A", "-a", "a" * 64):
        with pytest.raises(ValueError, match="RFC 1123"):
            site.follow(namespace=name)


def test_a_server_that_falls_silent(site, monkeypatch):
    monkeypatch.setattr(pod_api, "SILENT_S", 0.2)
    assert site.step(recorded("job"), HOLD) > 0
    assert site.watch.failed == {"timeout": 1}


def test_a_watch_that_never_ends(site):
    """Is ended here, however much it says."""
    late = iter([0.0, 0.0, 0.0, *[WATCH_S + 21.0] * 1000])
    site.follow(monotonic=lambda: next(late))
    assert site.step(*[recorded("bookmark")] * 50) > 0
    assert site.watch.failed == {"timeout": 1}


def test_a_page_that_is_too_large(site, monkeypatch):
    monkeypatch.setattr(pod_api, "MAX_PAGE", 1000)
    site.watch.step()
    assert site.watch.failed == {"page_too_large": 1}


def test_it_stops_at_once_while_a_watch_is_open(site):
    """And no thread is left behind."""
    site.server.watches.append([recorded("job"), HOLD])
    site.watch.start()
    await_value(lambda: site.workloads.running == 3)
    site.watch.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "pods"]
    assert not site.watch.failed


def test_a_server_that_is_not_there(site):
    site.close()
    assert site.watch.step() > 0
    assert site.watch.failed == {"connection": 1}


def test_the_cluster_that_this_server_runs_in():
    """By the variables of the kubelet."""
    found = in_cluster({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"})
    assert found[:2] == ("10.96.0.1", 443)
    assert str(found.token) == "/var/run/secrets/kubernetes.io/serviceaccount/token"
    for wrong in (
        {},
        {"KUBERNETES_SERVICE_HOST": "10.96.0.1"},
        {"KUBERNETES_SERVICE_HOST": "a b", "KUBERNETES_SERVICE_PORT": "443"},
        {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "tcp://x"},
    ):
        with pytest.raises(ConfigError, match=r"tasks\.kubernetes"):
            in_cluster(wrong)
