"""The alarm about requests that nobody decided."""

import logging

from authz_server.control.unchecked import MAX_SHOWN, QUIET_S, Unchecked
from authz_server.envoy.accesslog import read_entry
from authz_server.model import Caller, CallerKind
from tests.log_messages import entry

PROXY = Caller(CallerKind.MTLS, "spiffe://corp.example/ns/edge/sa/gateway")
PEER = "spiffe://corp.example/ns/agents/sa/a13"


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_one_alarm_a_minute_tells_how_many(caplog):
    """The first at once, the others together."""
    alerts = []
    unchecked = Unchecked(alerts.append)
    missed = read_entry(entry(decision="", route="open", cluster="crm", peer=PEER))
    for second in range(150):
        unchecked.add(missed, PROXY, 1e9 + second)
    assert [alert["requests"] for alert in alerts] == [1, QUIET_S, QUIET_S]
    assert alerts[0] == {
        "decision_id": "",
        "time": 1e9,
        "alert": "critical",
        "event": "unchecked_request",
        "requests": 1,
        "reporter": PROXY.id,
        "route": "open",
        "cluster": "crm",
        "principal": PEER,
    }
    assert len(lines(caplog)) == 3
    assert "'crm'" in lines(caplog)[0]


def test_names_are_cut_and_cannot_write_to_a_terminal(caplog):
    """A proxy says what it wants."""
    alerts = []
    Unchecked(alerts.append).add(read_entry(entry(decision="", route="\x1b[2J\n" + "x" * 500)), PROXY, 1e9)
    assert alerts[0]["route"] == "?[2J?" + "x" * (MAX_SHOWN - 5)
    assert "\x1b" not in caplog.text


def test_a_clock_that_is_set_back_does_not_silence_it():
    """Nor does a record that cannot be written."""
    told = []

    def alert(record):
        told.append(record)
        raise OSError

    unchecked = Unchecked(alert)
    for now in (1e9, 1e9 - 1000):
        unchecked.add(read_entry(entry(decision="")), PROXY, now)
    assert len(told) == 2
