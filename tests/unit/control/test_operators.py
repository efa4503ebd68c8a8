"""Who may operate the server, and what."""

import pytest

from authz_server.config.model import OperatorGroup
from authz_server.control.operators import LOCAL, Group, Operators, Right, build_operators
from authz_server.errors import ConfigError
from authz_server.model import Caller, CallerKind

JANE = "spiffe://corp.example/ns/soc/sa/jane"
LEAD = "spiffe://corp.example/ns/soc-leads/sa/lee"
AGENT = "spiffe://corp.example/ns/agents/sa/a13"
SOCKET = Caller(CallerKind.SOCKET, "unix:/run/authz/control.sock")
ALL = frozenset(Right)


def mtls(name, **more):
    return Caller(CallerKind.MTLS, name, **more)


@pytest.fixture
def operators():
    return build_operators(
        {
            "soc": OperatorGroup(members=("spiffe://corp.example/ns/soc/sa/*", LEAD), may=("contain",)),
            "leads": OperatorGroup(members=(LEAD, LOCAL), may=("release", "approve")),
        }
    )


def test_rights_are_those_of_all_groups(operators):
    """By exact ID, by pattern, and of whoever may use the socket."""
    jane = operators.find(mtls(JANE))
    assert (jane.name, jane.rights, jane.groups) == (JANE, {Right.CONTAIN}, ("soc",))
    lee = operators.find(Caller(CallerKind.SIDECAR, LEAD))
    assert (lee.name, lee.rights, lee.groups) == (LEAD, ALL, ("soc", "leads"))
    local = operators.find(SOCKET)
    assert (local.name, local.rights) == (LOCAL, {Right.RELEASE, Right.APPROVE})


@pytest.mark.parametrize(
    "caller",
    [
        mtls(AGENT),
        mtls(JANE, valid=False, reason="svid_expired"),
        mtls("spiffe://corp.example"),
        mtls(LOCAL),
        mtls(""),
        Caller(CallerKind.TOKEN, JANE),
        Caller(CallerKind.TOKEN, LOCAL),
        Caller(CallerKind.INSECURE, JANE),
        SOCKET._replace(valid=False),
    ],
    ids=str,
)
def test_nobody_else_is_one(operators, caller):
    """Whatever it calls itself; a caller secret and an open port name nobody."""
    assert operators.find(caller) is None
    assert Operators().find(caller) is None


def test_without_groups_the_socket_may_everything():
    """And nobody else anything."""
    operators = build_operators({})
    assert operators.find(SOCKET).rights == ALL
    assert operators.find(mtls(JANE)) is None


def test_with_groups_the_socket_needs_one():
    """It is no back door."""
    assert Operators([Group("soc", (JANE,), ALL)]).find(SOCKET) is None


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("spiffe://**", "any namespace"),
        ("spiffe://corp.example/**", "any namespace"),
        ("spiffe://corp.example/ns/*/sa/*", "any namespace"),
        ("spiffe://corp.example/ns/*/sa/soc", "any namespace"),
        ("spiffe://corp.example/*/*/*/soc", "any namespace"),
        ("spiffe://*/ns/soc/sa/a", "trust domain"),
        ("jane", "starts with"),
    ],
)
def test_a_member_names_operators(member, expected):
    """A pattern that agents fit is refused, as is what is no pattern."""
    with pytest.raises(ValueError, match=r"soc\.members") as refused:
        Operators([Group("soc", (member,), ALL)])
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    "member", ["spiffe://corp.example/ns/soc/**", "spiffe://corp.example/ns/soc/*/s", "spiffe://corp.example/soc/*"]
)
def test_behind_the_namespace_a_member_may_be_any(member):
    """Who may make accounts there chooses the operators anyway."""
    found = Operators([Group("soc", (member,), ALL)])
    assert found.find(mtls("spiffe://corp.example/ns/soc/sa/s" if "/ns/" in member else "spiffe://corp.example/soc/s"))


def test_a_fault_of_the_configuration_says_where():
    """All of it under `operators`."""
    with pytest.raises(ConfigError, match=r"operators: soc\.members"):
        build_operators({"soc": OperatorGroup(members=("spiffe://corp.example/**",), may=("contain",))})
