"""What 40 000 rules cost beside 100: `make bench`. Both policies decide the same steps in turn, so that their ratio means something.

Each policy has the rules that every step meets, and behind them rules for single pairs of a caller and an action. The steps
are those of callers that come again and again, and among them one in `FRESH` of a caller that was never seen, for which the
candidate rules have to be found.
"""

import itertools
import random
import time

import pytest

from authz_server import pdp
from authz_server.keyhash import KeyedHash
from authz_server.policy.compiler import compile_policy
from authz_server.policy.selector import Key
from authz_server.signals import Readings
from tests.steps import principal, request

KEYED = KeyedHash(b"benchmark secret, 16+ bytes")
NOW = time.time()
FEW, MANY = 100, 40_000
CALLERS, ACTIONS = 200, 200
FRESH = 20
STEPS = 20_000

FOR_ALL = """
signals:
  calls:    {count: steps, per: [principal], window: 10s}
  things:   {distinct: path.id, per: [principal], window: 10m}
  services: {distinct: destination, per: [principal], window: 10m}
rules:
  - {name: work, match: {principal: "spiffe://corp.example/**", action: "*"}, then: allow}
  - {name: too-fast, when: signals.calls > 1000000, then: throttle}
  - {name: many-things, when: signals.things > 1000 || signals.services > 50, then: deny}
""" + "".join(
    f'  - {{name: guard-{number}, match: {{action: svc*}}, when: \'request.path == "/internal/{number}" || principal.namespace == "n-{number}"\', then: deny}}\n'
    for number in range(17)
)


def account(number):
    return f"spiffe://corp.example/ns/n{number % 10}/sa/w{number}"


def pairs(count):
    """Rules for single pairs of a caller and an action, half of them with a condition of their own."""
    for number in range(count):
        caller, action = number % CALLERS, (number // CALLERS + number) % ACTIONS
        when = f""", when: 'request.headers[?"x-tenant"].orValue("") == "t{number}" || path.id == "x{number}"'"""
        yield (
            f'  - {{name: r{number}, match: {{principal: "{account(caller)}", action: svc{action % 20}.op{action}}}'
            f"{when if number % 2 else ''}, then: {'deny' if number % 2 else 'observe'}}}\n"
        )


def text(count):
    """So many rules over the same catalogue."""
    actions = "".join(
        f'  - {{name: svc{number % 20}.op{number}, match: {{host: s{number % 20}.corp.example, method: GET, path: "/v1/op{number}/{{id}}"}}, kind: read}}\n'
        for number in range(ACTIONS)
    )
    rules = "".join(pairs(count - FOR_ALL.count("- {name")))
    return f"version: 1\nactions:\n{actions}{FOR_ALL}{rules}".encode()


def policy(count):
    return compile_policy({"p.yaml": text(count)}, KEYED)


@pytest.fixture(scope="module")
def policies():
    return {count: policy(count) for count in (FEW, MANY)}


def step(action, caller):
    path = f"/v1/op{action}/17"
    host = f"s{action % 20}.corp.example"
    return request("GET", path, host=host, headers={"x-tenant": "acme"}), principal(caller)


def steps(count, numbers):
    """Requests and callers: busy ones, a few much more than the others, and one in `FRESH` that nobody has seen."""
    choice = random.Random(7)
    for number in range(count):
        caller = int(CALLERS * choice.random() ** 3)
        action = (caller + int(40 * choice.random() ** 2)) % ACTIONS
        fresh = number % FRESH == 0
        yield step(action, f"spiffe://corp.example/ns/new/sa/f{next(numbers)}" if fresh else account(caller))


def decide(snapshot, made, caller):
    """One decision without what is the same in both: decoding, the store, the answer."""
    begun = pdp.begin(snapshot, made, caller, NOW)
    if isinstance(begun, pdp.Pending):
        return pdp.conclude(begun, Readings(tuple([1] * len(begun.hits))))
    return begun


def test_loading(benchmark, capsys):
    """Reading and compiling all of it: processor time, as a reload competes with the decisions for it."""
    content, begun = text(MANY), time.process_time()
    benchmark.pedantic(compile_policy, args=({"p.yaml": content}, KEYED), rounds=1)
    with capsys.disabled():
        print(
            f"\n{MANY} rules, {len(content) >> 20} MiB: loaded in {time.process_time() - begun:.1f} s of processor time"
        )


@pytest.mark.parametrize("count", [FEW, MANY])
def test_a_step_like_one_before(benchmark, policies, count):
    """The candidate set is known."""
    made, caller = step(3, account(3))
    assert benchmark(decide, policies[count], made, caller).verdict.matched


@pytest.mark.parametrize("count", [FEW, MANY])
def test_a_step_of_a_new_caller(benchmark, policies, count):
    """The candidate rules are found, and laid out; their conditions are compiled already."""
    numbers, snapshot = itertools.count(), policies[count]
    made, _ = step(3, account(3))

    def fresh():
        return (snapshot, made, principal(f"spiffe://corp.example/ns/new/sa/n{next(numbers)}")), {}

    assert benchmark.pedantic(decide, setup=fresh, rounds=2000).verdict.matched


@pytest.mark.parametrize("count", [FEW, MANY])
def test_a_look_up_of_rules(benchmark, policies, count):
    """The index alone."""
    snapshot = policies[count]
    key = Key(snapshot.catalogue.actions["svc3.op3"], account(3), "crm/api")
    assert benchmark(snapshot.rules._rules.find, key)


def test_many_rules_beside_few(benchmark, policies, capsys):
    """The target is a ratio of 1.2 at the 99th percentile."""
    took = {count: [] for count in policies}

    def run():
        for round_ in range(3):
            numbers = itertools.count(round_ * STEPS)
            for number, (made, caller) in enumerate(steps(STEPS, numbers)):
                for count in (FEW, MANY) if number % 2 else (MANY, FEW):
                    begun = time.perf_counter_ns()
                    decide(policies[count], made, caller)
                    took[count].append(time.perf_counter_ns() - begun)

    benchmark.pedantic(run, rounds=1)
    # The first round meets every pair of the busy callers for the first time, as a server does after its start.
    for name, part in (("start", slice(STEPS)), ("then", slice(STEPS, None))):
        few, many = (sorted(took[count][part]) for count in (FEW, MANY))
        told = [
            (share, few[int(len(few) * share)] / 1000, many[int(len(many) * share)] / 1000)
            for share in (0.5, 0.9, 0.99, 0.999)
        ]
        benchmark.extra_info[name] = {str(share): round(two / one, 2) for share, one, two in told}
        with capsys.disabled():
            figures = ", ".join(
                f"p{share * 100:g} {one:.0f} and {two:.0f} us ({two / one:.2f})" for share, one, two in told
            )
            print(f"\n{FEW} and {MANY} rules, {name}: {figures}")
