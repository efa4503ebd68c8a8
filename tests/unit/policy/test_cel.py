"""The CEL environment: typing, evaluation, combination."""

import pytest

from authz_server.policy.cel import (
    EVALUATION_ERROR,
    MAX_ARGUMENT_CHARS,
    MAX_COMBINED_CHARS,
    MAX_EXPRESSION_CHARS,
    MAX_OPTIONAL_MACROS,
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
    "signals.known": "int",
    "signals.known.has": "bool",
    "signals.known.age": "int",
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


KNOWN = {"signals.known": 5, "signals.known.has": True, "signals.known.age": 60}


@pytest.mark.parametrize(
    ("text", "read", "expected"),
    [
        ("signals.known > 4", ("signals.known",), True),
        ("signals.known.has", ("signals.known.has",), True),
        ("signals.known.age > 60", ("signals.known.age",), False),
        ("signals.known > 4 && signals.known.has && signals.known.age == 60", tuple(sorted(KNOWN)), True),
        ("[4, 9].exists(x, x < signals.known && signals.known.has)", ("signals.known", "signals.known.has"), True),
        (
            "[1].all(x, [signals.known.age].all(y, y == 60 && signals.known == 5))",
            ("signals.known", "signals.known.age"),
            True,
        ),
        ("[signals.known.has].filter(h, h).size() == 1", ("signals.known.has",), True),
    ],
)
def test_a_name_can_begin_like_another(environment, text, read, expected):
    """The reading of a signal and what it gives beside it, also inside of macros."""
    expression = environment.compile(text)
    assert expression.variables == read
    assert expression.evaluate({name: KNOWN[name] for name in read}) is expected


@pytest.mark.parametrize(("has", "expected"), [(True, True), (False, False)])
def test_the_longer_name_is_read_by_its_own_value(environment, has, expected):
    """Not as a member of the shorter one."""
    expression = environment.compile("signals.known.has")
    assert expression.evaluate({"signals.known": 5, "signals.known.has": has}) is expected
    assert expression.evaluate({"signals.known": 5}) is EVALUATION_ERROR


def test_a_part_that_a_signal_does_not_have_is_a_load_error(environment):
    """It is neither declared nor a member of a number."""
    with pytest.raises(CelSyntaxError):
        environment.compile("signals.calls.has")


@pytest.mark.parametrize("macro", ["optMap(v, v)", "optFlatMap(v, v.?k)"])
def test_a_chain_of_macros_that_double_is_refused_before_it_is_compiled(environment, macro):
    """Some thirty of them would take all memory."""
    chain = 'metadata[?"k"]' + f".{macro}" * MAX_OPTIONAL_MACROS
    assert environment.compile(f"{chain}.hasValue()").result_type == "BOOL"
    for more in (1, 40):
        with pytest.raises(CelSyntaxError, match="at most 4 of"):
            environment.compile(chain + f".{macro}" * more + ".hasValue()")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1000 + "true" + ")" * 1000,
        "[" * 500 + "1" + "]" * 500 + ".size() > 0",
        "".join(f"[1].all(x{number}, " for number in range(30)) + "true" + ")" * 30,
        "+".join(["signals.calls"] * 200) + " > 3",
        "request.json" + ".a" * 300 + " == 1",
        "request.json" + "[0]" * 300 + " == 1",
        "signals.calls > 1 ? true : " * 100 + "true",
    ],
)
def test_what_nests_too_deeply_is_refused_in_words(environment, text):
    """Whichever part of the library gives up first, it is one kind of error with one remedy."""
    with pytest.raises(CelSyntaxError, match="nests too deeply"):
        environment.compile(text)


@pytest.mark.parametrize(
    "text",
    [
        " && ".join(["signals.calls > 3"] * 190),
        "signals.calls in [" + ",".join(["1"] * 1900) + "]",
        " && ".join(["[1].all(x, x > 0)"] * 190),
        "vars.words == [" + ",".join(["'a'"] * 900) + "]",
        "{" + ", ".join(f"'{number}': 1" for number in range(380)) + "}.size() > 3",
    ],
)
def test_long_chains_and_lists_compile(environment, text):
    """What is wide and not deep is bounded by its length alone."""
    assert environment.compile(text).result_type == "BOOL"


def test_an_error_knows_its_line_and_its_column(environment):
    """A condition may be written over several lines."""
    with pytest.raises(CelSyntaxError) as caught:
        environment.compile("signals.calls > 3 &&\n  signals.cals > 1")
    assert (caught.value.line, caught.value.column) == (2, 10)
    with pytest.raises(CelSyntaxError) as caught:
        environment.compile("signals.calls >")
    assert caught.value.line == 1
    assert "expecting {" not in caught.value.message


def test_more_turns_than_the_library_makes_are_an_evaluation_error(environment):
    """The library raises then; a step must not end in an exception."""
    expression = environment.compile("vars.words.all(x, vars.words.all(y, true))")
    assert expression.evaluate({"vars.words": ["a"] * 200}) is EVALUATION_ERROR


@pytest.mark.parametrize("value", ["\ud800", {"k": "\ud800"}, {"\ud800": 1}, 2**70, {"k": 2**70}, object()])
def test_values_that_the_library_cannot_take_are_evaluation_errors(environment, value):
    """Decoders let none of them through; should one ever come, it opens nothing."""
    assert environment.compile("request.json.k == 1").evaluate({"request.json": value}) is EVALUATION_ERROR


def test_an_added_function_is_not_given_longer_text_than_a_path(environment):
    """It runs in Python, and what a caller sends can be much longer."""
    expression = environment.compile("under(string(request.json), 'a')")
    assert expression.evaluate({"request.json": "a" * MAX_ARGUMENT_CHARS}) is True
    assert expression.evaluate({"request.json": "a" * (MAX_ARGUMENT_CHARS + 1)}) is EVALUATION_ERROR
    turned = environment.compile("under('a', string(request.json))")
    assert turned.evaluate({"request.json": "a" * (MAX_ARGUMENT_CHARS + 1)}) is EVALUATION_ERROR


def test_what_is_too_long_together_is_not_combined(environment):
    """Its parts are then evaluated one by one."""
    part = environment.compile(" && ".join(["signals.calls > 3"] * 100))
    assert environment.combine([part] * 2).result_type == "LIST<BOOL>"
    with pytest.raises(CelSyntaxError, match=str(MAX_COMBINED_CHARS)):
        environment.combine([part] * 16)
