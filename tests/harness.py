"""An engine over real bytes with a virtual clock: what cases, property tests and integration tests drive."""

import itertools

from envoy.service.auth.v3 import external_auth_pb2

from authz_server.engine import Engine, Ports, Trust
from authz_server.engine.tally import Tally
from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.envoy.encode import Encoder, EncodeSettings
from authz_server.identity.authenticate import Authenticator, TrustSettings
from authz_server.identity.caller import build_caller_settings
from authz_server.keyhash import KeyedHash
from authz_server.model import Call, Caller, CallerKind
from authz_server.policy.compiler import compile_policy
from authz_server.state.containment import ContainedSet
from authz_server.state.guard import ContainmentGuard
from authz_server.state.memory import MemoryStore
from tests.check_request import check_request

KEYED = KeyedHash(b"test secret of 16+ bytes")
START = 1_790_000_000.0
SOCKET = Caller(CallerKind.SOCKET, "unix")


class Clock:
    """Time that moves when it is told to."""

    def __init__(self, now=START):
        self.now = now

    def __call__(self):
        return self.now

    def milliseconds(self):
        return int(self.now * 1000)


class Policy:
    """A policy source that a test can replace."""

    refuses = False

    def __init__(self, text):
        self.replace(text)

    def replace(self, text):
        self.current = compile_policy({"policy.yaml": text.encode()}, KEYED)


class Bench:
    """An engine and everything around it that a test may look at."""

    def __init__(self, text, *, store=None, clock=None, verifier=None, never=lambda entity: False, proxies=(), **ports):
        self.clock = clock or Clock()
        self.policy = Policy(text)
        self.events = []
        self.woken = []
        self.contained = ContainedSet()
        self.local = MemoryStore(KEYED, self.clock.milliseconds)
        self.store = store if store is not None else self.local
        sources = (CredentialSource("authorization", ("bearer", "basic")), CredentialSource("x-api-key"))
        numbers = itertools.count(1)
        values = {
            "decoder": Decoder(DecodeSettings(KEYED, sources)),
            "encoder": Encoder(EncodeSettings()),
            "policy": self.policy,
            "store": self.store,
            "local": self.local,
            "contained": self.contained,
            "guard": ContainmentGuard(never, 20, 600.0, 0.5),
            "keyed": KEYED,
            "clock": self.clock,
            "monotonic": self.clock,
            "new_id": lambda: f"{next(numbers):032x}",
            "submit": self.events.append,
            "tally": Tally(),
            "wake": lambda: self.woken.append(True),
        }
        trust = Trust(
            Authenticator(TrustSettings(verifier, ("certificate", "principal") if verifier else ("principal",))),
            build_caller_settings(proxies),
        )
        self.engine = Engine(Ports(**{**values, **ports}), trust)

    def payload(self, method="GET", path="/v1/things", **more):
        """The bytes of one CheckRequest; every one different, as Envoy's are."""
        more.setdefault("stream_id", str(len(self.events) + 1))
        return check_request(method=method, path=path, **more)

    def decide(self, *payloads, caller=SOCKET, remaining_ms=None):
        """Decide one batch; the parsed answers."""
        answers = self.engine.decide([Call(payload, caller, remaining_ms) for payload in payloads])
        assert len(answers) == len(payloads)
        return [external_auth_pb2.CheckResponse.FromString(answer) for answer in answers]

    def step(self, *arguments, **more):
        """Decide one request; the verdict."""
        self.decide(self.payload(*arguments, **more))
        return self.events[-1].verdict
