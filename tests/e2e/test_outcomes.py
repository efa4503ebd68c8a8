"""What destinations answer teaches the policy, through a real Envoy's access log; what nobody was asked about is an alarm."""

from pathlib import Path

import grpc
import pytest

from tests.envoy_site import DOORS, await_value, decision_of, site
from tests.log_messages import entry, message, report
from tests.site_pki import agent

pytestmark = [pytest.mark.e2e, pytest.mark.server]

POLICY = """\
version: 1
actions:
  - {name: doc.read, match: {host: crm.corp.example, method: GET, path: "/docs/{doc}"}, kind: read}
  - {name: doc.write, match: {host: crm.corp.example, method: PUT, path: "/docs/{doc}"}, kind: write}
  - {name: doc.delete, match: {host: crm.corp.example, method: DELETE, path: "/docs/{doc}"}, kind: delete}
signals:
  probing: {walk: {absent: 1}, of: path.doc, per: [principal], half_life: 1h, cap: 24, ring: 16}
  refused: {count: outcomes, per: [principal, destination], window: 10m, when: "outcome.status in [401, 403]"}
  failed:  {count: outcomes, per: [principal], window: 10m, when: outcome.failed}
  new:     {first_seen: path.doc, per: [principal], window: 1h, learn: 0s}
rules:
  - {name: all-work, match: {principal: "spiffe://corp.example/ns/agents/**", action: [doc.read, doc.write]}, then: allow}
  - {name: probes, match: {action: doc.read}, when: signals.probing >= 3, then: deny}
  - {name: turned-away, match: {action: doc.read}, when: signals.refused > 1, then: deny}
  - {name: breaks-things, match: {action: doc.read}, when: signals.failed > 0, then: deny}
  - {name: writes-what-it-knows, match: {action: doc.write}, when: signals.new > 0, then: deny}
"""


def _policies(directory: Path) -> Path:
    folder = directory / "policies"
    folder.mkdir()
    (folder / "policy.yaml").write_text(POLICY)
    return folder


@pytest.fixture(scope="module", params=DOORS)
def place(request):
    with site(request.param, _policies) as found:
        yield found


def rule_of(place, answer):
    return place.record(decision_of(answer))["rule"]


def await_rule(place, principal, path, rule, method="GET"):
    """Ask until this rule decides."""
    return await_value(lambda: rule_of(place, place.get(principal, path, method=method)) == rule)


def send(place, *entries):
    """Report as the proxy itself would; nothing of it is answered, and the stream ends well."""
    with place.server.channel(address=place.server.logs) as opened:
        return report(opened, message(*entries))


def test_absent_documents_are_a_walk(place):
    """Three different documents that do not exist, and the caller looks no further; others are not touched."""
    scanner = agent("scanner")
    for number in range(3):
        assert place.get(scanner, f"/docs/a{number}?answer=404").status_code == 404
    await_rule(place, scanner, "/docs/a0?answer=404", "probes")  # which is in the ring and adds nothing
    for number in range(4):
        assert place.get(agent("reader"), f"/docs/b{number}").status_code == 200
    assert rule_of(place, place.get(agent("reader"), "/docs/b0")) == "all-work"


def test_refusals_of_the_destination_count_and_ours_do_not(place):
    """A 401 teaches what five of our own 403s do not."""
    stubborn = agent("stubborn")
    assert [place.get(stubborn, "/docs/x", method="DELETE").status_code for _ in range(5)] == [403] * 5
    for status in (401, 403):
        assert rule_of(place, place.get(stubborn, f"/docs/x?answer={status}")) == "all-work"
    await_rule(place, stubborn, "/docs/x", "turned-away")


def test_a_broken_connection_is_a_failure(place):
    """The upstream hangs up: Envoy answers 503, and the outcome is `failed`."""
    assert place.get(agent("crasher"), "/docs/x?answer=0").status_code == 503
    await_rule(place, agent("crasher"), "/docs/x", "breaks-things")


def test_familiar_is_what_has_succeeded(place):
    """A document may be written after it was read, and not after it was not found."""
    writer = agent("writer")
    assert place.get(writer, "/docs/mine", method="PUT").status_code == 403
    assert place.get(writer, "/docs/other?answer=404").status_code == 404
    assert place.get(writer, "/docs/mine").status_code == 200
    await_rule(place, writer, "/docs/mine", "all-work", method="PUT")
    assert place.get(writer, "/docs/other", method="PUT").status_code == 403


def test_the_join_is_for_the_log_alone(place):
    """It is in Envoy's log and in nothing that the upstream or the caller sees; a refusal has none."""
    answer = place.get(agent("curious"), "/docs/1")
    join = place.access(decision_of(answer))["join"]
    assert len(join) > 100
    assert join not in answer.text + str(answer.headers)
    assert place.access(decision_of(place.get(agent("curious"), "/docs/1", method="DELETE"))).get("join") is None


def test_what_was_learned_is_not_learned_again(place):
    """Replays, changed joins and joins beside other decisions teach nothing, and end no stream."""
    victim = agent("victim")
    asked = [decision_of(place.get(victim, f"/docs/{number}?answer=403")) for number in (1, 2)]
    joins = [place.access(identifier)["join"] for identifier in asked]
    await_rule(place, victim, "/docs/1", "turned-away")
    framed = agent("framed")
    first = decision_of(place.get(framed, "/docs/1"))
    join = place.access(first)["join"]
    # Envoy's own report of `first` has come before the next outcome of the same caller counts.
    assert place.get(framed, "/docs/2?answer=403").status_code == 403
    forged = [
        *(entry(first, join, status=403) for _ in range(5)),
        entry(first, join[:-8] + ("AAAAAAA=" if join.endswith("=") else "AAAAAAAA"), status=403),
        entry(asked[0], join, status=403),
        entry("0" * 32, joins[0], status=403),
        entry("0" * 32, "forged", status=403),
        *(entry(identifier, one, status=403) for identifier, one in zip(asked, joins, strict=True)),
    ]
    for _ in range(3):
        assert send(place, *forged) == b""
        assert rule_of(place, place.get(framed, "/docs/1")) == "all-work"
    assert place.get(framed, "/docs/3?answer=403").status_code == 403
    await_rule(place, framed, "/docs/1", "turned-away")


def test_only_proxies_report(place):
    """An agent with a good SVID is refused at the door for logs."""
    if place.server.door == "native":
        pytest.skip("the socket's permissions are the proof")
    with (
        place.server.channel(agent("reader"), address=place.server.logs) as opened,
        pytest.raises(grpc.RpcError) as refused,
    ):
        report(opened, message(entry()))
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_request_that_nobody_decided_is_an_alarm(place):
    """A route without the filter: one line and one alert; what the proxy answers by itself is none."""
    answer = place.send("GET", "/unchecked/secret?token=hidden", context=place.pki.client(agent("lucky")))
    assert answer.status == 200
    assert "x-authz-decision-id" not in dict(answer.json()["headers"])

    def alerts():
        return [record for record in place.server.records() if record.get("event") == "unchecked_request"]

    (alert,) = await_value(alerts)
    assert {name: alert[name] for name in ("alert", "requests", "route", "cluster", "principal")} == {
        "alert": "critical",
        "requests": 1,
        "route": "unchecked",
        "cluster": "upstream",
        "principal": agent("lucky"),
    }
    assert "unchecked_request: 1 requests" in place.server.log()
    assert "hidden" not in place.server.log() + str(alert)
