"""Values for tests of the core: requests, principals, policies, without any wire format."""

import textwrap

from authz_server.keyhash import KeyedHash
from authz_server.model import ABSENT, BodyState, Credential, Principal, Request
from authz_server.policy.compiler import compile_policy

KEYED = KeyedHash(b"test secret of 16+ bytes")
AGENT = "spiffe://corp.example/ns/agents/sa/a1"
NOW = 1_790_000_000.0


def request(method="GET", path="/v1/things", host="api.corp.example", **changes):
    """A decoded HTTP request."""
    values = {
        "protocol": "http",
        "method": method,
        "path": path,
        "raw_path": path,
        "query": "",
        "host": host,
        "headers": {},
        "repeated": {},
        "body": b"",
        "body_state": BodyState.ABSENT,
        "upgrade": "",
        "source_address": "10.1.2.3",
        "source_principal": "",
        "source_certificate": "",
        "destination_address": "10.9.9.9",
        "destination_principal": "spiffe://corp.example/ns/crm/sa/api",
        "destination_service": "",
        "context": {},
        "metadata": {},
        "credentials": (),
        "spoofed": (),
        "id": "1",
    }
    return Request(**{**values, **changes})


def principal(name=AGENT):
    """A validated principal; ABSENT for an empty name."""
    if not name:
        return ABSENT
    parts = name.removeprefix("spiffe://").split("/")
    return Principal(
        name, parts[0], parts[2] if len(parts) > 4 else "", parts[4] if len(parts) > 4 else "", "certificate"
    )


def credential(name="c1", kind="bearer"):
    """A presented credential."""
    return Credential(kind, KEYED.hex((name,)))


def policy(text, **more):
    """Compile a policy of one file."""
    return compile_policy({"policy.yaml": textwrap.dedent(text).encode()}, KEYED, **more)
