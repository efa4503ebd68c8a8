"""authz_server/policy/inject_entries.py."""

import pytest

from authz_server.errors import PolicyError
from authz_server.policy.inject_entries import read_injection
from authz_server.policy.section_entries import InjectEntry
from authz_server.policy.tree import Where
from tests.policy_nodes import faults_of, matches_in, read_entry
from tests.steps import policy

_BASE = {"match": "{action: crm.*}", "header": "authorization", "audience": "https://crm.corp.example"}


def _read(**changed):
    fields = {name: value for name, value in (_BASE | changed).items() if value}
    node, scope = read_entry("{" + ", ".join(f"{name}: {value}" for name, value in fields.items()) + "}")
    return read_injection(node, matches_in(scope), scope), faults_of(scope)


def test_an_injection_is_read_with_all_its_fields():
    """The headers to remove once each, in the order of their names."""
    entry, faults = _read(match="{destination: crm/*}", ttl="30s", strip="[x-api-key, txn-token, txn-token]")
    assert not faults
    assert entry == InjectEntry(
        {"destination": ("crm/*",)},
        "authorization",
        "https://crm.corp.example",
        30,
        ("txn-token", "x-api-key"),
        Where(0, ""),
    )


def test_a_credential_lives_a_minute_and_nothing_is_removed_by_default():
    """The shortest entry."""
    entry, faults = _read()
    assert not faults
    assert (entry.ttl_s, entry.strip) == (60, ())


@pytest.mark.parametrize(
    "audience",
    [
        "https://crm.corp.example",
        "https://crm.corp.example:8443/api?tenant=a",
        "'spiffe://corp.example/ns/crm/sa/api'",
        "'urn:example:crm'",
        "api://3f2c",
    ],
)
def test_an_audience_is_an_absolute_uri(audience):
    """Mostly an https URL."""
    entry, faults = _read(audience=audience)
    assert not faults
    assert entry.audience == audience.strip("'")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"match": ""}, ": `match` is missing"),
        ({"header": ""}, ": `header` is missing"),
        ({"audience": ""}, ": `audience` is missing"),
        ({"match": "{}"}, ".match: an empty match says nothing"),
        ({"match": "{principal: 'spiffe://**'}"}, ".match: a credential is for something: `action` or `destination`"),
        ({"match": "{action: crm.raed}"}, ".match.action: no entry of `actions` fits `crm.raed`"),
        ({"header": "Authorization"}, ".header: `Authorization` is no header: 1 to 64 of a lower-case token, without `:`"),
        ({"header": "':path'"}, ".header: `:path` is no header"),
        ({"header": "'a b'"}, ".header: `a b` is no header"),
        ({"header": "'a\\r\\nb'"}, ".header: `a\\r\\nb` is no header"),
        ({"header": "x" * 65}, ".header: `xxx"),
        *(
            ({"header": name}, f".header: `{name}` is not the policy's to set or remove")
            for name in (
                "host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "trailer", "keep-alive", "content_length",
                "x-authz-decision", "x_authz_decision", "x-envoy-original-path", "x-forwarded-client-cert",
            )
        ),
        ({"audience": "crm.corp.example"}, ".audience: `crm.corp.example` is no absolute URI"),
        ({"audience": "//crm.corp.example"}, ".audience: `//crm.corp.example` is no absolute URI"),
        ({"audience": "'https:'"}, ".audience: `https:` is no absolute URI"),
        ({"audience": "https://"}, ".audience: `https://` is no absolute URI"),
        ({"audience": "https:///api"}, ".audience: `https:///api` is no absolute URI"),
        ({"audience": "https://a@b.example"}, ".audience: `https://a@b.example` is no absolute URI"),
        ({"audience": "'https://crm.example#a'"}, ".audience: `https://crm.example#a` is no absolute URI without a fragment"),
        ({"audience": "'https://crm.example/a b'"}, ".audience: `https://crm.example/a b` is no absolute URI"),
        ({"audience": "'https://crm.example/ä'"}, ".audience: `https://crm.example/ä` is no absolute URI"),
        ({"audience": "https://a.example/" + "x" * 256}, ".audience: a text of 1 to 256 characters"),
        ({"ttl": "0s"}, ".ttl: a duration between 1s and 1m is expected"),
        ({"ttl": "61s"}, ".ttl: a duration between 1s and 1m is expected"),
        ({"strip": "[]"}, ".strip: an empty list matches nothing"),
        ({"strip": "[txn-token, Cookie]"}, ".strip[1]: `Cookie` is no header"),
        ({"strip": "host"}, ".strip: `host` is not the policy's to set or remove"),
        ({"strip": "[authorization]"}, ".strip: `authorization` is the header that the credential is put into"),
        ({"strip": str([f"x-{n}" for n in range(17)])}, ".strip: at most 16 headers"),
        ({"name": "x"}, ".name: unknown field of an injection `name`"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_once_at_its_place(changed, message):
    """What was found and what is expected."""
    faults = _read(**changed)[1]
    assert len(faults) == 1, faults
    assert faults[0].startswith(message), faults


@pytest.mark.parametrize("missing", ["match", "header", "audience"])
def test_what_is_not_usable_sends_no_credential(missing):
    """It would go astray."""
    assert _read(**{missing: ""})[0] is None


_TWO = """
version: 1
actions:
  - {name: customer.read, match: {path: /1}, kind: read}
  - {name: invoice.read, match: {path: /2}, kind: read}
inject:
  - {match: {action: "customer.*"}, header: authorization, audience: https://crm.example}
  - {match: {action: ACTION}, header: x-token, audience: https://b.example, strip: [authorization]}
"""


def test_what_one_entry_sets_no_other_entry_strips_of_the_same_step():
    """Envoy removes after it has set: the destination would get no credential at all."""
    assert policy(_TWO.replace("ACTION", "invoice.read")).injections
    backwards = _TWO.replace("strip: [authorization]", "ttl: 9s").replace(
        "crm.example}", "crm.example, strip: [x-token]}"
    )
    for text, clash in (
        (_TWO, "strips the `authorization` that is set"),
        (backwards, "sets the `x-token` that is stripped"),
    ):
        with pytest.raises(PolicyError) as caught:
            policy(text.replace("ACTION", "customer.read"))
        (fault,) = caught.value.faults
        assert fault.message == f"it {clash} for steps of policy.yaml:7 too; narrow one of them"
