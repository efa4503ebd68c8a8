"""Properties of task tokens: no changed token verifies, and nothing that is handed on is wider."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authz_server.errors import DecodeError
from authz_server.model import Invalid
from authz_server.policy.patterns import compile_globs
from authz_server.task.attenuate import Narrowing, covers, narrow, replace
from authz_server.task.claims import Confirmation, TaskClaims, encode_claims
from authz_server.task.proof import ProofRequest, verify_dpop
from authz_server.task.read_claims import read_claims
from authz_server.task.token import issue
from tests.jose import AGENT, CLAIMS, FULL, NOW, header, sign, signing_key, verifier

GOOD = issue(FULL, signing_key())
ONE = verifier()
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
LETTERS = "ab."
PATTERN = st.text(alphabet=LETTERS + "*", min_size=1, max_size=7)
WORDS = [a + b + c + d for a in LETTERS for b in ["", *LETTERS] for c in ["", *LETTERS] for d in ["", *LETTERS]]
WORKLOAD = st.integers(0, 12).map(lambda number: f"spiffe://corp.example/ns/agents/sa/w{number}")
BINDING = st.sampled_from(["spiffe", "x5t#S256", "jkt"])
STEPS = st.integers(0, 9)
BUDGETS = st.dictionaries(PATTERN, st.integers(1, 9), max_size=3).map(lambda found: tuple(found.items()))
PATTERNS = st.lists(PATTERN, max_size=3, unique=True).map(tuple)


def confirm(method, agent, mark="A"):
    return Confirmation(method, agent if method == "spiffe" else mark * 42 + "A")


@st.composite
def parents(draw):
    agents = tuple(draw(st.lists(WORKLOAD, min_size=1, max_size=9, unique=True)))
    return FULL._replace(
        agents=agents, confirmation=confirm(draw(BINDING), agents[-1]), actions=draw(PATTERNS), steps=draw(STEPS),
        budgets=draw(BUDGETS), expires=NOW + draw(st.integers(1, 900)), deadline=NOW + 900, generation=draw(st.integers(0, 1024)),
    )  # fmt: skip


@st.composite
def requests(draw):
    agent = draw(WORKLOAD)
    return Narrowing(
        "k-2", NOW + draw(st.integers(0, 900)), NOW + draw(st.integers(0, 1000)), agent,
        confirm(draw(BINDING), draw(st.just(agent) | WORKLOAD), draw(st.sampled_from("AB"))) if draw(st.booleans()) else None,
        draw(PATTERNS), draw(STEPS), draw(BUDGETS), draw(st.sampled_from([0, NOW + 500, NOW + 2000])),
    )  # fmt: skip


def meant(claims):
    return {word for word in WORDS if not claims.actions or compile_globs(claims.actions).matches(word)}


def allowed(claims, word):
    """How many steps of this action the token leaves at most."""
    own = [steps for pattern, steps in claims.budgets if compile_globs((pattern,)).matches(word)]
    return min([claims.steps or 10**9, *own], default=10**9)


def check_narrower(parent, child):
    same = ("issuer", "audience", "txn", "subject", "template", "opener", "originator", "purpose")
    assert [getattr(child, name) for name in same] == [getattr(parent, name) for name in same]
    assert child.expires <= child.deadline <= parent.deadline
    assert child.issued < parent.expires
    assert meant(child) <= meant(parent)
    assert all(allowed(child, word) <= allowed(parent, word) for word in WORDS)
    if parent.confirmation.method != "spiffe":
        assert child.confirmation.method != "spiffe"
    assert len(set(child.agents)) == len(child.agents) <= 9


@given(parents(), requests(), st.integers(0, 12))
def test_what_is_handed_on_is_never_wider(parent, request, max_depth):
    """In actions, steps, budgets, time, depth and proof; and what comes out can be issued."""
    child = narrow(parent, request, max_depth)
    if isinstance(child, str):
        return
    check_narrower(parent, child)
    assert child.agents == (*parent.agents, request.agent)
    assert child.depth <= max_depth
    assert child.expires <= parent.expires
    assert issue(child, signing_key())


@given(parents(), requests())
def test_what_is_replaced_is_never_wider(parent, request):
    """The same, for the same agent, to the end of the task at most."""
    found = replace(parent, request._replace(agent=""))
    if isinstance(found, str):
        return
    check_narrower(parent, found)
    assert (found.agents, found.generation) == (parent.agents, parent.generation + 1)
    if parent.confirmation.method == "jkt":
        assert found.confirmation == parent.confirmation
    assert issue(found, signing_key())


@given(PATTERN, PATTERN)
def test_covering_is_what_it_says(pattern, narrower):
    """Whatever the narrower pattern means, the other one means too; and every pattern covers itself."""
    assert covers(pattern, pattern)
    assert covers("*", narrower)
    outer, inner = compile_globs((pattern,)), compile_globs((narrower,))
    words = [*WORDS, *(narrower.replace("*", filler) for filler in ("", "x", "xx"))]
    assert covers(pattern, narrower) == all(outer.matches(word) for word in words if inner.matches(word))


@given(st.integers(0, len(GOOD) - 1), st.sampled_from(BASE64URL + ".=+/ \n\0é"))
def test_no_changed_character_verifies(at, character):
    """Wherever it stands."""
    changed = GOOD[:at] + character + GOOD[at + 1 :]
    found = ONE.verify(changed, NOW)
    assert (found == FULL) if changed == GOOD else isinstance(found, Invalid)


@given(st.integers(0, len(GOOD)), st.integers(0, 40), st.text(alphabet=BASE64URL + ".", max_size=40))
def test_no_cut_or_grown_token_verifies(at, cut, more):
    """Parts taken out and put in."""
    changed = GOOD[:at] + more + GOOD[at + cut :]
    assert changed == GOOD or isinstance(ONE.verify(changed, NOW), Invalid)


@given(st.permutations(GOOD.split(".")))
def test_parts_in_another_order_do_not_verify(parts):
    """Each has its place."""
    changed = ".".join(parts)
    assert changed == GOOD or isinstance(ONE.verify(changed, NOW), Invalid)


@given(st.text(max_size=200) | st.text(alphabet=BASE64URL + ".", max_size=200))
@example("..")
def test_every_text_is_a_token_or_refused(text):
    """Nothing is raised, and the code is one of ours."""
    found = ONE.verify(text, NOW)
    assert isinstance(found, Invalid)
    assert found.reason.startswith("token_")
    assert isinstance(verify_dpop([text], ProofRequest("GET", text), NOW), Invalid)


@given(st.sampled_from(sorted(header())), JSON)
def test_any_member_of_the_header(name, value):
    """Whatever stands there: the token is refused unless it says what it must."""
    changed = {**header(), name: value}
    found = ONE.verify(sign(changed, json.loads(encode_claims(FULL))), NOW)
    assert (found == FULL) if changed == header() else isinstance(found, Invalid)


@given(JSON, st.sampled_from([(), ("tctx",), ("act",), ("cnf",), ("tctx", "budget")]), st.data())
def test_any_member_of_the_claims(value, path, data):
    """Signed by the right key: read back exactly, or refused; never anything but the reader's own error."""
    body = json.loads(encode_claims(FULL))
    holder = body
    for name in path:
        holder = holder[name]
    holder[data.draw(st.sampled_from(sorted(holder)) | st.text(max_size=5))] = value
    try:
        claims = read_claims(body)
    except DecodeError:
        return
    assert isinstance(claims, TaskClaims)
    assert read_claims(json.loads(encode_claims(claims))) == claims


@pytest.mark.parametrize("claims", [CLAIMS, FULL])
def test_the_examples_hold(claims):
    """What the properties start from."""
    assert ONE.verify(issue(claims, signing_key()), NOW) == claims
    assert AGENT in claims.agents
