"""Reading the keys of a request match: what a request must look like, each pattern checked as far as its word says."""

import re
from typing import Final

from authz_server.content.a2a import MAX_AGENT
from authz_server.content.mcp import MAX_TOOL, TOOLS_CALL
from authz_server.content.rpc import MAX_METHOD
from authz_server.policy.call_test import RPC_METHODS, reads_call
from authz_server.policy.catalogue import CONNECT, TCP
from authz_server.policy.fields import Check, Fields, Scope
from authz_server.policy.matches import RequestMatch
from authz_server.policy.paths import parse_path
from authz_server.policy.patterns import compile_globs, compile_networks
from authz_server.policy.tree import Table, shown
from authz_server.policy.words import Place

ARGUMENTS: Final = "mcp.arguments"
"""A fact that no pattern speaks about: arguments have types."""

_HOST: Final = re.compile(r"(?!.*\.\Z)[a-z0-9*_-](?:[a-z0-9*_.-]{0,252})|\[[0-9a-f:.]{2,45}\]")
_METHOD: Final = re.compile(r"[A-Z][A-Z0-9_-]{0,31}")
_HEADER: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_GRPC_SERVICE: Final = re.compile(r"[A-Za-z0-9_.*]{1,256}")
_GRPC_METHOD: Final = re.compile(r"[A-Za-z0-9_*]{1,128}")
_TOOL: Final = re.compile(f"[A-Za-z0-9_.*-]{{1,{MAX_TOOL}}}")
_RPC_METHOD: Final = re.compile(f"[!-~]{{1,{MAX_METHOD}}}")
_AGENT: Final = re.compile(f"[!-~]{{1,{MAX_AGENT}}}")
_UPGRADE: Final = re.compile(r"[a-z0-9][a-z0-9!#$%&'+.^_`|~/-]{0,31}")
_PATTERN_CHECKS: Final[dict[str, tuple[re.Pattern[str], str]]] = {
    "host": (_HOST, "a host is lower-case, without port and without a dot at its end"),
    "method": (_METHOD, "a method is an upper-case word without wildcards"),
    "grpc.service": (_GRPC_SERVICE, "a gRPC service is a name such as billing.v1.Invoices"),
    "grpc.method": (_GRPC_METHOD, "a gRPC method is a name such as GetInvoice"),
    "mcp.method": (_RPC_METHOD, "a method of MCP is a name such as tools/call"),
    "mcp.tool": (_TOOL, f"a tool has 1 to {MAX_TOOL} of A-Z a-z 0-9 _ . - and `*`"),
    "a2a.method": (_RPC_METHOD, "a method of A2A is a name such as SendMessage or message/send"),
    "a2a.agent": (_AGENT, f"an agent has 1 to {MAX_AGENT} visible ASCII characters"),
    "upgrade": (_UPGRADE, f"an upgrade is a lower-case token such as websocket, or `{CONNECT}`, or `{TCP}`"),
}


def read_patterns(keys: Fields, scope: Scope) -> RequestMatch:
    """Read all keys of a request match that a mapping has."""
    return RequestMatch(
        host=keys.texts("host", _grammar("host")),
        method=keys.texts("method", _grammar("method")),
        path=keys.texts("path", parse_path),
        header=_headers(keys, scope),
        source=keys.texts("source", lambda text: compile_networks([text])),
        grpc_service=keys.texts("grpc.service", _grammar("grpc.service")),
        grpc_method=keys.texts("grpc.method", _grammar("grpc.method")),
        upgrade=keys.texts("upgrade", _grammar("upgrade")),
        mcp_method=keys.texts("mcp.method", _grammar("mcp.method")),
        mcp_tool=keys.texts("mcp.tool", _grammar("mcp.tool")),
        a2a_method=keys.texts("a2a.method", _grammar("a2a.method")),
        a2a_agent=keys.texts("a2a.agent", _grammar("a2a.agent")),
    )


def _grammar(key: str) -> Check:
    pattern, message = _PATTERN_CHECKS[key]

    def check(text: str) -> None:
        if pattern.fullmatch(text) is None:
            raise ValueError(f"`{shown(text)}`: {message}")

    return check


def _headers(keys: Fields, scope: Scope) -> tuple[tuple[str, tuple[str, ...]], ...]:
    node = keys.node_of("header")
    if node is None:
        return ()
    names = tuple(node.nodes) if isinstance(node, Table) else ()
    headers = Fields(node, Place.REQUEST_KEY, names, scope)
    if isinstance(node, Table) and not names:
        headers.fault("an empty list of headers says nothing")
    for name in names:
        if _HEADER.fullmatch(name) is None:
            headers.fault("the name of a header is a lower-case token", name)
    found = ((name, headers.texts(name, lambda text: compile_globs([text]))) for name in sorted(names))
    return tuple((name, patterns) for name, patterns in found if patterns)


def check_transport(keys: Fields, match: RequestMatch) -> None:
    """Refuse combinations that no request can fit."""
    grpc = bool(match.grpc_service or match.grpc_method)
    if grpc and match.path:
        keys.fault("a gRPC entry has no path: its path is /service/method", "path")
    if grpc and match.upgrade:
        keys.fault("a gRPC call is no upgrade", "upgrade")
    if grpc and match.method and "POST" not in match.method:
        keys.fault("every gRPC call is a POST", "method")
    if CONNECT.upper() in match.method and CONNECT not in match.upgrade:
        keys.fault(f"CONNECT is classified by `upgrade: {CONNECT}`", "method")
    if CONNECT in match.upgrade and (match.path or (match.method and CONNECT.upper() not in match.method)):
        keys.fault("a CONNECT request has no path and no other method", "upgrade")
    if TCP in match.upgrade and (match.method or match.path or match.header or grpc):
        keys.fault(
            f"`{TCP}` stands for connections without HTTP: they have a host (by SNI) and a source only", "upgrade"
        )


def check_call(keys: Fields, match: RequestMatch, entry: RequestMatch) -> None:
    """Report conditions on the call in the body that no request can meet.

    Args:
        keys: where the conditions stand.
        match: the conditions themselves.
        entry: what the entry asks for besides; `match` itself unless it is that of a case.
    """
    if ARGUMENTS in keys:
        keys.fault(f"`{ARGUMENTS}` is no key of a match: write it in the `when` of a rule", ARGUMENTS)
    if not reads_call(match):
        return
    mcp, a2a = bool(match.mcp_method or match.mcp_tool), bool(match.a2a_method or match.a2a_agent)
    word = "mcp" if mcp else "a2a"
    if mcp and a2a:
        keys.fault("a call is one of MCP or one of A2A; write an entry or a case for each")
    if match.mcp_tool and match.mcp_method and not compile_globs(match.mcp_method).matches(TOOLS_CALL):
        keys.fault(f"only `{TOOLS_CALL}` names a tool", "mcp.method")
    if any(methods and RPC_METHODS.isdisjoint(methods) for methods in (match.method, entry.method)):
        keys.fault(f"every call of `{word}.*` is a POST")
    if entry.grpc_service or entry.grpc_method or match.grpc_service or match.grpc_method:
        keys.fault(f"a gRPC call carries no call of `{word}.*`")
    if entry.upgrade:
        keys.fault(f"an upgrade carries no call of `{word}.*`")
