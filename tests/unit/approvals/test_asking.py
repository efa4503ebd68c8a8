"""What an approver is shown of a step, and whether that is the step."""

import pytest

from authz_server.approvals.asking import describe, is_genuine, shown
from authz_server.approvals.binding import MAX_TARGET, approval_id, bound_of, digest_of
from authz_server.approvals.record import MAX_SEALED, MAX_SHOWN, decode_ask, encode_record
from authz_server.keyhash import KeyedHash
from authz_server.model import BodyState
from tests.calls import JSON, tool_body
from tests.steps import KEYED
from tests.unit.approvals.world import CALLS, DPO, NOW, SOC, challenged

LONG = b'{"a":"' + b"x" * (MAX_SHOWN - 8) + b'"}'


def asked(*demands, **changes):
    step = challenged(*demands, **changes)
    bound = bound_of(step)
    return describe(approval_id(KEYED, bound), step, bound, NOW)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"rows":9,"jsonrpc":"2.0","params":{"rows":1}}', '{"rows":9,"jsonrpc":"2.0","params":{"rows":1}}'),
        (b'{"b": 1,   "a": 2}', '{"b":1,"a":2}'),
        (b"not json", "8 bytes that are no JSON"),
        (b"\x1b[2J", "4 bytes that are no JSON"),
        (b"\xff\xfe", "2 bytes that cannot be shown"),
        ('{"a":"\u202e"}'.encode(), '{"a":"\\u202e"}'),
        (LONG, LONG.decode()),
        (LONG + b" ", f"{MAX_SHOWN + 1} bytes that cannot be shown"),
        ('"é"'.encode() * 1, '"\\u00e9"'),
        (b'"' + "é".encode() * 1000 + b'"', "2002 bytes that cannot be shown"),
        (b"", ""),
    ],
)
def test_an_approver_is_shown_all_of_the_arguments_or_how_much_there_is(body, expected):
    """In ASCII, so that nothing of it plays with a terminal, and never cut off: what matters could be behind the cut."""
    ask = asked(body=body, body_state=BodyState.COMPLETE if body else BodyState.ABSENT)
    assert shown(ask) == expected
    assert is_genuine(KEYED, ask)


def test_of_a_call_its_parameters_are_shown():
    """Where the catalogue reads one; elsewhere an agent could hide beside them what it really sends."""
    ask = asked(text=CALLS, body=tool_body("export", {"rows": 9}), headers=JSON, path="/mcp")
    assert shown(ask) == '{"arguments":{"rows":9},"name":"export"}'
    assert is_genuine(KEYED, ask)


def test_what_is_no_call_keeps_nobody_from_looking_at_the_others():
    """A replica that is not itself any more can name an ask for a call that no body holds."""
    ask = asked(body=b"[]", body_state=BodyState.COMPLETE)
    body = digest_of(b"[]", is_call=True)
    bound = bound_of(challenged())._replace(body=body)
    forged = ask.model_copy(update={"body": body, "id": approval_id(KEYED, bound)})
    assert is_genuine(KEYED, forged)
    assert shown(forged) == "2 bytes that are no call"


def test_where_any_arguments_will_do_none_are_shown():
    ask = asked(DPO)
    assert (ask.binds, ask.text, shown(ask)) == ("action", "", "")
    assert is_genuine(KEYED, ask)
    assert not is_genuine(KEYED, ask.model_copy(update={"text": "{}", "size": 2}))


def test_an_ask_of_several_rules_is_genuine():
    ask = asked(SOC, DPO)
    assert is_genuine(KEYED, ask)
    first, second = ask.rules
    assert not is_genuine(KEYED, ask.model_copy(update={"rules": (first,)}))
    other = second.model_copy(update={"digest": "0" * 16})
    assert not is_genuine(KEYED, ask.model_copy(update={"rules": (first, other)}))
    assert not is_genuine(KeyedHash(b"o" * 32), ask)


def test_the_longest_ask_can_be_read_again():
    """What is escaped in it takes twice the room."""
    text = b'"' + b'\\"' * (MAX_SHOWN // 2 - 1) + b'"'
    ask = asked(body=text, path="/" + "p" * (MAX_TARGET - 1), query="q" * MAX_TARGET)
    assert ask.text
    assert len(encode_record(ask)) < MAX_SEALED
    assert decode_ask(encode_record(ask)) == ask
    assert is_genuine(KEYED, decode_ask(encode_record(ask)))


@pytest.mark.parametrize("text", ["\0" * MAX_SHOWN, '"' + "\U0001f600" * (MAX_SHOWN - 2) + '"'])
def test_a_text_that_has_no_room_is_not_shown_and_is_asked_for_all_the_same(text):
    """A character may take six bytes; what is longer than an ask may be would be read by nobody."""
    body = text.encode()
    ask = asked(body=body, path="/" + "p" * (MAX_TARGET - 1), query="q" * MAX_TARGET)
    assert decode_ask(encode_record(ask)) == ask
    assert is_genuine(KEYED, ask)
    assert shown(ask) == f"{len(body)} bytes that cannot be shown"


@pytest.mark.parametrize("changes", [{"path": "/" + "p" * MAX_TARGET}, {"query": "q" * (MAX_TARGET + 1)}])
def test_a_target_that_cannot_be_shown_cannot_be_approved(changes):
    """It would have to be cut off."""
    assert bound_of(challenged(**changes)) is None
