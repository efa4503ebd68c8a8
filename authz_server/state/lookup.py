"""Where a name leads, within the time that there is: the C library's `getaddrinfo` waits for a name server as long as it likes."""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from itertools import count
from threading import Event, Lock, Thread  # noqa: TID251 - see `Lookups`
from typing import Final

MAX_NAMES: Final = 256
"""Whose last addresses are kept, as many as all servers of a store; those beyond are looked up, and not kept."""


class _Lookup:
    """One under way; several threads may wait for it."""

    __slots__ = ("addresses", "again", "done")

    def __init__(self) -> None:
        self.done = Event()
        self.addresses: tuple[str, ...] = ()
        self.again = False
        """Whether nothing was learned: no name server has answered."""


class Lookups:
    """Looks names up. Threads share it.

    Nobody can give a lookup up, so each is made by a thread of its own, one at a time for each name. Who waited in vain goes
    where the name led before: without its name servers a store that is well is still there.

    Args:
        resolve: as `socket.getaddrinfo`.
    """

    __slots__ = ("_deferred", "_known", "_lock", "_numbers", "_resolve", "_running")

    def __init__(self, resolve: Callable[..., list[tuple[object, ...]]] | None = None) -> None:
        self._resolve = resolve
        self._lock = Lock()
        self._running: dict[str, _Lookup] = {}
        self._known: dict[str, tuple[str, ...]] = {}
        self._deferred: dict[str, int] = {}
        self._numbers = count(1)

    def find(self, name: str, limit_s: float | None) -> tuple[str, ...]:
        """Give the addresses of a name, those that were deferred behind the others; one that is an address already is given back.

        Args:
            name: of a host, or its IPv4 or IPv6 address.
            limit_s: seconds; None is as long as it takes.

        Raises:
            TimeoutError: no answer came in time, and none ever did.
            OSError: there is no such name.
        """
        if _is_address(name):
            return (name,)
        lookup = self._begin(name)
        if lookup.done.wait(limit_s) and not lookup.again:
            if not lookup.addresses:
                raise OSError("no such name")
            return self._in_order(lookup.addresses)
        known = self._known.get(name)
        if known is None:
            raise TimeoutError("no name server has answered")
        return self._in_order(known)

    def defer(self, address: str) -> None:
        """Take note that with this address the time was up: the next connection tries the others first.

        A resolver gives them in the same order each time, and one that swallows everything would keep the store away for ever.
        """
        with self._lock:
            if len(self._deferred) >= MAX_NAMES:
                self._deferred.clear()
            self._deferred[address] = next(self._numbers)

    def _in_order(self, addresses: tuple[str, ...]) -> tuple[str, ...]:
        """Those first with which the time was never up, then those with which it was longest ago."""
        return tuple(sorted(addresses, key=lambda address: self._deferred.get(address, 0)))

    def _begin(self, name: str) -> _Lookup:
        with self._lock:
            lookup = self._running.get(name)
            if lookup is None:
                lookup = _Lookup()
                # A daemon, as it may last for half a minute and holds nothing.
                thread = Thread(target=self._run, args=(name, lookup), name="lookup", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # there are too many; the next one may have room
                    lookup.again = True
                    lookup.done.set()
                else:
                    self._running[name] = lookup
        return lookup

    def _run(self, name: str, lookup: _Lookup) -> None:
        try:
            found = (self._resolve or socket.getaddrinfo)(name, None, type=socket.SOCK_STREAM)
            lookup.addresses = tuple(dict.fromkeys([str(each[4][0]) for each in found]))  # type: ignore[index]
        except OSError as error:
            lookup.again = not isinstance(error, socket.gaierror) or error.errno == socket.EAI_AGAIN
        except ValueError:
            pass  # a label that is empty or too long
        finally:
            with self._lock:
                del self._running[name]
                if lookup.addresses and (name in self._known or len(self._known) < MAX_NAMES):
                    self._known[name] = lookup.addresses
            lookup.done.set()


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
