"""Who may operate the server: from the identity of a caller to the rights of its groups."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from authz_server.config.model import OperatorGroup
from authz_server.config.values import is_wide
from authz_server.errors import ConfigError, Fault
from authz_server.model import Caller, CallerKind
from authz_server.spiffe import SpiffePattern, compile_spiffe_pattern, parse_spiffe_id

LOCAL: Final = "local"
"""Whoever may connect to the server's Unix socket, in `members` and as an author: one person to the rule of two."""
GROUP: Final = "group:"
"""How a group is named where a principal could stand as well."""
_NAMESPACE: Final = 2
"""Segments of `ns/NAMESPACE/sa/ACCOUNT` that say where the account is."""


class Right(StrEnum):
    """What an operator may do."""

    CONTAIN = "contain"
    RELEASE = "release"
    APPROVE = "approve"


class Group(NamedTuple):
    """One group of operators."""

    name: str
    members: tuple[str, ...]
    """Patterns of SPIFFE IDs, and `local`."""
    may: frozenset[Right]


class Operator(NamedTuple):
    """An authenticated operator."""

    name: str
    """Its SPIFFE ID, or `local`."""
    rights: frozenset[Right]
    groups: tuple[str, ...]
    """Names of its groups, without `group:`."""


class Operators:
    """The operators of one configuration. Threads may share it.

    Without any group, the Unix socket's `local` may do everything and nobody else anything: who can write to the server's
    own directory is its operator anyway.

    Args:
        groups: the configured ones.

    Raises:
        ValueError: a member is no pattern, or one that fits workloads of any namespace; the message names both.
    """

    __slots__ = ("_groups",)

    def __init__(self, groups: Iterable[Group] = ()) -> None:
        found = tuple(groups) or (Group(LOCAL, (LOCAL,), frozenset(Right)),)
        self._groups = tuple((group, tuple(_patterns(group)), LOCAL in group.members) for group in found)

    def find(self, caller: Caller) -> Operator | None:
        """Who a caller is as an operator; None for one that is in no group.

        A caller secret and an open port name nobody, and so admit nobody.
        """
        if not caller.valid:
            return None
        if caller.kind is CallerKind.SOCKET:
            return self._operator(LOCAL, [group for group, _, local in self._groups if local])
        if caller.kind not in {CallerKind.MTLS, CallerKind.SIDECAR}:
            return None
        name = parse_spiffe_id(caller.id)
        if name is None or not name.path:
            return None
        fitting = [group for group, patterns, _ in self._groups if any(each.matches(caller.id) for each in patterns)]
        return self._operator(caller.id, fitting)

    def groups_of(self, name: str) -> frozenset[str]:
        """The groups of somebody who was authenticated by this name: `local`, or a SPIFFE ID."""
        kind = CallerKind.SOCKET if name == LOCAL else CallerKind.MTLS
        operator = self.find(Caller(kind, name))
        return frozenset(operator.groups if operator is not None else ())

    def _operator(self, name: str, groups: list[Group]) -> Operator | None:
        if not groups:
            return None
        rights = frozenset[Right]().union(*(group.may for group in groups))
        return Operator(name, rights, tuple(group.name for group in groups))


def build_operators(groups: Mapping[str, OperatorGroup]) -> Operators:
    """The operators of a configuration, by the names of their groups.

    Raises:
        ConfigError: a member has no meaning.
    """
    try:
        return Operators([Group(name, each.members, frozenset(map(Right, each.may))) for name, each in groups.items()])
    except ValueError as error:
        raise ConfigError([Fault("configuration", 0, "operators", str(error))]) from None


def _patterns(group: Group) -> Iterable[SpiffePattern]:
    for member in group.members:
        if member == LOCAL:
            continue
        try:
            pattern = compile_spiffe_pattern(member)
        except ValueError as error:
            raise ValueError(f"{group.name}.members: {error}") from None
        if is_wide(member) or _spans_namespaces(member):
            raise ValueError(
                f"{group.name}.members: `{member}` fits workloads of any namespace, agents among them; "
                "name the namespace of the operators"
            )
        yield pattern


def _spans_namespaces(member: str) -> bool:
    """Whether a wildcard stands where a namespace does: an account of the same name is soon made in another one."""
    segments = member.split("/")[3:]
    return any("*" in segment for segment in segments[:-1][:_NAMESPACE])
