"""What a task token says, and what it may not say."""

import json

import pytest

from authz_server.errors import DecodeError
from authz_server.model import Task
from authz_server.task.claims import MAX_DEPTH, Confirmation, TaskClaims, encode_claims
from authz_server.task.read_claims import read_claims
from tests.jose import AGENT, CLAIMS, FULL, NEXT, NOW, ORCHESTRATOR, THIRD, THUMB, body


def code_of(members):
    with pytest.raises(DecodeError) as raised:
        read_claims(members)
    return raised.value.code


def tctx(**more):
    return body(tctx={name: each for name, each in {**body()["tctx"], **more}.items() if each is not None})


def chain(*agents):
    act = None
    for agent in agents:
        act = {"sub": agent} if act is None else {"sub": agent, "act": act}
    return act


def test_the_names_are_those_of_the_draft():
    """`act` has the present agent outside and the former ones inside; absent parts are left out."""
    assert json.loads(encode_claims(FULL)) == {
        "iss": "https://authz.corp.example", "iat": NOW, "exp": NOW + 300, "aud": "corp.example", "txn": "t-1",
        "jti": "k-1", "sub": "customer-7", "scope": "crm.customer.* unclassified", "req_wl": ORCHESTRATOR,
        "act": {"sub": NEXT, "act": {"sub": AGENT}}, "cnf": {"spiffe": NEXT},
        "tctx": {
            "template": "weekly-report", "opener": "group:oncall", "originator": "customer-7", "deadline": NOW + 900,
            "depth": 1, "generation": 3, "actions": ["crm.customer.*", "unclassified"],
            "budget": {"steps": 200, "actions": {"crm.customer.export": 2}}, "purpose": "Wöchentlicher Bericht",
        },
        "rctx": {"req_ip": "192.0.2.7", "acr": 2, "mfa": True},
    }  # fmt: skip
    assert {"actions", "budget", "purpose"}.isdisjoint(body()["tctx"])
    assert "rctx" not in body()


@pytest.mark.parametrize(
    "claims",
    [
        CLAIMS,
        FULL,
        CLAIMS._replace(confirmation=Confirmation("x5t#S256", THUMB)),
        CLAIMS._replace(confirmation=Confirmation("jkt", THUMB)),
        FULL._replace(steps=0),
        FULL._replace(budgets=()),
    ],
)
def test_what_was_written_is_read(claims):
    """All of it."""
    assert read_claims(json.loads(encode_claims(claims))) == claims


def test_a_policy_reads_a_task():
    """The present agent, the depth of its chain, the end of the token."""
    assert FULL.as_task() == Task(
        template="weekly-report", id="t-1", issuer="group:oncall", agent=NEXT, originator="customer-7", depth=1,
        expires=NOW + 300, actions=("crm.customer.*", "unclassified"), steps=200, parties=FULL.parties,
    )  # fmt: skip
    assert CLAIMS.scope == ("weekly-report",)
    assert {AGENT, NEXT, ORCHESTRATOR, "group:oncall", "customer-7"} == FULL.parties


@pytest.mark.parametrize(
    "name", ["iss", "iat", "exp", "aud", "txn", "jti", "sub", "scope", "req_wl", "act", "cnf", "tctx"]
)
def test_no_claim_is_optional(name):
    """Each has its own code."""
    assert code_of(body(**{name: None})) == name


@pytest.mark.parametrize("name", ["iss", "aud", "txn", "jti", "sub", "scope", "req_wl"])
@pytest.mark.parametrize("value", ["", " ", 7, True, ["corp.example"], {}, "a\nb", "é", "a" * 9000, "a\0"])
def test_texts_are_texts(name, value):
    """Of their alphabet and length; `aud` is no array, not even of one."""
    assert code_of(body(**{name: value})) == name


@pytest.mark.parametrize("name", ["azd", "purp"])
def test_former_names_are_refused(name):
    """Also beside the present ones: another reader might follow them."""
    assert code_of(body(**{name: {"any": 1}})) == "old_name"


@pytest.mark.parametrize("name", ["nbf", "status", "authorization_details"])
def test_restrictions_that_are_not_evaluated_are_refused(name):
    """Rather than ignored, which would lift them."""
    assert code_of(body(**{name: 1})) == "unsupported"


def test_other_unknown_claims_are_ignored():
    """RFC 7519 section 4."""
    assert read_claims(body(x_note="hello", email=7)) == CLAIMS


CHAINS = {
    "text": (AGENT, "act"),
    "null": ({"sub": None}, "act"),
    "empty": ({}, "act"),
    "array": ([{"sub": AGENT}], "act"),
    "no_workload": ({"sub": "spiffe://corp.example"}, "act"),
    "wildcard": ({"sub": "spiffe://corp.example/ns/agents/sa/*"}, "act"),
    "group": ({"sub": "group:oncall"}, "act"),
    "case": ({"sub": AGENT.replace("spiffe", "SPIFFE")}, "act"),
    "more": ({"sub": AGENT, "iss": "x"}, "act"),
    "inner_text": ({"sub": AGENT, "act": NEXT}, "act"),
    "inner_null": ({"sub": AGENT, "act": None}, "act"),
    "loop": (chain(AGENT, AGENT), "loop"),
    "far_loop": (chain(AGENT, NEXT, THIRD, AGENT), "loop"),
    "long": (chain(*(f"{AGENT}{number}" for number in range(MAX_DEPTH + 2))), "chain"),
}


@pytest.mark.parametrize("attack", CHAINS)
def test_a_chain_is_of_workloads_each_once(attack):
    """Bounded, without loops, and nothing in it but who carried the task."""
    act, code = CHAINS[attack]
    assert code_of(body(act=act)) == code


def test_the_longest_chain_is_read():
    """As deep as any template may allow."""
    agents = tuple(f"{AGENT}{number}" for number in range(MAX_DEPTH + 1))
    claims = CLAIMS._replace(agents=agents, confirmation=Confirmation("spiffe", agents[-1]))
    assert read_claims(json.loads(encode_claims(claims))).depth == MAX_DEPTH


CONFIRMATIONS = [
    {}, {"jwk": {}}, {"spiffe": NEXT}, {"spiffe": "spiffe://corp.example/**"}, {"spiffe": AGENT, "jkt": THUMB},
    {"x5t": THUMB}, {"x5t#S256": ""}, {"x5t#S256": "A" * 42}, {"x5t#S256": "A" * 44}, {"x5t#S256": "A" * 42 + "B"},
    {"x5t#S256": "a" * 64}, {"jkt": 7}, {"jkt": THUMB, "jku": "https://evil.example"}, {"kid": "k"}, [THUMB], THUMB,
]  # fmt: skip


@pytest.mark.parametrize("cnf", CONFIRMATIONS)
def test_one_known_way_of_proof(cnf):
    """None, two, or an unknown one is refused; by SPIFFE ID it is the agent's own."""
    assert code_of(body(cnf=cnf)) == "cnf"


TASKS = {
    "unknown": {"hours": "09:00-17:00"},
    "no_template": {"template": None},
    "pattern_template": {"template": "*"},
    "opener_text": {"opener": "somebody"},
    "opener_group": {"opener": "group:"},
    "opener_domain": {"opener": "spiffe://corp.example"},
    "originator": {"originator": ""},
    "deadline": {"deadline": NOW + 299},
    "deadline_text": {"deadline": "never"},
    "generation": {"generation": 1025},
    "generation_negative": {"generation": -1},
    "no_actions": {"actions": []},
    "actions_text": {"actions": "*"},
    "actions_twice": {"actions": ["a", "a"]},
    "actions_number": {"actions": [1]},
    "actions_blank": {"actions": ["a b"]},
    "actions_many": {"actions": [f"a{number}" for number in range(65)]},
    "actions_nested": {"actions": [["a"]]},
    "no_budget": {"budget": {}},
    "budget_null": {"budget": [1]},
    "budget_unknown": {"budget": {"bytes": 1}},
    "steps_zero": {"budget": {"steps": 0}},
    "steps_negative": {"budget": {"steps": -5}},
    "steps_huge": {"budget": {"steps": 1_000_001}},
    "steps_float": {"budget": {"steps": 1.0}},
    "steps_true": {"budget": {"steps": True}},
    "budgets_empty": {"budget": {"actions": {}}},
    "budgets_zero": {"budget": {"actions": {"a": 0}}},
    "budgets_pattern": {"budget": {"actions": {"a/b": 1}}},
    "budgets_many": {"budget": {"actions": {f"a{number}": 1 for number in range(17)}}},
    "purpose_empty": {"purpose": ""},
    "purpose_long": {"purpose": "x" * 257},
    "purpose_bell": {"purpose": "\x07"},
    "purpose_line": {"purpose": "a\nb"},
    "purpose_bidi": {"purpose": "abc\u202ecba"},
    "purpose_list": {"purpose": ["x"]},
}


@pytest.mark.parametrize("attack", TASKS)
def test_the_task_is_read_strictly(attack):
    """An empty list is refused, since it could mean all or nothing; and so is what would restrict in an unknown way."""
    assert code_of(tctx(**TASKS[attack])) == "tctx"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        (tctx(depth=1), "depth"),
        (tctx(depth=-1), "depth"),
        (tctx(depth=None), "tctx"),
        (tctx(actions=["a.*"]), "scope"),
        (body(scope="*"), "scope"),
        (body(scope="weekly-report other"), "scope"),
        (body(FULL, scope="unclassified crm.customer.*"), "scope"),
    ],
)
def test_parts_that_contradict_each_other(members, code):
    """`scope` is for other readers and says the same as `tctx`; the depth is the chain's."""
    assert code_of(members) == code


@pytest.mark.parametrize(
    "rctx",
    [{}, [], "x", {"a": None}, {"a": {}}, {"a": [1]}, {"a": 1.5}, {"a": ""}, {"a": "\x1b[31m"}, {"a": "x" * 257},
     {"A": 1}, {"a-b": 1}, {"a" * 33: 1}, {f"a{number}": 1 for number in range(17)}],
)  # fmt: skip
def test_circumstances_are_flat_and_few(rctx):
    """They go into records."""
    assert code_of(body(rctx=rctx)) == "rctx"


def test_claims_are_a_plain_value():
    """Compared and hashed by what they say."""
    assert hash(FULL) == hash(TaskClaims(*FULL))
