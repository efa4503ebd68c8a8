"""An engine that seals joins, and what takes the outcomes back: for tests of the way between."""

import itertools

from authz_server.control import outcomes as module
from authz_server.control.outcomes import CODES, OutcomePorts, Outcomes
from authz_server.envoy.join import JoinCodec, join_reporter
from authz_server.model import Call, Caller, CallerKind
from tests.harness import KEYED, Bench
from tests.log_messages import entry, message

POLICY = """\
version: 1
actions:
  - {name: doc.read, match: {method: GET, path: "/docs/{doc}"}, kind: read}
signals:
  refused: {count: outcomes, per: [principal, destination], window: 10m, when: "outcome.status in [401, 403]"}
  known:   {distinct: path.doc, per: [principal], fed_by: outcomes, window: 1h}
rules:
  - {name: all-read, match: {principal: "spiffe://**", action: doc.read}, then: allow}
  - {name: turned-away, when: signals.refused > 0, then: deny}
  - {name: settled, when: signals.known > 2, then: observe}
"""
AGENT = "spiffe://corp.example/ns/agents/sa/a13"
PROXY = Caller(CallerKind.MTLS, "spiffe://corp.example/ns/crm/sa/api")


class Place:
    """Both, with different codecs of one secret, as two replicas have."""

    def __init__(self, policy=POLICY, **ports):
        self.codec = JoinCodec(KEYED)
        self.bench = Bench(policy, seal=self.seal, proxies=("spiffe://corp.example/ns/*/sa/api",))
        self.nonces = itertools.count()
        self.paused, self.alerts = [], []
        engine = self.bench.engine
        values = {
            "codec": JoinCodec(KEYED),
            "policy": self.bench.policy,
            "learn": engine.learn,
            "callers": lambda: engine.trust.callers,
            "clock": self.bench.clock,
            "pause": self.paused.append,
            "alert": self.alerts.append,
        }
        self.outcomes = Outcomes(OutcomePorts(**{**values, **ports}))

    def seal(self, decision_id, caller, now, hits):
        return self.codec.seal(decision_id, join_reporter(caller), now, hits, next(self.nonces).to_bytes(12, "big"))

    def step(self, doc="1", caller=PROXY):
        """One request of the agent; its metadata."""
        payload = self.bench.payload(path=f"/docs/{doc}", principal=AGENT, destination_principal=PROXY.id)
        (answer,) = self.bench.decide(payload, caller=caller)
        return dict(answer.dynamic_metadata)

    def log(self, told, caller=PROXY, **more):
        """Report the end of a step with this metadata; the code of each entry."""
        return self.take(entry(told["decision_id"], told.get("join", ""), told["decision"], **more), caller=caller)

    def take(self, *entries, caller=PROXY):
        before = self.outcomes.counts
        assert self.outcomes.take([Call(message(*entries), caller, None)]) == [module.TAKEN]
        self.bench.engine.tick()
        after = self.outcomes.counts
        return {code: after[code] - before[code] for code in CODES if after[code] != before[code]}
