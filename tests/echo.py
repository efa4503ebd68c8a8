"""The protected service of end-to-end tests."""

import json
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit


class Echo(BaseHTTPRequestHandler):
    """Answers with what reached it: every header line, the path and the size of the body.

    `?answer=404` asks for that status, `?answer=0` for a connection that breaks off before the answer.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else head and body arrive 40 ms apart

    def _answer(self) -> None:
        size = self._drain_chunks() if self.headers.get("transfer-encoding") else self._drain()
        seen = {"path": self.path, "headers": [[n.lower(), v] for n, v in self.headers.items()], "size": size}
        body = json.dumps(seen).encode()
        status = int(parse_qs(urlsplit(self.path).query).get("answer", ["200"])[0])
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _drain(self) -> int:
        return len(self.rfile.read(int(self.headers.get("content-length") or 0)))

    def _drain_chunks(self) -> int:
        total = 0
        while size := int(self.rfile.readline(), 16):
            total += len(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return total

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""
