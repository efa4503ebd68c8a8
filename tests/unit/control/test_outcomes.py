"""From log entries to what the engine learns: once, of the right decision, from the right proxy."""

import pytest
from envoy.data.accesslog.v3.accesslog_pb2 import AccessLogType
from envoy.service.accesslog.v3.als_pb2 import StreamAccessLogsMessage

from authz_server.control import outcomes as module
from authz_server.envoy.accesslog import MAX_ENTRIES
from authz_server.envoy.join import LIFE_S
from authz_server.identity.caller import build_caller_settings
from authz_server.model import Call, Caller, CallerKind
from tests.harness import SOCKET
from tests.log_messages import entry
from tests.outcome_place import AGENT, POLICY, PROXY, Place

OTHER = Caller(CallerKind.MTLS, "spiffe://corp.example/ns/hr/sa/api")


def test_an_outcome_changes_later_decisions():
    """What the destination refused counts with the next step, which is denied; that one has nothing to bring back."""
    place = Place()
    first = place.step()
    assert place.step()["decision"] == "allow"
    assert place.log(first, status=403) == {"learned": 1}
    denied = place.step()
    assert (denied["decision"], denied["rule"], "join" in denied) == ("deny", "turned-away", False)
    assert place.log(denied, status=403) == {"refused": 1}


def test_a_success_is_learned():
    """And counts as what the caller knows."""
    place = Place()
    for doc in "123":
        assert place.log(place.step(doc)) == {"learned": 1}
    place.step("4")
    assert "settled" in {match.rule for match in place.bench.events[-1].verdict.matched}


def test_once():
    """The second report of the same step teaches nothing, in the same message or later."""
    place = Place()
    told = place.step()
    pair = [entry(told["decision_id"], told["join"])] * 2
    assert place.take(*pair) == {"learned": 1, "join_repeated": 1}
    place.bench.clock.now += LIFE_S - 1
    assert place.log(told) == {"join_repeated": 1}
    place.bench.clock.now += 2
    assert place.log(told) == {"join_expired": 1}


def test_of_the_proxy_that_asked():
    """Another one that may report cannot report this."""
    place = Place()
    told = place.step()
    assert place.log(told, OTHER, status=403) == {"join_other_reporter": 1}
    assert place.log(told, SOCKET, status=403) == {"join_other_reporter": 1}
    assert place.step()["decision"] == "allow"
    assert place.log(told) == {"learned": 1}  # what others tried has not used it up


def test_forged_ones():
    """Made up, changed, or beside another decision."""
    place = Place()
    told, other = place.step(), place.step()
    for changed in ({"join": "AAAA"}, {"join": other["join"]}, {"decision_id": other["decision_id"]}):
        assert place.log({**told, **changed}, status=403) == {"join_forged": 1}
    assert place.log({**told, "join": ""}, status=403) == {"join_missing": 1}
    assert place.step()["decision"] == "allow"


def test_a_refusal_of_ours_is_no_outcome():
    """Whatever comes beside it."""
    place = Place()
    told = place.step()
    for decision in ("deny", "throttle", "challenge", "quarantine", "anything"):
        assert place.log({**told, "decision": decision}, status=403) == {"refused": 1}
    assert place.step()["decision"] == "allow"


def test_a_signal_that_is_gone_is_not_fed():
    """The policy was replaced while the request was under way."""
    place = Place()
    told = place.step()
    place.bench.policy.replace(POLICY.replace("window: 1h", "window: 2h").replace("window: 10m", "window: 20m"))
    assert place.log(told) == {"unfed": 1}


def test_steps_that_no_outcome_feeds_have_no_join():
    """The entry says so."""
    place = Place(
        POLICY.replace("count: outcomes", "count: allowed")
        .replace(', when: "outcome.status in [401, 403]"', "")
        .replace("fed_by: outcomes", "fed_by: allowed")
        .replace("then: deny", "then: observe")
    )
    told = place.step()
    assert "join" not in told
    assert place.log(told) == {"join_missing": 1}


def test_a_request_without_a_decision():
    """An alarm, unless the proxy answered it itself, it is not over, or the route is exempt."""
    place = Place(exempt=frozenset({"health"}))
    own = entry(decision="", status=503)
    own.response.response_code_details = "ext_authz_error"
    begun = entry(decision="", access_log_type=AccessLogType.DownstreamStart)
    found = place.take(own, begun, entry(decision="", route="health"), entry(decision="", route="open", peer=AGENT))
    assert found == {"not_forwarded": 1, "unfinished": 1, "exempt": 1, "unchecked_request": 1}
    assert [(alert["route"], alert["reporter"], alert["principal"]) for alert in place.alerts] == [
        ("open", PROXY.id, AGENT)
    ]


def test_connections_and_what_is_too_much_are_counted():
    """And not looked at."""
    place = Place()
    assert place.take(*[entry("a", decision="deny")] * (MAX_ENTRIES + 3)) == {"refused": MAX_ENTRIES, "surplus": 3}
    tcp = StreamAccessLogsMessage()
    tcp.tcp_logs.log_entry.add()
    place.outcomes.take([Call(tcp.SerializeToString(), PROXY, None), Call(b"\xff\xff", PROXY, None)])
    assert (place.outcomes.counts["tcp"], place.outcomes.counts["message_malformed"]) == (1, 1)


def test_a_fault_of_one_entry_does_not_touch_the_others():
    """Counted."""

    def learn(hits, outcome, decision_id):
        if outcome.status == 500:
            raise RuntimeError

    place = Place(learn=learn)
    entries = [entry(told["decision_id"], told["join"], status=n) for n in (500, 200) for told in [place.step()]]
    assert place.take(*entries) == {"entry_faulty": 1, "learned": 1}


def test_much_work_is_done_with_pauses():
    """However it is cut into messages."""
    place = Place()
    refused = entry("a", decision="deny")
    place.take(*[refused] * 320)
    assert place.paused == [module.PACE_S] * 10
    place.paused.clear()
    for _ in range(320):
        place.take(refused)
    assert len(place.paused) == 20
    place.paused.clear()
    place.outcomes.take([Call(b"\xff" * (1 << 20), PROXY, None)])
    assert place.paused == [module.PACE_S]


@pytest.mark.parametrize(
    ("caller", "admitted"),
    [
        (PROXY, True),
        (PROXY._replace(kind=CallerKind.SIDECAR), True),
        (PROXY._replace(valid=False), False),
        (PROXY._replace(id="spiffe://corp.example/ns/agents/sa/a13"), False),
        (PROXY._replace(id="spiffe://corp.example"), False),
        (PROXY._replace(id=""), False),
        (SOCKET, True),
        (Caller(CallerKind.TOKEN, "127.0.0.1:1"), True),
        (Caller(CallerKind.SOCKET, "unix", valid=False), False),
    ],
)
def test_who_may_report(caller, admitted):
    """Who may ask."""
    assert Place().outcomes.admits(caller) is admitted


def test_a_gateway_may_report():
    """One that is named."""
    gateway = "spiffe://corp.example/ns/edge/sa/gateway"
    settings = build_caller_settings((), "any", (gateway,))
    place = Place(callers=lambda: settings)
    assert place.outcomes.admits(Caller(CallerKind.MTLS, gateway))
    assert not place.outcomes.admits(PROXY)
