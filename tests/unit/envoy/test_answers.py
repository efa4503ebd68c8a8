"""The parts of CheckResponse messages that are checked wherever they come from."""

import pytest
from envoy.config.core.v3.base_pb2 import HeaderValueOption

from authz_server.envoy.answers import MAX_REMOVED, MAX_VALUE, AnswerError, Version, allow_message, header_option
from authz_server.verdict import Decision, Reason, Verdict

ALLOW = Verdict(Decision.ALLOW, Reason.OK)


def test_headers_overwrite_in_every_version_of_envoy():
    """Both `append: false` and the action are on the wire."""
    option = HeaderValueOption.FromString(header_option("x-authz-action", "a b").SerializeToString())
    assert (option.header.key, option.header.value) == ("x-authz-action", "a b")
    assert option.HasField("append")
    assert option.append.value is False
    assert option.append_action == HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


@pytest.mark.parametrize("name", ["", ":path", "a b", "a:", "a\n", "\u00e9", "a" * 257])
def test_bad_names(name):
    """A name is a token, so a pseudo header is none."""
    with pytest.raises(AnswerError, match="header name"):
        header_option(name, "v")


@pytest.mark.parametrize("value", ["", "a\r", "a\n", "a\0", "a\tb", "a\x7f", "a\x85", "a" * (MAX_VALUE + 1)])
def test_bad_values(value):
    """No controls, not empty (newer Envoys drop empty values), and bounded."""
    with pytest.raises(AnswerError, match="value"):
        header_option("x-authz-action", value)


def test_removals_are_bounded():
    """A request has no more headers than that."""
    names = [f"x-authz-{number:03}" for number in range(MAX_REMOVED)]
    message = allow_message(ALLOW._replace(principal="p", action="a"), "id", Version(""), names)
    assert list(message.ok_response.headers_to_remove) == names
    with pytest.raises(AnswerError, match="remove"):
        allow_message(ALLOW, "id", Version(""), names)
