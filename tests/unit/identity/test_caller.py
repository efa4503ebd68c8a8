"""Which proxies may ask about which requests."""

import pytest

from authz_server.identity.caller import (
    CallerSettings,
    build_caller_settings,
    check_destination,
    check_proxy,
    reporter_of,
)
from authz_server.model import Caller, CallerKind

API = "spiffe://corp.example/ns/crm/sa/api"
GATEWAY = "spiffe://corp.example/ns/edge/sa/gateway"
BOUND = build_caller_settings(["spiffe://corp.example/ns/crm/sa/*", GATEWAY])
OPEN = build_caller_settings(["spiffe://corp.example/ns/crm/sa/*"], "any", [GATEWAY])


def check_caller(caller, request, settings):
    """Both checks, in their order."""
    return check_proxy(caller, settings) or check_destination(caller, request, settings)


@pytest.mark.parametrize("kind", [CallerKind.SOCKET, CallerKind.TOKEN, CallerKind.INSECURE])
def test_callers_without_an_svid_are_bound_to_nothing(make_request, kind):
    """A socket's permissions or a shared secret admitted them; their id is only the listener's name."""
    caller = Caller(kind, "unix:/run/authz/check.sock")
    assert check_caller(caller, make_request(destination_principal=API), BOUND) == ""
    assert check_caller(caller, make_request(), CallerSettings()) == ""


@pytest.mark.parametrize("kind", list(CallerKind))
def test_an_invalid_caller_is_refused_whatever_its_kind(make_request, kind):
    """What the listener found invalid stays invalid."""
    caller = Caller(kind, API, valid=False, reason="svid_expired")
    assert check_caller(caller, make_request(destination_principal=API), BOUND) == "caller_invalid"


@pytest.mark.parametrize("kind", [CallerKind.MTLS, CallerKind.SIDECAR])
@pytest.mark.parametrize(
    ("settings", "caller_id", "destination", "expected"),
    [
        (BOUND, API, API, ""),
        (BOUND, API, "spiffe://corp.example/ns/crm/sa/other", "caller_not_destination"),
        (BOUND, API, "", "caller_not_destination"),
        (BOUND, API, API.upper(), "caller_not_destination"),
        (BOUND, API, API + "/", "caller_not_destination"),
        (BOUND, GATEWAY, API, "caller_not_destination"),
        (BOUND, "spiffe://corp.example/ns/hr/sa/api", "spiffe://corp.example/ns/hr/sa/api", "caller_unknown"),
        (BOUND, "spiffe://evil.example/ns/crm/sa/api", "spiffe://evil.example/ns/crm/sa/api", "caller_unknown"),
        (BOUND, "", "", "caller_invalid"),
        (BOUND, "spiffe://corp.example", "spiffe://corp.example", "caller_invalid"),
        (BOUND, "spiffe://corp.example/ns/crm/sa/..", "spiffe://corp.example/ns/crm/sa/..", "caller_invalid"),
        (BOUND, "api.crm.svc", "api.crm.svc", "caller_invalid"),
        (OPEN, GATEWAY, API, ""),
        (OPEN, GATEWAY, "", ""),
        (OPEN, API, API, ""),
        (OPEN, API, GATEWAY, "caller_not_destination"),
        (OPEN, GATEWAY + "x", API, "caller_unknown"),
        (CallerSettings(), API, API, "caller_unknown"),
        # Built by hand and inconsistent: the names alone free nobody.
        (CallerSettings(gateways=frozenset({GATEWAY})), GATEWAY, API, "caller_unknown"),
    ],
)
def test_proxies_are_bound_to_their_destination(make_request, *, kind, settings, caller_id, destination, expected):
    """A proxy reports what arrived at its own identity; a named gateway reports anything."""
    request = make_request(destination_principal=destination)
    assert check_caller(Caller(kind, caller_id), request, settings) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["spiffe://*/a"],), "wildcard cannot stand in the trust domain"),
        (([API], "all"), "`bind` is `destination` or `any`"),
        (([API], "any"), "none is named"),
        (([API], "destination", [GATEWAY]), "they need `bind: any`"),
        (([API], "any", ["spiffe://corp.example/ns/edge/sa/*"]), "one exact SPIFFE ID"),
        (([API], "any", ["spiffe://corp.example"]), "one exact SPIFFE ID"),
        (([API], "any", ["gateway"]), "one exact SPIFFE ID"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(arguments, message):
    """An operator hears what is wrong when the settings are built."""
    with pytest.raises(ValueError, match=message):
        build_caller_settings(*arguments)


@pytest.mark.parametrize(
    ("kind", "settings", "caller_id", "expected"),
    [
        (CallerKind.SOCKET, BOUND, "unix", ""),
        (CallerKind.TOKEN, BOUND, "0.0.0.0:9000", ""),
        (CallerKind.INSECURE, BOUND, "0.0.0.0:9000", ""),
        (CallerKind.MTLS, BOUND, API, API),
        (CallerKind.SIDECAR, BOUND, API, API),
        (CallerKind.MTLS, OPEN, API, API),
        (CallerKind.MTLS, OPEN, GATEWAY, ""),
        (CallerKind.MTLS, BOUND, GATEWAY, GATEWAY),
        (CallerKind.MTLS, OPEN, GATEWAY + "/x", GATEWAY + "/x"),
    ],
)
def test_what_a_proxy_says_is_its_word_alone_unless_it_is_a_gateway(kind, settings, caller_id, expected):
    """One that speaks for one workload needs a second witness; where the operator put it, none."""
    assert reporter_of(Caller(kind, caller_id), settings) == expected
