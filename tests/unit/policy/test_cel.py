"""The CEL environment: typing, evaluation, combination."""

import pytest

from authz_server.policy.cel import (
    EVALUATION_ERROR,
    MAX_EXPRESSION_CHARS,
    CelSyntaxError,
    Environment,
    undeclared_name,
)

VARIABLES = {
    "action.kind": "string",
    "signals.calls": "int",
    "vars.limit": "int",
    "vars.words": "list<string>",
    "request.headers": "map<string,string>",
    "request.json": "dyn",
    "metadata": "map<string,dyn>",
}


@pytest.fixture(scope="module")
def environment():
    return Environment(VARIABLES, {"under": lambda path, root: path.startswith(root)})


def test_an_expression_knows_its_variables_and_its_type(environment):
    """Variables are the declared names it reads, loop variables are not among them."""
    expression = environment.compile("vars.words.exists(w, w == action.kind) && signals.calls > 3")
    assert expression.variables == ("action.kind", "signals.calls", "vars.words")
    assert expression.result_type == "BOOL"


@pytest.mark.parametrize(
    ("text", "data", "expected"),
    [
        ("signals.calls > vars.limit", {"signals.calls": 5, "vars.limit": 4}, True),
        ('request.headers[?"x-a"].orValue("none") == "none"', {"request.headers": {}}, True),
        ('request.headers["x-a"] == "1"', {"request.headers": {}}, EVALUATION_ERROR),
        ("request.json.amount > 10", {"request.json": {"amount": 11}}, True),
        ("request.json.amount > 10", {"request.json": None}, EVALUATION_ERROR),
        ('under(action.kind, "re")', {"action.kind": "read"}, True),
        ("signals.calls / vars.limit > 0", {"signals.calls": 1, "vars.limit": 0}, EVALUATION_ERROR),
        ('string(metadata[?"a.b"].?c.orValue("d")) == "d"', {"metadata": {}}, True),
    ],
)
def test_evaluation_gives_a_value_or_the_error_value(environment, text, data, expected):
    """Evaluation never raises: what goes wrong is a value."""
    assert environment.compile(text).evaluate(data) is expected


def test_a_missing_variable_is_an_evaluation_error(environment):
    """A variable without a value must not look like false."""
    assert environment.compile("signals.calls > 1").evaluate({}) is EVALUATION_ERROR


@pytest.mark.parametrize("text", ["signals.cals > 1", "signals.calls > 'a'", "1 +", "", "true), (false", "action.kind"])
def test_what_does_not_compile_raises_a_syntax_error(environment, text):
    """Undeclared names, wrong types and broken syntax are errors at load; a text of another type only has another type."""
    if text == "action.kind":
        assert environment.compile(text).result_type == "STRING"
        return
    with pytest.raises(CelSyntaxError):
        environment.compile(text)


def test_an_overlong_expression_is_refused(environment):
    """The bound is on characters, before the parser sees them."""
    with pytest.raises(CelSyntaxError, match="characters"):
        environment.compile("true || " * MAX_EXPRESSION_CHARS + "true")


def test_a_syntax_error_names_the_column_and_the_name(environment):
    """The message of an undeclared name can be turned into a suggestion."""
    with pytest.raises(CelSyntaxError) as caught:
        environment.compile("true && signals.cals > 1")
    assert undeclared_name(caught.value.message) == "signals.cals"
    assert caught.value.column == 16
    assert undeclared_name("something else") == ""


def test_combined_expressions_evaluate_to_a_list(environment):
    """A comment at the end of one condition does not swallow the next."""
    parts = [environment.compile(text) for text in ("signals.calls > 1 // why", 'action.kind == "read"', "false")]
    combined = environment.combine(parts)
    assert combined.evaluate({"signals.calls": 2, "action.kind": "read"}) == [True, True, False]
    assert combined.evaluate({"signals.calls": 2}) is EVALUATION_ERROR
