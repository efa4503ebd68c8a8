"""What a site looks like: its services, and how it writes identities, addresses, credentials and names."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

DATA = ("list", "read", "write", "delete", "export")
OPERATIONS = {
    "crm": DATA,
    "files": DATA,
    "wiki": DATA,
    "tickets": DATA,
    "calendar": DATA,
    "warehouse": DATA,
    "billing": DATA,
    "logs": ("list", "read", "export"),
    "search": ("list", "read"),
    "mail": ("list", "read", "send"),
    "vault": ("list", "secret"),
    "deploy": ("list", "read", "exec"),
    "platform": ("list", "read", "grant"),
    "login": ("login", "enroll"),
    "agents": ("message",),
}
"""What the services are for, by their role; scenarios speak of roles and operations, each site writes them its own way."""

LISTED = tuple(role for role, operations in OPERATIONS.items() if "list" in operations)
STORES = tuple(role for role, operations in OPERATIONS.items() if operations == DATA)

STEMS = ("planner", "researcher", "coder", "support", "analyst", "writer", "triager", "reviewer", "broker", "courier")
_SHARED_NODES = 12
"""One in eight actors is seen under the address of a node that it shares."""


class Service(NamedTuple):
    """A service as the site names it."""

    role: str
    name: str
    principal: str
    style: str
    """`rest`, `grpc`, `mcp` or `a2a`."""
    noun: str


class Actor(NamedTuple):
    """Who makes a step."""

    principal: str
    address: str
    headers: Mapping[str, str]
    """The credential, if there is one."""


@dataclass(frozen=True, eq=False)
class Site:
    """A site; everything that a policy author could be tempted to tune to differs between two of them."""

    name: str
    domain: str
    """Of its hosts."""
    trust: str
    agents_trust: str
    """The trust domain of its agents; another one where they are federated."""
    spiffe: str
    """The path of an identity, from `{space}` and `{account}`."""
    gateway: str
    """The identity of the gateway that asks for every step; empty where each service has a sidecar."""
    host: str
    mcp: tuple[str, str]
    """Host and path of its MCP servers."""
    mcp_version: str
    paths: Mapping[str, tuple[str, str]]
    """Operation to method and path, of services in the REST style."""
    services: Mapping[str, Service]
    network: str
    """What its addresses look like, from `{node}` and `{pod}`."""
    credential: str
    """`bearer`, `jwt` or `x-api-key`."""
    login: str
    """How a password is sent: `body` or `basic`."""
    ids: str
    """What its objects are called: `number`, `hex` or `slug`."""
    action: str
    """How its catalogue names actions, from `{name}`, `{noun}` and `{op}`."""
    template: str
    """How it names task templates, from `{task}`."""
    stages: bool
    known: frozenset[str] | None = None
    """The `role.operation`s that its catalogue has; all where None."""

    def identity(self, space, account, trust=""):
        """A SPIFFE ID."""
        return f"spiffe://{trust or self.trust}/{self.spiffe.format(space=space, account=account)}"

    def agent(self, key, *, credential=True):
        """The agent of a key; the same key gives the same agent."""
        number = crc32(key.encode())
        principal = self.identity("agents", f"{STEMS[number % len(STEMS)]}-{number:08x}", self.agents_trust)
        return Actor(principal, self.address(key), self.secret(key) if credential else {})

    def worker(self, key, space="jobs", account="worker"):
        """A workload that is no agent."""
        principal = self.identity(space, f"{account}-{crc32(key.encode()):08x}" if account == "worker" else account)
        return Actor(principal, self.address(key), self.secret(key))

    def address(self, key):
        """The address of a key, now and then one that it shares with others."""
        number = crc32(b"address" + key.encode())
        if number % 8 == 0:
            number = number // 8 % _SHARED_NODES * 7919
        node, pod = number // 256 % 56 + 4, number % 240 + 10
        return self.network.format(node=f"{node:x}" if ":" in self.network else node, pod=pod)

    def secret(self, key):
        """The header of the credential of a key."""
        token = _token(key)
        if self.credential == "x-api-key":
            return {"x-api-key": token}
        if self.credential == "jwt":
            claims = json.dumps({"sub": token})
            header = json.dumps({"alg": "ES256", "typ": "at+jwt"})
            token = f"{_base64url(header)}.{_base64url(claims)}.{token}"
        return {"authorization": f"Bearer {token}"}

    def basic(self, name, password):
        """The header of a password (RFC 7617)."""
        return {"authorization": f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"}

    def object_id(self, rng):
        """The name of some object."""
        if self.ids == "number":
            return str(rng.randrange(1000, 99999))
        if self.ids == "hex":
            return f"{rng.getrandbits(48):012x}"
        return f"{rng.choice(STEMS)}-{rng.choice(('north', 'south', 'q1', 'q2', 'blue', 'old'))}-{rng.randrange(9999)}"

    def knows(self, role, op):
        """Whether the catalogue has it."""
        return self.known is None or f"{role}.{op}" in self.known

    def action_name(self, role, op):
        """Its name in the catalogue; empty for what the catalogue does not have."""
        service = self.services[role]
        return self.action.format(name=service.name, noun=service.noun, op=op) if self.knows(role, op) else ""

    def of_style(self, style):
        """The roles of the stores that are spoken to in one style."""
        return [role for role in STORES if self.services[role].style == style]


def _token(key):
    """A secret of 32 characters, which is valid token68."""
    return "".join(f"{crc32(f'{part}{key}'.encode()):08x}" for part in "abcd")


def _base64url(text):
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")
