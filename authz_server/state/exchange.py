"""Commands on their way to one server over one connection, and their replies on the way back."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from hiredis import pack_command

from authz_server.errors import StateUnavailableError
from authz_server.state.breaker import Breaker
from authz_server.state.network import Command, Sendable, is_error
from authz_server.state.pool import Pool
from authz_server.state.terms import REPLACED, Terms
from authz_server.state.wire import Wire


class Server(Protocol):
    """What an exchange tells the server that it was with."""

    breaker: Breaker
    pool: Pool
    terms: Terms

    def lost(self, code: str) -> None:
        """Record and count a failure of the whole server, or of the way to it."""

    def failed(self, code: str) -> None:
        """Record the same of an error that is counted already."""


class Exchange:
    """Commands on their way to one server over one connection; only one thread has it. Nothing here raises.

    Args:
        node: the server.
        wire: lent by its pool.
        commands: sent at once.
        charged: whether the time to open the connection counts towards the budget.
        proven: the commands' own replies prove whose they are; else the nonce of one more command does.
    """

    __slots__ = ("_begun", "_commands", "_failure", "_node", "_proof", "_wire", "charged")

    def __init__(
        self,
        node: Server,
        wire: Wire,
        commands: Sequence[Sendable],
        charged: bool,  # noqa: FBT001 - by place, as for `Node.start`
        proven: bool,  # noqa: FBT001 - likewise
    ) -> None:
        self._node = node
        self._wire = wire
        self._commands = commands
        self._begun = node.terms.clock()
        self._proof = b"" if proven else b"%016x" % next(node.terms.nonces)
        self._failure: StateUnavailableError | None = None
        self.charged = charged
        """Whether the time to open the connection counts towards the budget."""
        try:
            packed = [pack_command(command.parts) for command in commands]
            if self._proof:
                packed.append(pack_command((b"PING", self._proof)))
            wire.send(b"".join(packed))
        except StateUnavailableError as error:
            self._failure = error

    def receive(self, deadline: float, exactly: bool) -> list[Any]:  # noqa: FBT001 - by place, as for `Node.start`
        """Read one reply or error for each command, and tell the breaker how it went.

        Args:
            deadline: until when (monotonic seconds).
            exactly: see `Wire.receive`.

        A script that the server does not know is loaded, and its calls are sent again: they were refused.
        """
        try:
            replies = self.read(deadline, exactly)
        except StateUnavailableError as error:
            self._wire.close()
            self._node.lost(error.code)
            return [error] * len(self._commands)
        if self._wire.errors:
            self._settle(replies, deadline)
        else:
            self._node.pool.put_back(self._wire)
            self._succeeded()
        return replies

    def _succeeded(self) -> None:
        """Tell the breaker of an answer in time; one that no decision would have waited for says nothing."""
        terms = self._node.terms
        if terms.clock() - self._begun <= terms.budget_s:
            self._node.breaker.succeeded()

    def _settle(self, replies: list[Any], deadline: float) -> None:
        """See to replies of which at least one is an error."""
        terms = self._node.terms
        try:
            self._load_and_send_again(replies, deadline)
        except StateUnavailableError as error:
            self._wire.close()
            self._node.lost(error.code)
            return
        self._wire.errors.clear()
        codes = Counter([reply.code for reply in replies if is_error(reply)])
        for code, times in codes.items():
            terms.tally.count(code, times)
        if (REPLACED & terms.down).isdisjoint(codes):
            self._node.pool.put_back(self._wire)
        else:
            self._wire.close()
        down = sorted(terms.down.intersection(codes))
        if down:
            self._node.failed(down[0])
        else:
            self._succeeded()

    def _load_and_send_again(self, replies: list[Any], deadline: float) -> None:
        """Put in place the replies of the calls whose script somebody flushed: they were refused before they began."""
        terms = self._node.terms
        calls = [
            (place, command)
            for place, (command, reply) in enumerate(zip(self._commands, replies, strict=True))
            if is_error(reply) and reply.code == "noscript" and command.parts[1:2] == (terms.script.sha,)
        ]
        if not calls:
            return
        terms.tally.count("noscript", len(calls))
        again = [Command(b"", (b"SCRIPT", b"LOAD", terms.script.text)), *(command for _, command in calls)]
        try:
            fresh = Exchange(self._node, self._wire, again, True, not self._proof).read(deadline, True)
        except StateUnavailableError as error:
            for place, _ in calls:
                replies[place] = error
            raise
        for (place, _), reply in zip(calls, fresh[1:], strict=True):
            replies[place] = reply

    def read(self, deadline: float, exactly: bool) -> list[Any]:  # noqa: FBT001 - likewise
        """Read one reply or error for each command, and nothing else.

        Raises:
            StateUnavailableError: there are none that can be believed.
        """
        if self._failure is not None:
            raise self._failure
        replies = self._wire.receive(len(self._commands) + (1 if self._proof else 0), deadline, exactly)
        proof: Any = replies.pop() if self._proof else b""
        if proof != self._proof:
            if is_error(proof):
                # A server that loads its data, or lacks its primary, refuses this command like the others.
                sent = any(not is_error(reply) or reply.sent for reply in replies)
                raise StateUnavailableError(proof.code, sent=sent)
            raise StateUnavailableError("protocol")
        return [
            reply if (read := command.read) is None else read(reply)
            for command, reply in zip(self._commands, replies, strict=True)
        ]
