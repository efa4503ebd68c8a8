"""The site's own part of the policy: what a site would write for its services, as the first line of a trace."""

from functools import cache
from typing import NamedTuple

from bench.scenarios.site import OPERATIONS
from bench.scenarios.wording import VERBS, grpc_names, host_of

NATURE = {
    "list": ("discovery", "low", "discovery"),
    "read": ("read", "low", ""),
    "write": ("write", "medium", ""),
    "delete": ("delete", "high", "impact"),
    "export": ("bulk-read", "high", "collection"),
    "secret": ("credential", "critical", "credential-access"),
    "login": ("auth", "medium", ""),
    "enroll": ("auth", "high", "lateral-movement"),
    "grant": ("admin", "critical", "impact"),
    "exec": ("exec", "high", ""),
    "send": ("write", "high", "exfiltration"),
    "message": ("message", "low", ""),
}
"""Operation to kind, sensitivity and stage, as the owners of a service would declare them."""
SENSITIVE = frozenset(op for op, (_, sensitivity, _) in NATURE.items() if sensitivity in {"high", "critical"})


class Template(NamedTuple):
    """A kind of task that the site declares."""

    scope: tuple[str, ...]
    """`role.operation`s; `role.*` for all of a role; empty for everything."""
    ttl: int
    """Minutes."""
    idle: int
    """Minutes; 0 for none."""
    steps: int
    depth: int = 0
    """How often it may be handed on to another agent."""


TEMPLATES = {
    "report": Template(("crm.list", "crm.read", "crm.export", "warehouse.list", "warehouse.read", "warehouse.export",
                        "files.write", "mail.send"), 30, 10, 400),
    "triage": Template(("tickets.list", "tickets.read", "tickets.write", "crm.list", "crm.read", "wiki.read", "wiki.list",
                        "agents.message"), 30, 10, 200),
    "assist": Template(("files.*", "wiki.*", "calendar.*", "tickets.*", "mail.*", "crm.list", "crm.read", "crm.write",
                        "billing.list", "billing.read", "billing.write", "search.*"), 30, 10, 200),
    "rollout": Template(("deploy.*", "vault.secret", "platform.list", "platform.read", "platform.grant", "logs.list",
                         "logs.read", "files.list", "files.read"), 45, 15, 400),
    "oncall": Template((), 60, 0, 1000),
    "batch": Template(("warehouse.list", "warehouse.read", "warehouse.write", "warehouse.export", "crm.read"), 180, 60, 50000),
    "cleanup": Template(("files.list", "files.read", "files.delete", "tickets.list", "tickets.delete"), 30, 10, 400),
    "relay": Template(("agents.message", "crm.read", "crm.list", "tickets.read", "tickets.list", "tickets.write",
                       "warehouse.read", "warehouse.export"), 45, 15, 200, 3),
}  # fmt: skip


def policy(site):
    """The sections of a site: `vars`, `actions`, `tasks`."""
    actions = [{"name": "health", "match": {"method": "GET", "path": "/healthz"}, "kind": "read", "sensitivity": "low"}]
    actions += [
        _action(site, role, op) for role, operations in OPERATIONS.items() for op in operations if site.knows(role, op)
    ]
    variables = {
        "site_agents": [f"spiffe://{site.agents_trust}/{site.spiffe.format(space='agents', account='**')}"],
        "site_machines": [
            f"spiffe://{site.trust}/{site.spiffe.format(space=space, account='*')}" for space in ("ci", "data", "jobs")
        ],
        "site_issuers": [site.identity("platform", "orchestrator")],
    }
    return {"vars": variables, "actions": actions, "tasks": [_task(site, name) for name in TEMPLATES]}


@cache
def scope_of(site, task):
    """The actions of a template, by their names in the site's catalogue."""
    wanted = TEMPLATES[task].scope
    names = [
        site.action_name(role, op)
        for role, operations in OPERATIONS.items()
        for op in operations
        if site.knows(role, op) and (f"{role}.{op}" in wanted or f"{role}.*" in wanted)
    ]
    return tuple(names) or ("*",)


def covers(site, task, action):
    """Whether a template allows an action; `*` is every action that the catalogue names."""
    scope = scope_of(site, task)
    return bool(action) and (scope == ("*",) or action in scope)


def template_for(role, op):
    """The narrowest template that allows an operation."""
    fitting = [name for name, found in TEMPLATES.items() if f"{role}.{op}" in found.scope or f"{role}.*" in found.scope]
    return min(fitting, key=lambda name: len(TEMPLATES[name].scope), default="oncall")


def _action(site, role, op):
    kind, sensitivity, stage = NATURE[op]
    entry = {"name": site.action_name(role, op), "match": _match(site, role, op), "kind": kind}
    entry["sensitivity"] = sensitivity
    if site.stages and stage:
        entry["stage"] = stage
    return entry


def _match(site, role, op):
    service = site.services[role]
    if service.style == "mcp":
        host, path = (part.format(name=service.name, domain=site.domain) for part in site.mcp)
        return {"host": host, "path": path, "mcp.method": "tools/call", "mcp.tool": f"{VERBS[op][1]}_{service.noun}"}
    host = host_of(site, service)
    if service.style == "grpc":
        name, method = grpc_names(site, service, op)
        return {"host": host, "grpc.service": name, "grpc.method": method}
    method, path = site.paths[op]
    path = path.format(noun=service.noun, name=service.name, id="{id}", page="", tenant="{tenant}").partition("?")[0]
    return {"host": host, "method": method, "path": path}


def _task(site, name):
    template = TEMPLATES[name]
    entry = {
        "name": site.template.format(task=name),
        "issuers": "$(site_issuers)",
        "agents": ["$(site_agents)", "$(site_machines)"],
        "actions": list(scope_of(site, name)),
        "budget": {"steps": template.steps},
        "ttl": f"{template.ttl}m",
    }
    if template.idle:
        entry["idle"] = f"{template.idle}m"
    entry["max_depth"] = template.depth
    return entry
