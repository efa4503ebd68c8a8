"""How a site writes a request: REST paths, gRPC methods, MCP tool calls."""

import json
from typing import NamedTuple

JSON = {"content-type": "application/json"}
GRPC = {"content-type": "application/grpc", "te": "trailers"}
VERBS = {
    "list": ("List", "list"),
    "read": ("Get", "get"),
    "write": ("Update", "update"),
    "delete": ("Delete", "delete"),
    "export": ("Export", "export"),
    "secret": ("Reveal", "reveal"),
    "login": ("Login", "login"),
    "enroll": ("Enroll", "enroll"),
    "grant": ("Bind", "bind"),
    "exec": ("Run", "run"),
    "send": ("Send", "send"),
    "message": ("Message", "message"),
}
"""Operation to the verb of a gRPC method and of a tool."""
WORDS = (
    "admin", "internal", "debug", "config", "backup", "users", "accounts", "tokens", "keys", "jobs", "queues", "pipelines",
    "clusters", "volumes", "images", "snapshots", "roles", "policies", "audit", "sessions", "devices", "invoices", "schemas",
    "replicas", "tables", "buckets", "topics", "graphs", "models", "datasets", "runners", "tenants", "quotas", "routes",
)  # fmt: skip
TENANTS = ("acme-north", "acme-south", "lab")
_WITHOUT_BODY = ("GET", "DELETE")


class Target(NamedTuple):
    """What a step asks for, and of whom."""

    action: str
    """Its name in the site's catalogue, or empty."""
    op: str
    principal: str
    service: str
    method: str
    host: str
    path: str
    headers: dict[str, str]
    body: str = ""
    tool: str = ""

    @property
    def endpoint(self):
        """What a scan would count as one place."""
        return (self.host, self.path.partition("?")[0], self.tool)


def ask(site, rng, role, op, obj="", **more):
    """One operation on an object of a service; a random object if none is named."""
    service = site.services[role]
    obj = obj or site.object_id(rng)
    named = {"op": op, "action": site.action_name(role, op)}
    if service.style == "grpc":
        return _target(site, service, _grpc(*grpc_names(site, service, op), obj), **named)
    if service.style == "mcp":
        tool = f"{VERBS[op][1]}_{service.noun}"
        return mcp_call(site, rng, service, tool, payload(rng, op, obj, more), **named)
    method, path = site.paths[op]
    path = path.format(
        noun=service.noun, name=service.name, id=obj, page=rng.randrange(1, 20), tenant=rng.choice(TENANTS)
    )
    body = "" if method in _WITHOUT_BODY else json.dumps(payload(rng, op, obj, more))
    if service.style == "a2a":
        body = json.dumps(_message(rng, obj))
    return _target(site, service, (method, path, JSON if body else {}, body), **named)


def probe(site, rng, role):
    """A place that does not exist, guessed in the style of a service."""
    service = site.services[role]
    one, two = rng.choice(WORDS), rng.choice(WORDS)
    number = rng.randrange(1, 40)
    if service.style == "grpc":
        method = f"{rng.choice(('List', 'Get', 'Dump'))}{_camel(one)}V{number}"
        return _target(site, service, _grpc(grpc_names(site, service, "list")[0], method, two), op="probe")
    if service.style == "mcp":
        tool = f"{rng.choice(('list', 'get', 'dump', 'run', 'read'))}_{one}_{number}"
        return mcp_call(site, rng, service, tool, {"q": two}, op="probe")
    path = rng.choice((f"/{one}/{two}", f"/v{number}/{one}", f"/{one}/{two}/{number}", f"/api/v{number}/{one}/{two}"))
    return _target(site, service, ("GET", path, {}, ""), op="probe")


def health(site, rng):
    """The harmless request that every service answers."""
    service = site.services[rng.choice(list(site.services))]
    return _target(site, service, ("GET", "/healthz", {}, ""), op="health", action="health")


def mcp_call(site, rng, service, tool, arguments, *, op, action=""):
    """A `tools/call`."""
    body = {"jsonrpc": "2.0", "id": rng.randrange(1, 10**6), "method": "tools/call"}
    body["params"] = {"name": tool, "arguments": arguments}
    if site.mcp_version >= "2026":
        body["params"]["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": site.mcp_version,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    return mcp_post(site, service, json.dumps(body), tool=tool, op=op, action=action)


def mcp_post(site, service, body, *, tool="", op="", action=""):
    """A POST to an MCP server, with the headers of the site's protocol version."""
    headers = {**JSON, "accept": "application/json, text/event-stream", "mcp-protocol-version": site.mcp_version}
    if site.mcp_version >= "2026":
        headers.update({"mcp-method": "tools/call", "mcp-name": tool})
    host, path = (part.format(name=service.name, domain=site.domain) for part in site.mcp)
    destination = site.gateway or service.principal
    return Target(action, op, destination, service.name, "POST", host, path, headers, body, tool)


def grpc_names(site, service, op):
    """Service and method of an operation."""
    return f"{site.name}.{service.name}.v2.{_camel(service.noun)}", f"{VERBS[op][0]}{_camel(service.noun)}"


def host_of(site, service):
    """The host under which a service is called."""
    return site.host.format(name=service.name, domain=site.domain)


def payload(rng, op, obj, more):
    """The arguments of an operation."""
    word = rng.choice(WORDS)
    fixed = {
        "write": {"id": obj, "note": f"{word} {rng.randrange(1000)}"},
        "export": {"set": obj, "format": "csv", "limit": rng.choice((500, 5000, 100000))},
        "login": {"username": obj, "password": "Winter-2031"},
        "enroll": {"node": obj, "tags": [word]},
        "grant": {"subject": obj, "role": "admin"},
        "exec": {"job": obj, "args": [word]},
        "send": {"to": f"{word}@partner.example", "text": f"{obj} {word}"},
    }.get(op, {"id": obj})
    return {**fixed, **more}


def _message(rng, obj):
    text = f"{rng.choice(WORDS)} of {obj}, please"
    message = {"messageId": f"m-{rng.getrandbits(32):08x}", "role": "ROLE_USER", "parts": [{"text": text}]}
    return {"jsonrpc": "2.0", "id": rng.randrange(1, 10**6), "method": "SendMessage", "params": {"message": message}}


def _grpc(service, method, text):
    frame = f"\n{chr(len(text))}{text}"  # field 1, a string; all lengths are under 128, so each is one byte
    return "POST", f"/{service}/{method}", GRPC, f"\0\0\0\0{chr(len(frame))}{frame}"


def _target(site, service, line, *, op, action=""):
    """The target of a method, path, headers and body."""
    method, path, headers, body = line
    destination = site.gateway or service.principal
    return Target(action, op, destination, service.name, method, host_of(site, service), path, headers, body)


def _camel(noun):
    return "".join(part.capitalize() for part in noun.split("_"))
