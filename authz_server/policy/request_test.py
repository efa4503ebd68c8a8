"""The conditions of a catalogue entry beside host and path: method, headers, source, gRPC names, and the call in the body."""

from collections.abc import Iterable
from typing import Final, TypeVar

from authz_server.content.rpc import Rpc
from authz_server.errors import DecodeError
from authz_server.model import Request
from authz_server.policy.call_test import RPC_METHODS, CallTest, reads_call
from authz_server.policy.matches import RequestMatch
from authz_server.policy.patterns import Globs, Networks, compile_globs, compile_networks

GRPC_CONTENT_TYPE: Final = "application/grpc"
"""Every gRPC call has a content type that begins so (gRPC over HTTP/2, section Requests), in whatever case (RFC 9110 8.3.1)."""
_GRPC_PIECES: Final = 3
"""`/pkg.Svc/Method` cut at its slashes."""

_Patterns = TypeVar("_Patterns", Globs, Networks)


class RequestTest:
    """What must hold of a request; all of it.

    Attributes:
        methods: the methods that fit, None for all of them.
        call: the conditions on the call in the body, or None.
        weight: how many conditions there are besides the method; more of them are more specific.
        plain: there is no condition besides the method.
    """

    __slots__ = ("_grpc", "_headers", "_rpcs", "_services", "_sources", "call", "methods", "plain", "weight")

    def __init__(self, match: RequestMatch) -> None:
        """Compile the conditions; host, path and upgrade are not among them.

        Raises:
            ValueError: a pattern is malformed.
        """
        self.methods = _methods(match.method)
        self._headers = tuple((name, compile_globs(patterns)) for name, patterns in match.header)
        self._sources = compile_networks(match.source) if match.source else None
        self._services = compile_globs(match.grpc_service) if match.grpc_service else None
        self._rpcs = compile_globs(match.grpc_method) if match.grpc_method else None
        self._grpc = self._services is not None or self._rpcs is not None
        named = (self._sources, self._services, self._rpcs)
        self.weight = len(self._headers) + sum(condition is not None for condition in named)
        self.call = CallTest(match) if reads_call(match) else None
        if self.call is not None:
            self.methods = RPC_METHODS if self.methods is None else self.methods & RPC_METHODS
            self.weight += self.call.weight
        self.plain = self.weight == 0

    def matches(self, request: Request, rpc: Rpc | None) -> bool:
        """Whether all conditions hold.

        Args:
            request: decoded.
            rpc: the call in its body; None when it has not been read, and then conditions on it count as holding.

        Raises:
            DecodeError: `grpc_content_type`: all holds of a POST to a gRPC method but its content type. Servers answer such a
                call all the same, so it must not pass for something else. `header_repeated`: all holds, and a condition on a
                header only for some of its lines, or only for all of them together: servers read the first, the last or all.
        """
        methods = self.methods
        if methods is not None and request.method not in methods:
            return False
        if self.plain:
            return True
        unsure = False
        for name, patterns in self._headers:
            holds = patterns.matches(request.headers.get(name, ""))
            if any(patterns.matches(line) is not holds for line in request.repeated.get(name, ())):
                unsure = True
            elif not holds:
                return False
        if self._sources is not None and not self._sources.matches(request.source_address):
            return False
        if self._grpc and not self._matches_grpc(request):
            return False
        if self.call is not None and (rpc is None or not self.call.matches(rpc)):
            return rpc is None
        if unsure:
            raise DecodeError("header_repeated")
        return True

    def _matches_grpc(self, request: Request) -> bool:
        pieces = request.path.split("/", _GRPC_PIECES)
        fits = (
            len(pieces) == _GRPC_PIECES
            and request.method == "POST"
            and (self._services is None or self._services.matches(pieces[1]))
            and (self._rpcs is None or self._rpcs.matches(pieces[2]))
        )
        if fits and not is_grpc(request):
            raise DecodeError("grpc_content_type")
        return fits

    def overlaps(self, other: "RequestTest") -> bool:
        """Whether a request can satisfy both; unsure means yes."""
        one, two = self.methods, other.methods
        if one is not None and two is not None and one.isdisjoint(two):
            return False
        if self.call is not None and other.call is not None and not self.call.overlaps(other.call):
            return False
        headers = dict(other._headers)  # noqa: SLF001 - of the same class
        for name, patterns in self._headers:
            if name in headers and not patterns.overlaps(headers[name]):
                return False
        return (
            _may_meet(self._sources, other._sources)  # noqa: SLF001 - of the same class
            and _may_meet(self._services, other._services)  # noqa: SLF001 - of the same class
            and _may_meet(self._rpcs, other._rpcs)  # noqa: SLF001 - of the same class
        )


def is_grpc(request: Request) -> bool:
    """Whether a request says that it is a gRPC call."""
    return request.headers.get("content-type", "").lower().startswith(GRPC_CONTENT_TYPE)


def _may_meet(one: _Patterns | None, two: _Patterns | None) -> bool:
    return one is None or two is None or one.overlaps(two)


def _methods(names: Iterable[str]) -> frozenset[str] | None:
    """The methods that fit; whoever may GET may ask for the head of the answer (RFC 9110, 9.3.2)."""
    methods = frozenset(names)
    if not methods:
        return None
    return methods | {"HEAD"} if "GET" in methods else methods
