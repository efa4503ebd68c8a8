"""Messages with what a policy adds to a plain allow or deny: stripped headers, a step-up."""

import pytest

from authz_server.envoy.answers import AnswerError, EncodeSettings, Version, allow_message, deny_message
from authz_server.verdict import Decision, Demand, Reason, Verdict

ALLOW = Verdict(Decision.ALLOW, Reason.OK)
VERSION = Version("")


def test_what_is_stripped_does_not_reach_the_destination():
    """Beside the imitations of our headers; a bad name is none."""
    message = allow_message(
        ALLOW._replace(principal="p", action="a", strip=("txn-token",)), "id", VERSION, ["x-authz-z"]
    )
    assert list(message.ok_response.headers_to_remove) == ["txn-token", "x-authz-z"]
    with pytest.raises(AnswerError, match="remove"):
        allow_message(ALLOW._replace(strip=(":path",)), "id", VERSION, ())


@pytest.mark.parametrize("grpc", [False, True])
def test_a_step_up_is_a_401_with_a_challenge_of_its_own(grpc):
    """Which stands in for the ordinary one."""
    demand = Demand("r", acr="mfa", steps_up=True)
    verdict = Verdict(Decision.CHALLENGE, Reason.CHALLENGE, demands=(demand,))
    message = deny_message(verdict, "id", VERSION, EncodeSettings(), grpc=grpc)
    headers = {each.header.key: each.header.value for each in message.denied_response.headers}
    assert (message.status.code, message.denied_response.status.code) == (16, 401)
    assert 'acr_values="mfa"' in headers["www-authenticate"]
    plain = deny_message(verdict._replace(demands=()), "id", VERSION, EncodeSettings(), grpc=grpc)
    assert plain.denied_response.status.code == 403
    assert "www-authenticate" not in {each.header.key for each in plain.denied_response.headers}
