"""Answers that are remembered: two verdicts share one only where they are answered alike."""

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from authz_server.envoy.encode import Encoder
from authz_server.model import Containment, Entity
from authz_server.verdict import Decision, Demand, Effect, Excepted, Injected, Match, Reading, Reason, Verdict

CHALLENGE = Verdict(Decision.CHALLENGE, Reason.CHALLENGE, rule="r", action="a", principal="p")
ALLOW = Verdict(Decision.ALLOW, Reason.OK, rule="r", action="a", principal="p")
ID = "0" * 32


def encoded(encoder, verdict):
    return encoder.encode(verdict, ID, "digest", None)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (CHALLENGE, CHALLENGE._replace(demands=(Demand("r", ("group:soc",), "action", 1, 60),))),
        (CHALLENGE, CHALLENGE._replace(demands=(Demand("r", acr="mfa", steps_up=True),))),
        (CHALLENGE, CHALLENGE._replace(shadow=True)),
        (CHALLENGE, CHALLENGE._replace(public_reason="told")),
        (ALLOW, ALLOW._replace(strip=("txn-token",))),
        (ALLOW, ALLOW._replace(degraded=True)),
        (ALLOW, ALLOW._replace(principal="q")),
    ],
)
def test_what_is_answered_otherwise_is_built_otherwise(one, two):
    """Whichever comes first, and as often as they alternate."""
    shared = Encoder()
    for verdict in (one, two, one, two):
        assert encoded(shared, verdict) == encoded(Encoder(), verdict)
    assert encoded(shared, one) != encoded(shared, two)


@pytest.mark.parametrize(
    "changes",
    [
        {"matched": (Match("r", Effect.ALLOW),)},
        {"would_have": (Match("s", Effect.DENY),)},
        {"readings": (Reading("calls", 3, 5),)},
        {"alert": "high"},
        {"tags": ("a:b",)},
        {"excepted": (Excepted("r", "e"),)},
        {"contain": (Containment(Entity("principal", ("p",)), 5.0, "r"),)},
        {"task": "weekly"},
    ],
)
def test_what_only_the_record_tells_is_in_no_answer(changes):
    """Neither for the caller nor for the upstream."""
    assert encoded(Encoder(), ALLOW._replace(**changes)) == encoded(Encoder(), ALLOW)


def test_no_answer_tells_of_a_credential_that_is_to_be_made():
    """Header, audience and time are for who makes it."""
    answer = encoded(Encoder(), ALLOW._replace(inject=(Injected("authorization", "https://secret.example", 60),)))
    assert b"secret.example" not in answer
    assert CheckResponse.FromString(answer).HasField("ok_response")
