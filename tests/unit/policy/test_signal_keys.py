"""authz_server/policy/signal_keys.py."""

import pytest

from authz_server.policy.fields import Fields
from authz_server.policy.signal_keys import Known, read_keys, read_word, read_words
from authz_server.policy.words import Place
from tests.policy_nodes import faults_of, read_entry

_KNOWN = Known(
    {
        "tenant": 'string(metadata["x"])',
        "session": 'request.headers[?"x-session"].orValue("")',
        "rows": 'int(mcp.arguments[?"limit"].orValue(0))',
    },
    ("customer",),
)


def _fields(text):
    node, scope = read_entry(text)
    return Fields(node, Place.SIGNAL_FIELD, ("count", "distinct", "budget", "per", "each", "of"), scope), scope


def _keys(text):
    fields, scope = _fields(text)
    return read_keys(fields, _KNOWN, scope), scope


def test_one_key_or_one_for_each_word():
    """In the order in which they are written."""
    assert _keys("{per: [principal, action]}")[0] == (("principal", "action"), ())
    assert _keys("{each: [principal, lineage]}")[0] == ((), ("principal", "lineage"))


@pytest.mark.parametrize(
    "word",
    [
        "principal",
        "source",
        "credential",
        "lineage",
        "destination",
        "action",
        "task",
        "task.id",
        "task.depth",
        "mcp.tool",
        "a2a.agent",
        "principal.trust_domain",
        "request.method",
        "facts.tenant",
        "path.customer",
    ],
)
def test_every_word_for_what_a_step_has_can_be_a_key(word):
    """Bare entities, dotted facts, captures and named facts."""
    (per, _), scope = _keys(f"{{per: {word}}}")
    assert per == (word,)
    assert not faults_of(scope)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", ": a signal has either `per`"),
        ("{per: [principal], each: [principal]}", ": a signal has either `per`"),
        ("{per: []}", ".per: an empty list"),
        ("{per: [principal, principal]}", ".per: the same word twice"),
        ("{each: [principal, source, action, credential, lineage, destination, task, task.id, request.path]}", ".each: at most 8 words"),
        ("{per: [principle]}", ".per: unknown word for what a step has `principle`; did you mean `principal`?"),
        ("{per: [request.headers]}", ".per: unknown word for what a step has `request.headers`"),
        ("{per: [mcp.arguments]}", ".per: unknown word for what a step has `mcp.arguments`"),
        ("{per: [task.covers]}", ".per: unknown word for what a step has `task.covers`"),
        ("{per: [outcome.status]}", ".per: unknown word for what a step has `outcome.status`"),
        ("{per: [signals.calls]}", ".per: unknown word for what a step has `signals.calls`"),
        ("{each: [facts.tennant]}", ".each: there is no `tennant` in `facts`; did you mean `tenant`?"),
        ("{each: [path.customr]}", ".each: no path of `actions` has `{customr}`; did you mean `customer`?"),
        ("{per: 5}", ".per: text is expected, not a number"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_once_at_its_place(text, message):
    """What was found, what is expected, and the nearest name."""
    faults = faults_of(_keys(text)[1])
    assert len(faults) == 1
    assert faults[0].startswith(message)


@pytest.mark.parametrize("word", ["facts.tennant", "path.customr"])
def test_a_name_is_not_missed_when_a_file_could_not_be_read(word):
    """It may stand in that file."""
    fields, scope = _fields(f"{{per: {word}}}")
    scope.report.whole = False
    assert read_words(fields, "per", _KNOWN, scope) == (word,)
    assert not faults_of(scope)


def test_one_word_is_one_word():
    """A value that is remembered is not made of several."""
    fields, scope = _fields("{of: path.customer}")
    assert read_word(fields, "of", _KNOWN, scope) == ("path.customer",)
    assert read_word(fields, "each", _KNOWN, scope) == ()
    fields, scope = _fields("{of: [action, destination]}")
    assert read_word(fields, "of", _KNOWN, scope) == ()
    assert faults_of(scope) == [".of: text is expected, not a list"]


@pytest.mark.parametrize(
    ("keys", "warned"),
    [
        ("count: steps, per: [credential]", 1),
        ("count: allowed, per: [credential]", 1),
        ("budget: steps, per: [credential, path.customer]", 1),
        ("count: denied, per: [credential]", 0),
        ("distinct: principal, per: [credential]", 0),
        ("per: [source]", 0),
        ("per: [path.customer]", 1),
        ("per: [facts.session]", 1),
        ("per: [facts.rows]", 1),
        ("per: [request.path]", 1),
        ("per: [mcp.tool]", 1),
        ("per: [a2a.agent]", 1),
        ("count: steps, each: [principal, credential, source]", 1),
        ("each: [principal, credential, source]", 0),
        ("per: [principal, path.customer]", 0),
        ("per: [destination, facts.tenant]", 0),
        ("per: [facts.tenant]", 0),
        ("per: [task.id]", 0),
        ("per: [action]", 0),
    ],
)
def test_keys_of_client_data_only_are_warned(keys, warned):
    """Whoever can choose the whole key can always begin anew."""
    scope = _keys(f"{{{keys}}}")[1]
    assert not faults_of(scope)
    assert len(scope.report.warnings) == warned
