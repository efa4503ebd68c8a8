"""What each stage of a decision costs, alone: `make bench`. Compare within one run only."""

import itertools
import time

import pytest

from authz_server import pdp
from authz_server.engine import Trust
from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.envoy.encode import Encoder, EncodeSettings
from authz_server.identity.authenticate import Authenticator, TrustSettings
from authz_server.identity.caller import build_caller_settings
from authz_server.identity.svid import SvidVerifier, parse_bundle
from authz_server.keyhash import KeyedHash
from authz_server.model import Call, Caller, CallerKind
from authz_server.policy.compiler import compile_policy
from authz_server.signals import Measurement, Readings
from authz_server.state.memory import MemoryStore
from authz_server.state.open import open_store
from bench import site
from tests.harness import Bench
from tests.servers import valkey

KEYED = KeyedHash(b"benchmark secret, 16+ bytes")
CALLER = Caller(CallerKind.SOCKET, "unix")
SOURCES = (CredentialSource("authorization", ("bearer", "basic")), CredentialSource("x-api-key"))
NOW = time.time()


class Stages:
    """The inputs of every stage, made by the stages before it."""

    def __init__(self):
        authority = site.authority()
        self.bundle = parse_bundle("corp.example", authority.bundle_pem)
        self.payload = site.payload(authority.issue(site.AGENT).cert_pem)
        self.decoder = Decoder(DecodeSettings(KEYED, SOURCES))
        self.request = self.decoder.decode(self.payload)
        self.authenticator = self.build_authenticator()
        self.principal = self.authenticator.authenticate(self.request, CALLER, NOW)
        self.stateless = compile_policy({"p.yaml": site.STATELESS.encode()}, KEYED)
        self.stateful = compile_policy({"p.yaml": site.STATEFUL.encode()}, KEYED)
        self.flags = pdp.containment_entities(self.principal, self.request)
        self.pending = pdp.begin(self.stateful, self.request, self.principal, NOW)
        self.readings = Readings(tuple(1 for _ in self.pending.hits))
        self.verdict = pdp.conclude(self.pending, self.readings).verdict
        self.fingerprints = itertools.count()

    def build_authenticator(self):
        return Authenticator(TrustSettings(SvidVerifier([self.bundle]), ("certificate", "principal")))

    def measurement(self):
        return Measurement(self.pending.hits, next(self.fingerprints).to_bytes(16, "big"), self.flags)


@pytest.fixture(scope="module")
def stages():
    return Stages()


def test_decode(benchmark, stages):
    """Bytes of a CheckRequest of about 1.5 kB to a Request."""
    assert benchmark(stages.decoder.decode, stages.payload).path == "/v1/customers/17"


def test_identity_cached(benchmark, stages):
    """A certificate that was seen before."""
    assert benchmark(stages.authenticator.authenticate, stages.request, CALLER, NOW).id == site.AGENT


def test_identity_first_time(benchmark, stages):
    """Parsing and path validation of a new certificate."""

    def fresh():
        return (stages.build_authenticator(),), {}

    def authenticate(authenticator):
        return authenticator.authenticate(stages.request, CALLER, NOW)

    assert benchmark.pedantic(authenticate, setup=fresh, rounds=200).id == site.AGENT


def test_classify(benchmark, stages):
    """The catalogue."""
    assert benchmark(stages.stateful.catalogue.classify, stages.request).action.name == "crm.customer.read"


def test_begin_stateless(benchmark, stages):
    """Catalogue, four rules in one CEL call, combination."""
    verdict = benchmark(pdp.begin, stages.stateless, stages.request, stages.principal, NOW).verdict
    assert verdict.rule == "agents-work"


def test_begin_stateful(benchmark, stages):
    """Catalogue, 17 rules without readings, the hits of six signals."""
    assert len(benchmark(pdp.begin, stages.stateful, stages.request, stages.principal, NOW).hits) == 6


@pytest.mark.parametrize("batch", [1, 16])
def test_apply_memory(benchmark, stages, batch):
    """Six signals in this process."""
    store = MemoryStore(KEYED, lambda: int(time.time() * 1000))
    assert len(benchmark(lambda: store.apply([stages.measurement() for _ in range(batch)]))) == batch


@pytest.mark.parametrize("batch", [1, 16])
def test_apply_valkey(benchmark, stages, batch):
    """Six signals in a Valkey on a Unix socket, one round trip."""
    with valkey() as server:
        store = open_store(server.url, KEYED, clock_ms=lambda: int(time.time() * 1000), budget_ms=1000)
        assert isinstance(benchmark(lambda: store.apply([stages.measurement() for _ in range(batch)]))[0], Readings)
        store.close()


def test_conclude(benchmark, stages):
    """Six rules that read signals, and the combination."""
    assert benchmark(pdp.conclude, stages.pending, stages.readings).verdict.rule == "agents-work"


def test_encode(benchmark, stages):
    """An answer like one before: only the id differs."""
    encoder = Encoder(EncodeSettings())
    assert benchmark(encoder.encode, stages.verdict, "0" * 32, "digest", stages.request)


def test_encode_first_time(benchmark, stages):
    """An answer that was not given before."""

    def fresh():
        return (Encoder(EncodeSettings()),), {}

    def encode(encoder):
        return encoder.encode(stages.verdict, "0" * 32, "digest", stages.request)

    assert benchmark.pedantic(encode, setup=fresh, rounds=500)


@pytest.mark.parametrize("policy", ["stateless", "stateful"])
def test_whole_decision(benchmark, stages, policy):
    """Bytes to bytes, state in memory, every check another one."""
    bench = Bench(getattr(site, policy.upper()))
    bench.engine.trust = Trust(stages.build_authenticator(), build_caller_settings(()))
    numbers = itertools.count(10**15)
    bench.clock.now = NOW

    def decide():
        payload = stages.payload.replace(site.STREAM_ID, b"%d" % next(numbers))
        bench.events.clear()
        return bench.engine.decide([Call(payload, CALLER, 200.0)])

    assert len(benchmark(decide)[0]) > 100
    assert bench.events[-1].verdict.rule == "agents-work"
