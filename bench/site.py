"""What the benchmarks decide about: one realistic CheckRequest, a stateless policy and a stateful one of more than 20 rules."""

import time
from urllib.parse import quote

from authz_server.demo.pki import Authority
from tests.check_request import check_request

AGENT = "spiffe://corp.example/ns/agents/sa/report-writer"
STREAM_ID = b"7391546120839123"
"""The id inside the request that the benchmark server replaces, so that no two checks are byte-identical repeats."""

CATALOGUE = """version: 1
vars: {agents: ["spiffe://corp.example/ns/agents/**"], calls_per_10s: 1000000}
actions:
  - {name: crm.customer.read,   match: {host: crm.corp.example, method: GET, path: "/v1/customers/{customer}"}, kind: read}
  - {name: crm.customer.list,   match: {host: crm.corp.example, method: GET, path: /v1/customers}, kind: discovery, stage: discovery}
  - {name: crm.customer.export, match: {host: crm.corp.example, method: POST, path: /v1/customers/export}, kind: bulk-read, stage: collection}
  - {name: files.read,          match: {host: files.corp.example, method: GET, path: "/v1/files/**"}, kind: read}
  - {name: vault.secret.read,   match: {host: vault.corp.example, method: GET, path: "/v1/secret/**"}, kind: credential, stage: credential-access}
"""

STATELESS_RULES = """
  - {name: agents-work, match: {principal: $(agents), action: [crm.*, files.*]}, then: allow}
  - {name: no-foreign-tenant, match: {action: crm.*}, when: 'request.headers[?"x-tenant"].orValue("") == "foreign"', then: deny}
  - {name: no-test-namespace, when: 'principal.namespace == "test"', then: deny}
  - {name: no-zero-customer, match: {action: crm.customer.read}, when: 'path.customer == "0"', then: deny}
"""

STATELESS = CATALOGUE + "rules:" + STATELESS_RULES

SIGNALS = """
signals:
  calls:            {count: steps, per: [principal], window: 10s}
  action_calls:     {count: steps, per: [principal, action], window: 1m}
  services:         {distinct: destination.host, per: [principal], window: 10m}
  customers:        {distinct: path.customer, per: [principal], window: 10m}
  credential_users: {distinct: principal, per: [credential], window: 1h}
  chain:            {sequence: [discovery, credential-access, lateral-movement, collection, exfiltration], per: [principal], window: 6h}
"""

STATEFUL_RULES = """
  - {name: too-fast, when: signals.calls > vars.calls_per_10s, then: throttle}
  - {name: action-too-fast, when: signals.action_calls > 2000000, then: throttle}
  - {name: too-many-services, match: {principal: $(agents)}, when: signals.services > 8, then: deny}
  - {name: many-customers, match: {principal: $(agents)}, when: signals.customers > 25, then: throttle}
  - {name: shared-key, when: signals.credential_users > 1, then: quarantine, contain: {pair: 1h}}
  - {name: chain-stop, when: signals.chain >= 3, then: deny}
"""

MORE_RULES = "".join(
    f'  - {{name: guard-{number}, match: {{action: crm.*}}, when: \'request.path == "/internal/{number}" || principal.namespace == "n{number}"\', then: deny}}\n'
    for number in range(14)
)

STATEFUL = CATALOGUE + SIGNALS + "rules:" + STATELESS_RULES + STATEFUL_RULES + MORE_RULES

HEADERS = {
    "user-agent": "python-httpx/0.28.1",
    "accept": "*/*",
    "accept-encoding": "gzip, deflate",
    "x-request-id": "3b2e8f0e-7e1a-4d2a-9e9f-7f6b2d3c1a00",
    "x-forwarded-proto": "https",
    "x-forwarded-for": "10.1.2.3",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "authorization": "Bearer abcdefghijklmnopqrstuvwxyz0123456789",
    "x-tenant": "acme",
    "x-envoy-internal": "true",
}


def authority():
    """A certificate authority that is valid now."""
    return Authority("corp.example", time.time() - 60)


def escaped(pem):
    """A certificate as Envoy escapes it."""
    return quote(
        pem.decode(), safe="-_.~!*'();:@&$,?#[]ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    ).replace("=", "%3D")


def payload(certificate):
    """The check of one ordinary request, about 1.9 kB."""
    return check_request(
        method="GET",
        path="/v1/customers/17?fields=name,email",
        host="crm.corp.example",
        headers=HEADERS,
        principal=AGENT,
        certificate=escaped(certificate),
        destination_principal="spiffe://corp.example/ns/edge/sa/gateway",
        stream_id=STREAM_ID.decode(),
        context={"authz.max_body": "65536"},
    )
