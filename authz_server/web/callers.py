"""Who asks, and what that lets it do."""

from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

from authz_server.model import Caller, CallerKind
from authz_server.taskbook.opening import LOCAL
from authz_server.web.answers import WebError

MAY_APPROVE: Final = "approve"
MAY_CONTAIN: Final = "contain"


class Operator(Protocol):
    """An authenticated operator."""

    @property
    def name(self) -> str:
        """Its SPIFFE ID, or `local`."""

    @property
    def rights(self) -> AbstractSet[str]:
        """What it may do, such as `approve`."""

    @property
    def groups(self) -> Collection[str]:
        """Names of its groups, without `group:`."""


OperatorOf = Callable[[Caller], Operator | None]
"""Who a caller is as an operator; None for one that is none."""


def name_of(caller: Caller) -> str:
    """Who asks: its SPIFFE ID, or `local` through a Unix socket.

    Raises:
        WebError: 401 `caller_unknown`: nobody that could be named.
    """
    if caller.valid and caller.kind is CallerKind.SOCKET:
        return LOCAL
    if caller.valid and caller.id and caller.kind in {CallerKind.MTLS, CallerKind.SIDECAR}:
        return caller.id
    raise WebError(401, "caller_unknown", "the caller has no valid SPIFFE identity", error="invalid_client")


def authenticate_operator(operator_of: OperatorOf, caller: Caller, right: str) -> Operator:
    """Who asks, with the right that it needs.

    Raises:
        WebError: 401 for a caller without a name, 403 `permission_denied` for one without the right.
    """
    name_of(caller)
    found = operator_of(caller)
    if found is None or right not in found.rights:
        raise WebError(403, "permission_denied", f"this takes an operator with the right to {right}")
    return found
