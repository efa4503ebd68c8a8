"""Reading the entries of `actions`: what a request must look like, and what it then is."""

import re
from dataclasses import replace
from typing import Final

from authz_server.policy.catalogue import CONNECT, TCP
from authz_server.policy.entries import ActionCase, ActionEntry, RequestMatch
from authz_server.policy.facts import KINDS, SENSITIVITIES, STAGES, UNCLASSIFIED
from authz_server.policy.fields import Check, Fields, Scope
from authz_server.policy.paths import captures_of, parse_path
from authz_server.policy.patterns import compile_globs, compile_networks
from authz_server.policy.tree import Items, Node, Table, described, shown
from authz_server.policy.words import ACTION_FIELDS, CASE_FIELDS, REQUEST_KEYS, Place

MAX_CASES: Final = 64
"""Cases of one entry; they are tried one after the other."""

_DEFAULT_SENSITIVITY: Final = "medium"
_HOST: Final = re.compile(r"(?!.*\.\Z)[a-z0-9*_-](?:[a-z0-9*_.-]{0,252})|\[[0-9a-f:.]{2,45}\]")
_METHOD: Final = re.compile(r"[A-Z][A-Z0-9_-]{0,31}")
_HEADER: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_GRPC_SERVICE: Final = re.compile(r"[A-Za-z0-9_.*]{1,256}")
_GRPC_METHOD: Final = re.compile(r"[A-Za-z0-9_*]{1,128}")
_UPGRADE: Final = re.compile(r"[a-z0-9][a-z0-9!#$%&'+.^_`|~/-]{0,31}")
_SERVICE: Final = re.compile(r"[A-Za-z0-9_./-]{1,128}")
_PATTERN_CHECKS: Final[dict[str, tuple[re.Pattern[str], str]]] = {
    "host": (_HOST, "a host is lower-case, without port and without a dot at its end"),
    "method": (_METHOD, "a method is an upper-case word without wildcards"),
    "grpc.service": (_GRPC_SERVICE, "a gRPC service is a name such as billing.v1.Invoices"),
    "grpc.method": (_GRPC_METHOD, "a gRPC method is a name such as GetInvoice"),
    "upgrade": (_UPGRADE, f"an upgrade is a lower-case token such as websocket, or `{CONNECT}`, or `{TCP}`"),
}


def read_action(node: Node, scope: Scope) -> ActionEntry | None:
    """Read one entry; None when it has no usable name."""
    fields = Fields(node, Place.ACTION_FIELD, ACTION_FIELDS, scope)
    fields.require("match", "kind")
    name = _name(fields)
    before = len(scope.report.faults)
    match = _request_match(fields, scope)
    if len(scope.report.faults) > before:
        # Not to be found equal to another entry for want of the part that is faulty; nothing can have this host.
        match = replace(match, host=(f"faulty-{before}.invalid",))
    entry = ActionEntry(
        name=name,
        match=match,
        kind=fields.choice("kind", "kind", KINDS, "write"),
        sensitivity=fields.choice("sensitivity", "sensitivity", SENSITIVITIES, _DEFAULT_SENSITIVITY),
        stage=fields.choice("stage", "stage", STAGES),
        service=_service(fields),
        body=fields.choice("body", "way to read a body", ("json",)),
        cases=_cases(fields, scope),
        where=fields.node,
    )
    return entry if name else None


def _name(fields: Fields) -> str:
    node = fields.node_of("name")
    value = getattr(node, "value", "")
    if isinstance(value, str) and "{" in value:
        fields.fault("a name with `{…}` is not supported by this version", "name")
        return ""
    name = fields.name()
    if name == UNCLASSIFIED:
        fields.fault(f"`{UNCLASSIFIED}` is the name of what no entry fits", "name")
        return ""
    return name


def _service(fields: Fields) -> str:
    service = fields.text("service")
    if service and _SERVICE.fullmatch(service) is None:
        fields.fault("the name of a service is made of letters, digits and `_ . / -`", "service")
        return ""
    return service


def _request_match(fields: Fields, scope: Scope) -> RequestMatch:
    node = fields.node_of("match")
    if node is None:
        return RequestMatch()
    keys = Fields(node, Place.REQUEST_KEY, REQUEST_KEYS, scope)
    if isinstance(node, Table) and not node.nodes:
        keys.fault("an empty match fits every request; such requests are `unclassified` by themselves")
    match = _patterns(keys, scope)
    _check_transport(keys, match)
    return match


def _patterns(keys: Fields, scope: Scope) -> RequestMatch:
    """All keys of a request match that a mapping has."""
    return RequestMatch(
        host=keys.texts("host", _grammar("host")),
        method=keys.texts("method", _grammar("method")),
        path=keys.texts("path", parse_path),
        header=_headers(keys, scope),
        source=keys.texts("source", lambda text: compile_networks([text])),
        grpc_service=keys.texts("grpc.service", _grammar("grpc.service")),
        grpc_method=keys.texts("grpc.method", _grammar("grpc.method")),
        upgrade=keys.texts("upgrade", _grammar("upgrade")),
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


def _check_transport(keys: Fields, match: RequestMatch) -> None:
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


def _cases(fields: Fields, scope: Scope) -> tuple[ActionCase, ...]:
    node = fields.node_of("cases")
    if node is None:
        return ()
    if not isinstance(node, Items) or not 0 < len(node.nodes) <= MAX_CASES:
        kind = f"{len(node.nodes)} of them" if isinstance(node, Items) else described(node)
        fields.fault(f"a list of 1 to {MAX_CASES} cases is expected, not {kind}", "cases")
        return ()
    return tuple(_case(case, scope) for case in node.nodes)


def _case(node: Node, scope: Scope) -> ActionCase:
    known = (*CASE_FIELDS, "host", "path")
    fields = Fields(node, Place.CASE_FIELD, known, scope)
    for key in ("host", "path"):
        if key in fields:
            fields.fault(f"a case refines one entry; another {key} makes an entry of its own", key)
    match = _patterns(fields, scope)
    case = ActionCase(
        match=replace(match, host=(), path=(), upgrade=()),
        kind=fields.choice("kind", "kind", KINDS),
        sensitivity=fields.choice("sensitivity", "sensitivity", SENSITIVITIES),
        stage=fields.choice("stage", "stage", STAGES),
        where=fields.node,
    )
    if case.match == RequestMatch():
        fields.fault("a case needs a condition, such as `method`; the entry itself is what holds otherwise")
    if not (case.kind or case.sensitivity or case.stage):
        fields.fault("a case refines kind, sensitivity or stage")
    return case


def captures_named_in(entry: ActionEntry) -> frozenset[str]:
    """The path captures of an entry."""
    return frozenset(name for path in entry.match.path for name, _ in captures_of(parse_path(path)))
