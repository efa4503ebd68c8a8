"""A server on HTTPS that speaks the watch protocol of Kubernetes by a script, and what follows it; for tests."""

import random
import ssl
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from authz_server.demo.pki import Authority
from authz_server.taskbook.pod_api import Cluster, HttpsPodApi
from authz_server.taskbook.pods import PodWatch
from authz_server.taskbook.workloads import Workloads
from tests.unit.taskbook.cluster import pages, pieces

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
