"""What outcomes will feed rides in the dynamic metadata of an allow, and nowhere else."""

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server.envoy.encode import Encoder
from authz_server.verdict import Decision, Reason, Verdict

ID = "01hzy3v9w2k4m6n8p0q2r4s6t8"
ALLOW = Verdict(Decision.ALLOW, Reason.OK, "read-tools", action="files.read", principal="spiffe://a.example/b", risk=7)
DENY = Verdict(Decision.DENY, Reason.DENIED, "rule", action="files.delete")


def parsed(verdict, encoder=None, **more):
    return CheckResponse.FromString((encoder or Encoder()).encode(verdict, ID, "digest", None, 5, **more))


@pytest.mark.parametrize("length", [1, 100, 127, 128, 300, 16_384])
def test_the_join_is_one_more_field_of_the_metadata(length):
    """Of any length: everything else stays as it is, first time and from memory."""
    encoder = Encoder()
    for _ in range(2):
        plain, joined = parsed(ALLOW, encoder), parsed(ALLOW, encoder, join=b"A" * length)
        assert joined.dynamic_metadata["join"] == "A" * length
        assert joined.dynamic_metadata["risk"] == 7
        del joined.dynamic_metadata["join"]
        assert joined == plain
    assert parsed(ALLOW, encoder) == plain  # nothing of it is remembered


def test_it_is_in_no_header():
    """Neither the upstream nor the caller sees it."""
    joined = parsed(ALLOW, join=b"SECRETJOIN")
    assert "SECRETJOIN" not in str(joined.ok_response)


@pytest.mark.parametrize("verdict", [DENY, DENY._replace(shadow=True)])
def test_a_refusal_has_none(verdict):
    """Nor what shadow mode lets through: a step that was not allowed teaches nothing."""
    assert parsed(verdict, join=b"AAAA") == parsed(verdict)


def test_an_allow_of_shadow_mode_has_one():
    """It was decided so."""
    assert parsed(ALLOW._replace(shadow=True), join=b"AAAA").dynamic_metadata["join"] == "AAAA"
