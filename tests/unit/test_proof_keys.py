"""From the configuration to what verifies proofs: what is looked at, by which keys, and what a fault says."""

import json
import os

import pytest

from authz_server import assembly
from authz_server.config import load_config
from authz_server.config.trust import host_of
from authz_server.errors import ConfigError, Fault
from authz_server.model import Invalid
from authz_server.proof_keys import LOOK_S, build_proofs
from tests.harness import Bench, Clock
from tests.jose import AGENT, KEYED, NOW, principal_of, signing_key
from tests.servers import valkey
from tests.steps import request
from tests.unit.proving.world import AUTHORITY, HOST, THIEF, bound_headers, dpop, wit, workload_headers, wpt

POLICY = """version: 1
actions: [{name: read, match: {path: "/v1/{thing}"}, kind: read}]
rules: [{name: agents, match: {principal: "spiffe://**"}, then: allow}]
"""


def jwks(*keys, **more):
    return json.dumps({"keys": [{**key.public.jwk(), **more} for key in keys]})


def config_of(trust, **more):
    return load_config("c.yaml", json.dumps({"trust": trust, **more}).encode(), {})


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "corp.json"
    path.write_text(jwks(AUTHORITY))
    return path


def shown(checker, headers, host=HOST):
    if not checker.presents(headers):
        return None
    found = request(headers=headers, host=host)
    result = checker.proof_of(found, principal_of(AGENT), NOW, b"mark")
    return result.reason if isinstance(result, Invalid) else result.word(None)


def tokens(path):
    return [{"domain": "corp.example", "jwks": str(path)}]


def test_nothing_is_looked_at_unless_it_is_configured(keys):
    """Each kind on its own."""
    assert build_proofs(config_of({}), KEYED) is None
    only_dpop = build_proofs(config_of({"proofs": {}}), KEYED)
    assert (shown(only_dpop, bound_headers()), shown(only_dpop, workload_headers())) == ("dpop", None)
    only_wpt = build_proofs(config_of({"workload_tokens": tokens(keys)}), KEYED)
    assert (shown(only_wpt, bound_headers()), shown(only_wpt, workload_headers())) == (None, "wpt")


def test_origins_and_headers_are_taken_over(keys):
    """The destination's own name, the header of tasks and those of credentials."""
    proofs = {"origins": ["HTTPS://CRM.corp.example:8443"]}
    checker = build_proofs(
        config_of({"proofs": proofs, "workload_tokens": tokens(keys)}, tasks={"header": "x-task"}), KEYED
    )
    origin = f"https://{HOST}:8443/v1/things"
    assert shown(checker, bound_headers(htu=origin)) == "dpop"
    assert shown(checker, bound_headers(htu=origin), host="other.example") == "proof_host"
    token = wit()
    both = {"workload-identity-token": token, "workload-proof-token": wpt(token, aud=origin)}
    assert shown(checker, both) == "wpt"
    assert shown(checker, {**both, "x-task": "t"}) == "wpt_tth"
    assert shown(checker, {**both, "x-api-key": "k"}) == "wpt_oth"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://crm.corp.example", "crm.corp.example"),
        ("http://crm.corp.example:8080", "crm.corp.example"),
        ("https://crm.corp.example:443", "crm.corp.example"),
        ("https://[::1]", "[::1]"),
        ("https://[::1]:8443", "[::1]"),
        ("https://192.0.2.1:8443", "192.0.2.1"),
    ],
)
def test_an_origin_is_of_the_host_that_requests_name(origin, host):
    """Without the port; an IPv6 address with its brackets."""
    (found,) = config_of({"proofs": {"origins": [origin]}}).trust.proofs.origins
    assert host_of(found) == host


@pytest.mark.parametrize("use", ["wit-svid", None])
def test_a_bundle_of_spiffe_or_a_plain_key_set(keys, use):
    """Of a bundle those keys alone that are for these tokens."""
    more = {"use": use} if use else {}
    keys.write_text(jwks(AUTHORITY, **more))
    assert shown(build_proofs(config_of({"workload_tokens": tokens(keys)}), KEYED), workload_headers()) == "wpt"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (jwks(AUTHORITY, use="jwt-svid"), "holds no key for workload identity tokens"),
        ("[]", "a key set is an object"),
        ("{", "no JSON"),
        (None, "No such file"),
    ],
)
def test_a_faulty_key_set_ends_the_start(keys, content, message):
    """With its file and its setting."""
    keys.unlink() if content is None else keys.write_text(content)
    with pytest.raises(ConfigError) as caught:
        build_proofs(config_of({"workload_tokens": tokens(keys)}), KEYED)
    (fault,) = caught.value.faults
    assert message in str(fault)
    assert str(keys) in str(fault)
    assert "trust.workload_tokens[0].jwks" in str(fault)


def test_a_domain_that_has_revoked_its_keys_keeps_no_replica_from_starting(keys, tmp_path, caplog):
    """It is a partner's act, and the replica decides for all the others."""
    other = tmp_path / "partner.json"
    other.write_text('{"keys": []}')
    both = [*tokens(keys), {"domain": "partner.example", "jwks": str(other)}]
    checker = build_proofs(config_of({"workload_tokens": both}), KEYED)
    assert shown(checker, workload_headers()) == "wpt"
    assert "partner.example has revoked its keys" in caplog.text


def test_keys_are_read_again_when_they_change(keys, monkeypatch, caplog):
    """While what is written is no key set, those that were good last stay."""
    now = [0.0]
    monkeypatch.setattr("authz_server.proof_keys.time.monotonic", lambda: now[0])
    checker = build_proofs(config_of({"workload_tokens": tokens(keys)}), KEYED)

    def write(text, at):
        keys.write_text(text)
        os.utime(keys, (at, at))
        now[0] += LOOK_S

    write("{", 1)
    assert shown(checker, workload_headers()) == "wpt"
    assert "stay in use" in caplog.text
    write(jwks(THIEF), 2)
    assert shown(checker, workload_headers()) == "wit_unknown_key"
    write(jwks(THIEF, AUTHORITY), 3)
    assert shown(checker, workload_headers()) == "wpt"


@pytest.fixture
def watched(keys, tmp_path, monkeypatch):
    """A checker of two domains, and what writes the file of one of them a while later."""
    now, other = [0.0], tmp_path / "partner.json"
    monkeypatch.setattr("authz_server.proof_keys.time.monotonic", lambda: now[0])
    other.write_text(jwks(THIEF))
    both = [*tokens(keys), {"domain": "partner.example", "jwks": str(other)}]

    def write(path, text):
        path.write_text(text)
        now[0] += LOOK_S
        os.utime(path, (now[0], now[0]))

    return build_proofs(config_of({"workload_tokens": both}), KEYED), keys, other, write


def test_the_faulty_file_of_one_domain_keeps_no_other_from_being_read(watched, caplog):
    """A key that is taken away has to end, whatever a partner writes; and the fault is told once."""
    checker, keys, other, write = watched
    write(other, "{")
    write(keys, jwks(THIEF))
    assert shown(checker, workload_headers()) == "wit_unknown_key"
    write(keys, jwks(AUTHORITY))
    assert shown(checker, workload_headers()) == "wpt"
    assert caplog.text.count("stay in use") == 1


def test_an_empty_set_revokes_the_keys_of_its_domain(watched):
    """Which is what it says in a bundle of SPIFFE; a set of other keys says nothing of these."""
    checker, keys, _, write = watched
    write(keys, jwks(AUTHORITY, use="jwt-svid"))
    assert shown(checker, workload_headers()) == "wpt"
    write(keys, '{"keys": []}')
    assert shown(checker, workload_headers()) == "wit_unknown_key"
    write(keys, jwks(AUTHORITY))
    assert shown(checker, workload_headers()) == "wpt"


def test_a_file_that_could_not_be_read_for_a_moment_is_tried_again(watched, monkeypatch):
    """Though it has not changed since."""
    checker, keys, _, write = watched

    def fails(*_):
        raise ConfigError([Fault("corp.json", 0, "", "too many open files")])

    with monkeypatch.context() as moment:
        moment.setattr(assembly, "read_file", fails)
        write(keys, jwks(THIEF))
        assert shown(checker, workload_headers()) == "wpt"
    write(keys.with_name("something else"), "")
    assert shown(checker, workload_headers()) == "wit_unknown_key"


@pytest.mark.parametrize(
    "trust",
    [
        {"proofs": {"origins": ["https://crm.corp.example/"]}},
        {"proofs": {"origins": ["https://crm.corp.example/v1"]}},
        {"proofs": {"origins": ["crm.corp.example"]}},
        {"proofs": {"origins": ["ftp://crm.corp.example"]}},
        {"proofs": {"origins": ["https://a.example?x"]}},
        {"proofs": {"origins": ["https://a.example", "http://a.example:8080"]}},
        {"workload_tokens": [{"domain": "a", "jwks": "x"}, {"domain": "a", "jwks": "y"}]},
    ],
)
def test_settings_that_mean_nothing(trust):
    """Are refused with the configuration."""
    with pytest.raises(ConfigError):
        config_of(trust)


def test_replicas_share_what_was_shown():
    """Through a real store, in the round trip of the step; a repeat of the check is the same step there too."""
    with valkey() as server:
        stores = [assembly.build_store(config_of({}, state=server.url, state_budget="2s"), KEYED) for _ in range(2)]
        clock = Clock(NOW)
        config = config_of({"proofs": {}})
        one, two = (Bench(POLICY, store=store, clock=clock, proofs=build_proofs(config, KEYED)) for store in stores)
        for number in range(20):
            headers = bound_headers()
            first = one.payload(headers=headers, principal=AGENT, host=HOST, stream_id=f"a{number}")
            replay = one.payload(headers=headers, principal=AGENT, host=HOST, stream_id=f"b{number}")
            codes = [
                answer.status.code for answer in (*one.decide(first), *two.decide(first, replay), *two.decide(replay))
            ]
            # The replica that was shown both takes the first one for a repeat and the other one for what it is.
            assert codes == [0, 0, 16, 16]
        for store in stores:
            store.close()


def test_a_key_of_its_own_is_no_more_than_a_key():
    """Which a policy is told nothing of."""
    checker = build_proofs(config_of({"proofs": {}}), KEYED)
    assert shown(checker, {"dpop": dpop(signing_key(3))}) == ""
