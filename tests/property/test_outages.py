"""Invariants of outages: nobody who is contained passes, and a missing store opens nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.errors import StateUnavailableError
from authz_server.model import Containment, Entity
from authz_server.state.memory import MemoryStore
from authz_server.verdict import Decision
from tests.harness import KEYED, Bench, Clock
from tests.property.policies import ENVELOPE, HEAD, decide, lines, rules, steps

AGENTS = [f"spiffe://corp.example/ns/agents/sa/a{number}" for number in range(3)]
ADDRESSES = ["10.0.0.1", "2001:db8::1", "2001:db8::2"]
KEYS = ["key-of-0000", "key-of-0001"]
POLICY = (
    HEAD
    + """rules:
  - {name: all, match: {principal: ["spiffe://**", anonymous]}, then: allow}
  - {name: slow, when: signals.calls > 4, then: throttle, on_state_error: local}
  - {name: burst, when: signals.calls > 6, then: quarantine, contain: {principal: 20s}}
  - {name: chained, match: {action: a.write}, when: signals.chain >= 2, then: deny}
"""
)
GRAVE = (Decision.DENY, Decision.QUARANTINE, Decision.CHALLENGE)


class Scripted:
    """A store that fails as it is told, before it was sent something or after it carried it out."""

    def __init__(self, clock):
        self.inner = MemoryStore(KEYED, clock.milliseconds)
        self.way = "up"

    def apply(self, measurements):
        if self.way in {"up", "lost"}:
            results = self.inner.apply(measurements)
        if self.way == "up":
            return results
        return [StateUnavailableError(self.way, sent=self.way != "unsent")] * len(measurements)

    def contain(self, containment):
        if self.way != "up":
            raise StateUnavailableError(self.way)
        self.inner.contain(containment)


class World:
    """Some callers and operators, and who is contained from outside."""

    def __init__(self):
        clock = Clock()
        self.it = Bench(POLICY, store=Scripted(clock), clock=clock)
        self.contained = {}

    def step(self, who, address, keys, method):
        """Make a step; none of whoever is contained passes."""
        headers = {"x-api-key": keys} if keys else {}
        path = "/v1/things" if method == "GET" else "/v1/things/7"
        more = {"principal": who, "source": address, "headers": headers, "stream_id": str(len(self.it.events))}
        payload = self.it.payload(method, path, **more)
        self.it.decide(payload)
        event = self.it.events[-1]
        now, request = self.it.clock.now, event.request
        net = "2001:db8::/64" if ":" in address else address
        mine = {Entity("source", (net,))} | {Entity("credential", (each.id,)) for each in request.credentials}
        if who:  # nobody is contained as nobody
            mine |= {Entity("principal", (who,))} | {Entity("pair", (who, each.id)) for each in request.credentials}
        if any(self.contained.get(entity, 0) > now for entity in mine):
            assert event.verdict.decision is Decision.QUARANTINE
        if event.verdict.contain:
            self.contained |= {each.entity: each.until for each in event.verdict.contain}
        if self.it.store.way == "up":
            assert not event.verdict.degraded

    def contain(self, kind, who, address, keys, seconds):
        """An operator contains something that a step showed."""
        self.step(who, address, keys, "GET")
        request = self.it.events[-1].request
        net = "2001:db8::/64" if ":" in address else address
        key = request.credentials[0].id if request.credentials else "-"
        parts = {"principal": (who,), "source": (net,), "credential": (key,), "pair": (who, key)}[kind]
        containment = Containment(Entity(kind, parts), self.it.clock.now + seconds, "operator")
        self.it.contained.add(containment)
        self.contained[containment.entity] = max(containment.until, self.contained.get(containment.entity, 0))

    def store(self, way):
        """What the store does from now on."""
        self.it.store.way = way

    def wait(self, seconds):
        """Time passes, with ticks."""
        self.it.clock.now += seconds
        self.it.engine.tick()


caller = (st.sampled_from([*AGENTS, ""]), st.sampled_from(ADDRESSES), st.sampled_from([*KEYS, ""]))
acts = st.one_of(
    st.tuples(st.just("step"), *caller, st.sampled_from(["GET", "GET", "GET", "PUT"])),
    st.tuples(st.just("step"), st.just(AGENTS[0]), st.just(ADDRESSES[0]), st.just(""), st.just("GET")),
    st.tuples(st.just("store"), st.sampled_from(["up", "unsent", "timeout", "lost"])),
    st.tuples(
        st.just("contain"),
        st.sampled_from(["principal", "source", "credential", "pair"]),
        *caller,
        st.sampled_from([1, 10, 60]),
    ),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1, 5, 31])),
)


@settings(max_examples=150, deadline=None)
@given(history=st.lists(acts, min_size=5, max_size=60))
def test_no_contained_step_is_ever_allowed(history):
    """Whatever the store does, by whomever it is contained, by whatever it is known."""
    world = World()
    for name, *arguments in history:
        getattr(world, name)(*arguments)


@settings(max_examples=80, deadline=None)
@given(history=st.lists(st.sampled_from(["up", "unsent", "timeout", "lost", "tick"]), min_size=1, max_size=40))
def test_what_a_replica_has_seen_it_knows_in_an_outage(history):
    """Of steps within one window, each once, whatever became of it in the store."""
    world, steps = World(), 0
    for way in history:
        if way == "tick":
            world.it.engine.tick()
            continue
        world.store(way)
        world.step(AGENTS[0], ADDRESSES[0], "", "GET")
        verdict, steps = world.it.events[-1].verdict, steps + 1
        if verdict.degraded:
            assert {each.signal: each.value for each in verdict.readings}["calls"] == steps
            assert verdict.decision is not Decision.ALLOW or steps <= 4


@settings(max_examples=300, deadline=None)
@given(
    chosen=rules,
    mode=st.sampled_from(["", ", on_state_error: local", ", on_state_error: deny"]),
    envelope=st.sampled_from(["", ENVELOPE]),
    step=steps,
)
def test_a_missing_store_is_never_more_permissive_on_sensitive_steps(chosen, mode, envelope, step):
    """With the same counts: what is refused with the store is refused without it."""
    step = step._replace(method="PUT", path="/v1/things/7")
    written = [line.replace("}\n", f"{mode}}}\n") for line in lines(chosen)]
    live = decide(written, step._replace(degraded=False), envelope)
    alone = decide(written, step._replace(degraded=True), envelope)
    if live.verdict.decision is not Decision.ALLOW:
        assert alone.verdict.decision is not Decision.ALLOW
    if live.verdict.decision in GRAVE:
        assert alone.verdict.decision in GRAVE
