"""Proofs of possession: whatever is done to one, it proves nothing else, and it proves once."""

from hypothesis import given
from hypothesis import strategies as st

from authz_server.model import Invalid
from authz_server.proving.memory import ProofMemory
from authz_server.task.proof import Proof
from tests.jose import AGENT, KEYED, NOW, principal_of
from tests.steps import request
from tests.unit.proving.world import HOST, bound_headers, checker, workload_headers

LIFE_S = 60
SHOWINGS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([b"a", b"b", b"c"]), st.floats(0, 40)), min_size=1, max_size=40
)
CHARACTERS = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
PRESENTED = (bound_headers(), workload_headers(), workload_headers() | {"authorization": "Bearer x"})


@given(SHOWINGS)
def test_a_proof_is_of_one_step_as_long_as_it_lives(showings):
    """In whatever order and at whatever times steps show it."""
    it, now = ProofMemory(KEYED, LIFE_S), float(NOW)
    owners = {}
    for number, mark, passed in showings:
        now += passed
        owner, since = owners.setdefault(number, (mark, now))
        first = it.take("somebody", Proof("key", str(number), 0.0), mark, now) == ""
        if now - since < LIFE_S:  # beyond it the proof is refused by its age
            assert first == (mark == owner)


@given(st.sampled_from(PRESENTED), st.data())
def test_what_was_changed_proves_nothing(headers, data):
    """One character of any of the headers, in which only the case of a scheme means nothing."""
    name = data.draw(st.sampled_from(sorted(headers)))
    value = headers[name]
    place = data.draw(st.integers(0, len(value) - 1))
    new = data.draw(CHARACTERS)
    changed = {**headers, name: value[:place] + new + value[place + 1 :]}
    it = checker()
    found = it.proof_of(request(headers=changed, host=HOST), principal_of(AGENT), NOW, b"mark")
    same = changed[name].lower() == value.lower() and place < len("bearer ") and name == "authorization"
    if changed == headers or same:
        return
    assert isinstance(found, Invalid) or found.word(None) == ""


@given(
    st.dictionaries(st.sampled_from(["dpop", "workload-identity-token", "workload-proof-token"]), st.text(max_size=200))
)
def test_nothing_that_is_presented_breaks_it(headers):
    """Whatever text stands in the headers."""
    it = checker()
    if it.presents(headers):
        assert isinstance(it.proof_of(request(headers=headers, host=HOST), None, NOW, b"mark"), Invalid)
