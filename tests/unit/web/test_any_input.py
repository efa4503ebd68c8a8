"""Whatever is sent is answered, or refused with a code: nothing else is raised by what reads it."""

import json
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from authz_server.web.answers import WebError
from authz_server.web.batches import read_questions
from authz_server.web.evaluation_request import read_evaluation
from authz_server.web.evaluator import Evaluator
from authz_server.web.forms import parse_form
from authz_server.web.token_request import read_token_request
from tests.unit.web.test_oauth import ASKED
from tests.unit.web.world import AGENT, AUDIENCE, EXPORT, ORCHESTRATOR, World

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
NAMES = st.sampled_from(["type", "id", "name", "properties", "headers", "body", "ip_address", "service"])
TABLES = st.dictionaries(
    NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=3) | st.sampled_from(["workload", "http", AGENT, "GET"])
)
QUESTIONS = st.fixed_dictionaries(
    {"subject": TABLES, "action": TABLES, "resource": TABLES},
    optional={"context": TABLES, "evaluations": VALUES, "options": VALUES},
)
EVALUATOR = Evaluator(World().engine)


def status_of(act):
    """What an act refuses with, and what it gives otherwise."""
    try:
        return 200, act()
    except WebError as error:
        return error.status, None


@given(st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
def test_forms(body):
    status, found = status_of(lambda: parse_form(body))
    assert status in {200, 400}
    assert found is None or parse_form(urlencode(found).encode()) == found


@given(st.dictionaries(st.sampled_from(sorted(ASKED)), st.text(max_size=20) | VALUES.map(json.dumps)))
def test_token_requests(changes):
    form = {name: value for name, value in {**ASKED, **changes}.items() if value}
    status, _ = status_of(lambda: read_token_request(form, AUDIENCE, ORCHESTRATOR).opens(("report",), ORCHESTRATOR))
    assert status in {200, 400, 401}


@given(QUESTIONS)
def test_questions(found):
    assert status_of(lambda: read_questions(found))[0] in {200, 400}
    assert status_of(lambda: read_evaluation(found).step())[0] in {200, 400}


@given(
    st.text(max_size=30),
    st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.lists(st.text(max_size=8)), max_size=3),
)
def test_evaluations(path, headers):
    """What can be described can be evaluated."""
    resource = {"type": "http", "id": f"https://crm.corp.example/{path}", "properties": {"headers": headers}}
    status, step = status_of(lambda: read_evaluation({**EXPORT, "resource": resource}).step())
    assert status in {200, 400}
    assert step is None or EVALUATOR.evaluate(step).verdict.reason != "internal_error"
