"""Evaluations that are checks: a gateway that speaks AuthZEN instead of ext_authz lets pass or refuses by what it is told.

So its questions are steps like any other: counted, recorded, contained, their budgets and approvals spent. Who makes the step
is believed as far as it is of a proxy over ext_authz: by its certificate, or by name where `trust.identity_from` says so.
"""

from typing import NamedTuple

from authz_server.engine import Engine
from authz_server.envoy.wire import CheckResponse
from authz_server.model import Call, Caller
from authz_server.record import DecisionEvent
from authz_server.web.described import DescribedStep, encode_check


class Checked(NamedTuple):
    """What a gateway does with a step."""

    event: DecisionEvent
    passes: bool
    headers: dict[str, str]
    """What goes along to the destination in place of the client's own, credentials of `inject` among it."""
    removed: tuple[str, ...]
    """Lower-case names of the client's headers that do not."""


class Checker:
    """Decides steps for gateways. Threads share it.

    Args:
        engine: the one that answers the proxies.
    """

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def check(self, step: DescribedStep, gateway: Caller) -> Checked:
        """Decide one step; each question is another one, also one that was asked before.

        Args:
            step: described by the gateway.
            gateway: who asks.
        """
        # Never an id out of the question: who could choose it would spend one approval twice, as a repeat.
        payload = encode_check(step, self._engine.ports.new_id())
        answer, event = self._engine.decide_one(Call(payload, gateway, None))
        found = CheckResponse.FromString(answer)
        passes = found.status.code == 0
        told = found.ok_response
        headers = {option.header.key: option.header.value for option in told.headers} if passes else {}
        return Checked(event, passes, headers, tuple(told.headers_to_remove) if passes else ())
