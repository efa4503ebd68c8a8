"""From configuration to parts, and what the operator is told when a setting cannot be used."""

import logging
import time

import pytest

from authz_server import assembly, believing
from authz_server.config import load_config
from authz_server.demo.pki import Authority
from authz_server.errors import ConfigError, PolicyError
from authz_server.holder import PolicyHolder
from authz_server.keyhash import KeyedHash
from authz_server.model import Call, Caller, CallerKind, Containment, Entity
from authz_server.state.memory import MemoryStore
from authz_server.state.redis import RedisStore
from tests.check_request import check_request

KEYED = KeyedHash(b"test secret of 16+ bytes")
POLICY = """\
version: 1
actions:
  - {name: read, match: {method: GET, path: /v1/things}, kind: read}
rules:
  - {name: all-read, match: {principal: "spiffe://**", action: read}, then: allow}
"""


def configure(text=""):
    return load_config("config.yaml", text.encode(), {})


def faults(caught):
    return [str(fault) for fault in caught.value.faults]


def test_ids_are_long_and_different():
    """A decision id has 32 hexadecimal digits and never repeats."""
    ids = {assembly.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(text) == 32 and int(text, 16) >= 0 for text in ids)


def test_clocks_agree():
    """Both clocks tell the same Unix time, in seconds and in milliseconds."""
    assert abs(assembly.clock() * 1000 - assembly.clock_ms()) < 1000


def test_a_file_that_cannot_be_read_is_a_fault_of_its_setting(tmp_path):
    """Missing, a directory, too large: the path, the setting, and what is wrong."""
    (tmp_path / "large").write_bytes(b"x" * (assembly.MAX_TRUST_FILE + 1))
    for name, message in (("gone", "No such file"), ("", "directory"), ("large", "is larger than")):
        with pytest.raises(ConfigError) as caught:
            assembly.read_file(tmp_path / name, "trust.x")
        (fault,) = faults(caught)
        assert fault.startswith(str(tmp_path / name))
        assert "trust.x" in fault
        assert message in fault


def test_replicas_with_one_secret_hash_alike(tmp_path):
    """The same file gives the same hash, with or without a newline at its end; without a file each is its own."""
    (tmp_path / "one").write_text("0123456789abcdef\n")
    (tmp_path / "two").write_text("0123456789abcdef")
    one, two = (
        assembly.build_keyed_hash(configure(f"secrets: {{hash_key: {tmp_path / name}}}")) for name in ("one", "two")
    )
    assert one.digest(("a",)) == two.digest(("a",))
    assert assembly.build_keyed_hash(configure()).digest(("a",)) != assembly.build_keyed_hash(configure()).digest(
        ("a",)
    )


def test_a_bad_secret_is_refused_without_being_shown(tmp_path):
    """Too short and too long secrets are faults that say how to make one."""
    for secret in ("hunter2", "hunter2" * 20, ""):
        (tmp_path / "key").write_text(secret)
        with pytest.raises(ConfigError) as caught:
            assembly.build_keyed_hash(configure(f"secrets: {{hash_key: {tmp_path / 'key'}}}"))
        (fault,) = faults(caught)
        assert "openssl rand" in fault
        assert "hunter2" not in fault


def test_a_shared_store_without_a_secret_is_warned_about(caplog):
    """Counters in a store that nobody else can read are no shared counters."""
    with caplog.at_level(logging.WARNING):
        assembly.build_keyed_hash(configure("state: redis://127.0.0.1:1"))
    assert "hash_key is not set" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assembly.build_keyed_hash(configure())
    assert caplog.text == ""


def test_every_faulty_bundle_is_listed(tmp_path):
    """Missing, empty and another domain's bundles: one fault each, all at once."""
    (tmp_path / "empty").write_text("")
    (tmp_path / "other").write_bytes(Authority("other.example", time.time()).bundle_pem)
    names = ("gone", "empty", "other")
    domains = ", ".join(f"{{name: {name}.test, bundle: {tmp_path / name}}}" for name in names)
    with pytest.raises(ConfigError) as caught:
        assembly.build_verifier(configure(f"trust: {{domains: [{domains}]}}"))
    found = faults(caught)
    assert len(found) == 3
    for number, name in enumerate(names):
        assert any(f"{tmp_path / name}: trust.domains[{number}].bundle" in fault for fault in found)


def test_a_verifier_follows_the_configured_domains(tmp_path):
    """Without domains there is none; with one, its workloads are principals, below an intermediate too."""
    assert assembly.build_verifier(configure()) is None
    now = time.time()
    authority = Authority("corp.example", now, intermediate=True)
    (tmp_path / "bundle").write_bytes(authority.bundle_pem)
    (tmp_path / "between").write_bytes(authority.intermediates_pem)
    leaf = authority.issue("spiffe://corp.example/ns/a/sa/b").cert_pem
    text = f"trust: {{domains: [{{name: corp.example, bundle: {tmp_path / 'bundle'}%s}}]}}"
    without = assembly.build_verifier(configure(text % ""))
    assert without.verify_pem(leaf, now).reason == "svid_untrusted_chain"
    with_both = assembly.build_verifier(configure(text % f", intermediates: {tmp_path / 'between'}"))
    assert with_both.verify_pem(leaf, now).id == "spiffe://corp.example/ns/a/sa/b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trust: {gateways: [spiffe://a.test/gw]}", "bind: any"),
        ("trust: {bind: any}", "named gateways"),
        ("trust: {identity_from: [certificate]}", "bundle of a trust domain"),
    ],
)
def test_trust_that_contradicts_itself_is_refused(text, message):
    """Settings that can only be a mistake are faults of `trust`."""
    with pytest.raises(ConfigError) as caught:
        believing.build_trust(configure(text), None)
    (fault,) = faults(caught)
    assert "trust: " in fault
    assert message in fault


def test_a_credential_source_twice_is_refused():
    """Two entries for one header are a mistake."""
    text = "credential_sources: [{header: x-api-key}, {header: x-api-key, scheme: [bearer]}]"
    with pytest.raises(ConfigError) as caught:
        assembly.build_decoder(configure(text), KEYED)
    assert "credential_sources" in faults(caught)[0]


def test_a_check_may_hold_more_than_its_body():
    """Beside the body there is room for Envoy's headers twice, a certificate and metadata."""
    assert assembly.max_message(configure("max_body: 1MiB")) == (1 << 20) + (192 << 10)


@pytest.mark.parametrize(
    ("principal", "exempt"),
    [
        ("spiffe://a.test/ns/control/sa/any", True),
        ("spiffe://a.test/ns/edge/sa/gateway", True),
        ("spiffe://a.test/ns/crm/sa/api", True),
        ("spiffe://a.test/ns/shop/sa/any", False),
        ("spiffe://a.test/ns/agents/sa/any", False),
    ],
)
def test_whom_rules_never_contain(principal, exempt):
    """The listed ones, gateways and exactly named proxies; whoever only fits a pattern of proxies is not exempt."""
    config = configure("""\
containment: {never: ["spiffe://a.test/ns/control/**"]}
trust:
  bind: any
  gateways: [spiffe://a.test/ns/edge/sa/gateway]
  proxies: [spiffe://a.test/ns/crm/sa/api, "spiffe://a.test/ns/shop/sa/*"]
""")
    guard = believing.build_guard(config)
    for entity in (Entity("principal", (principal,)), Entity("instance", (principal, "10.0.0.1"))):
        assert guard.admit(Containment(entity, 1060.0, "rule"), 1000.0) == ("guard_never" if exempt else "")


def test_the_guard_has_the_configured_rate():
    """After so many automatic containments in the time the next one is refused."""
    guard = believing.build_guard(configure("containment: {max_auto: 2 per 10m, max_share: 100%}"))
    for number in range(100):
        guard.seen(f"spiffe://a.test/{number}", 1000.0)
    admitted = [guard.admit(Containment(Entity("principal", (f"p{n}",)), 2000.0, "r"), 1000.0) for n in range(3)]
    assert admitted == ["", "", "guard_rate"]


def test_stores_of_the_configuration():
    """`memory` and a URL; what this version has no store for is refused without repeating a password."""
    assert isinstance(assembly.build_store(configure(), KEYED), MemoryStore)
    store = assembly.build_store(configure("state: unix:///nowhere/s"), KEYED)
    assert isinstance(store, RedisStore)
    store.close()
    with pytest.raises(ConfigError) as caught:
        assembly.build_store(configure("state: redys://user:hunter2@host"), KEYED)
    (fault,) = faults(caught)
    assert ": state: " in fault
    assert "hunter2" not in fault


def test_a_broken_policy_replaces_nothing():
    """The holder keeps what is in force; a good one replaces it whole."""
    holder = PolicyHolder(KEYED, (), assembly.clock)
    holder.publish(holder.compile({"p.yaml": POLICY.encode()}))
    first = holder.current
    with pytest.raises(PolicyError):
        holder.compile({"p.yaml": POLICY.replace("allow", "alow").encode()})
    assert holder.current is first
    holder.publish(holder.compile({"p.yaml": POLICY.replace("all-read", "some-read").encode()}))
    assert holder.current.digest != first.digest


def test_an_engine_of_the_defaults_decides():
    """Bytes in, bytes out: allowed for a principal, denied without one; each decision is an event."""
    config = configure()
    holder = assembly.build_holder(config, KEYED)
    holder.publish(holder.compile({"p.yaml": POLICY.encode()}))
    events = []
    store = assembly.build_store(config, KEYED)
    engine = assembly.build_engine(config, KEYED, holder, store, events.append, verifier=None)
    caller = Caller(CallerKind.SOCKET, "s")
    checks = [check_request(path="/v1/things", principal=who) for who in ("spiffe://a.test/b", "")]
    assert len(engine.decide([Call(check, caller, None) for check in checks])) == 2
    assert [event.verdict.decision.value for event in events] == ["allow", "deny"]


def test_whose_credentials_are_is_learned_where_outcomes_are():
    """Without access logs nobody says which were accepted, and nobody is asked about them."""
    config = configure()
    holder = assembly.build_holder(config, KEYED)
    store = assembly.build_store(config, KEYED)
    for seal in (None, lambda *_: b""):
        engine = assembly.build_engine(config, KEYED, holder, store, print, verifier=None, seal=seal)
        assert (engine.ports.heritage is not None) is (seal is not None)
