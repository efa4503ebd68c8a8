"""Reading the entries of `actions`: what a request must look like, and what it then is."""

import re
from dataclasses import replace
from typing import Final

from authz_server.policy.entries import ActionCase, ActionEntry
from authz_server.policy.facts import KINDS, SENSITIVITIES, STAGES
from authz_server.policy.fields import Fields, Scope
from authz_server.policy.matches import RequestMatch
from authz_server.policy.names import OTHER, TOOL, fill
from authz_server.policy.paths import captures_of, parse_path
from authz_server.policy.patterns import compile_globs
from authz_server.policy.request_keys import ARGUMENTS, check_call, check_transport, read_patterns
from authz_server.policy.step import UNCLASSIFIED
from authz_server.policy.tree import Items, Node, Table, described, shown
from authz_server.policy.words import ACTION_FIELDS, CASE_FIELDS, REQUEST_KEYS, Place

MAX_NAME: Final = 64
"""Characters of a name, also of one with a tool in it."""
MAX_CASES: Final = 64
"""Cases of one entry; they are tried one after the other."""

_DEFAULT_SENSITIVITY: Final = "medium"
_TEMPLATE: Final = re.compile(r"[A-Za-z0-9_.-]*\{tool\}[A-Za-z0-9_.-]*")
_SERVICE: Final = re.compile(r"[A-Za-z0-9_./-]{1,128}")


def read_action(node: Node, scope: Scope) -> ActionEntry | None:
    """Read one entry; None when it has no usable name."""
    fields = Fields(node, Place.ACTION_FIELD, ACTION_FIELDS, scope)
    fields.require("match", "kind")
    before = len(scope.report.faults)
    match = _request_match(fields, scope)
    if len(scope.report.faults) > before:
        # Not to be found equal to another entry for want of the part that is faulty; nothing can have this host.
        match = replace(match, host=(f"faulty-{before}.invalid",))
    name = _name(fields, match)
    entry = ActionEntry(
        name=name,
        match=match,
        kind=fields.choice("kind", "kind", KINDS, "write"),
        sensitivity=fields.choice("sensitivity", "sensitivity", SENSITIVITIES, _DEFAULT_SENSITIVITY),
        stage=fields.choice("stage", "stage", STAGES),
        service=_service(fields),
        body=fields.choice("body", "way to read a body", ("json",)),
        cases=_cases(fields, match, scope),
        where=fields.node,
    )
    return entry if name else None


def _name(fields: Fields, match: RequestMatch) -> str:
    name = fields.text("name")
    if "{" in name or "}" in name:
        return _template(fields, name, match)
    name = fields.name()
    if name == UNCLASSIFIED:
        fields.fault(f"`{UNCLASSIFIED}` is the name of what no entry fits", "name")
        return ""
    return name


def _template(fields: Fields, name: str, match: RequestMatch) -> str:
    """Check a name that the tools of the entry fill in; `""` when it is no name whatever they are."""
    if _TEMPLATE.fullmatch(name) is None:
        fields.fault(
            f"`{shown(name)}` is no name: A-Z a-z 0-9 _ . - and, once, `{TOOL}` for the tool that is called", "name"
        )
        return ""
    if not match.mcp_tool:
        fields.fault(f"`{TOOL}` stands for the tools of `mcp.tool`, and the match lists none", "name")
    for tool in match.mcp_tool:
        made = fill(name, tool)
        if tool == OTHER:
            fields.fault(f"`{OTHER}` is what the tools are called that are not listed", "match", "mcp.tool")
        elif len(made) > MAX_NAME:
            fields.fault(f"the name `{made}` has more than {MAX_NAME} characters", "name")
        elif compile_globs((made,)).matches(UNCLASSIFIED):
            fields.fault(f"with `{tool}` it can be `{UNCLASSIFIED}`, the name of what no entry fits", "name")
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
    keys = Fields(node, Place.REQUEST_KEY, (*REQUEST_KEYS, ARGUMENTS), scope)
    if isinstance(node, Table) and not node.nodes:
        keys.fault("an empty match fits every request; such requests are `unclassified` by themselves")
    match = read_patterns(keys, scope)
    check_transport(keys, match)
    check_call(keys, match, match)
    return match


def _cases(fields: Fields, entry: RequestMatch, scope: Scope) -> tuple[ActionCase, ...]:
    node = fields.node_of("cases")
    if node is None:
        return ()
    if not isinstance(node, Items) or not 0 < len(node.nodes) <= MAX_CASES:
        kind = f"{len(node.nodes)} of them" if isinstance(node, Items) else described(node)
        fields.fault(f"a list of 1 to {MAX_CASES} cases is expected, not {kind}", "cases")
        return ()
    return tuple(_case(case, entry, scope) for case in node.nodes)


def _case(node: Node, entry: RequestMatch, scope: Scope) -> ActionCase:
    known = (*CASE_FIELDS, "host", "path", ARGUMENTS)
    fields = Fields(node, Place.CASE_FIELD, known, scope)
    for key in ("host", "path"):
        if key in fields:
            fields.fault(f"a case refines one entry; another {key} makes an entry of its own", key)
    match = read_patterns(fields, scope)
    check_call(fields, match, entry)
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
