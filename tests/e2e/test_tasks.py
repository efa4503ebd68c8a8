"""Declared work through a real Envoy and two replicas: opened, done, stolen, approved, ended."""

import json
import time

import grpc
import pytest

from authz_server.control.service import CallRefusedError
from authz_server.taskbook.opening import OpenTask
from tests.envoy_site import DOORS, await_value, decision_of
from tests.site_pki import agent
from tests.work_site import ORCHESTRATOR, OWNER, error_of, id_of, work_site

pytestmark = [pytest.mark.e2e, pytest.mark.server]

RESERVED = range(-32768, -31999)
"""Codes that JSON-RPC and the protocols on it keep for themselves."""
END_S = 1.0
"""Within which the end of a task holds everywhere."""


@pytest.fixture(scope="module", params=DOORS)
def place(request):
    with work_site(request.param) as found:
        yield found


def export(place, who, token, rows=10):
    return place.call(who, "export_rows", token, host="dwh", arguments={"rows": rows})


def makers(place, answers):
    return {place.maker_of(id_of(answer)) for answer in answers}


def names(place):
    return {replica.name for replica in place.replicas}


def test_work_goes_on_within_the_task(place):
    """Whichever replica is asked, with the body that the action is read from; without the token it is no work."""
    writer = agent("writer")
    issued = place.open_task(writer, purpose="the weekly report", context=(("ticket", "T-1"),))
    answers = [place.call(writer, "read_report", issued.token, arguments={"n": number}) for number in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 4
    records = [place.site.record(decision_of(answer)) for answer in answers]
    assert {(each["action"], each["task"]) for each in records} == {("files.read_report", "weekly-report")}
    assert {place.maker_of(each["decision_id"]) for each in records} == names(place)
    refused = place.call(writer, "read_report")
    assert (refused.status_code, error_of(refused)["data"]["reason"]) == (403, "no_match")


def test_only_its_issuer_opens_a_task(place):
    """Not the agent itself, not for an agent of another kind, and nothing wider than the template."""
    for caller, asked, code in (
        (agent("writer"), OpenTask("weekly-report", agent("writer")), "task_issuer"),
        (ORCHESTRATOR, OpenTask("weekly-report", OWNER), "task_agent"),
        (ORCHESTRATOR, OpenTask("weekly-report", agent("writer"), actions=("*",)), "task_wider"),
        (ORCHESTRATOR, OpenTask("any", agent("writer")), "task_template_unknown"),
    ):
        with place.tasks(caller) as desk, pytest.raises(CallRefusedError) as refused:
            desk.open(asked)
        assert refused.value.code == code
    with place.tasks("local", replica=1) as desk:  # the people of the socket are in a group that may
        assert desk.open(OpenTask("weekly-report", agent("writer"))).task.issuer == "group:soc"


def test_a_call_outside_of_the_task_is_refused_as_its_client_understands(place):
    """HTTP 403 with a JSON-RPC error that names the call; what would help is said where something would."""
    writer = agent("narrow")
    token = place.open_task(writer, actions=("files.read_*",)).token
    assert place.call(writer, "read_report", token).status_code == 200
    answer = place.call(writer, "write_report", token, id="call-7")
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/json")
    assert (answer.json()["jsonrpc"], answer.json()["id"]) == ("2.0", "call-7")
    error = error_of(answer)
    assert (error["code"], error["data"]["reason"], error["data"]["status"]) == (403, "no_match", 403)
    assert error["code"] not in RESERVED
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    forbidden = place.call(writer, "delete_report", token, id=8)
    assert (forbidden.status_code, forbidden.json()["id"]) == (403, 8)
    assert error_of(forbidden)["message"] == "Agents delete nothing."
    assert error_of(forbidden)["data"]["remedy"] == "Ask the owner of the files."
    assert "www-authenticate" not in forbidden.headers  # no wider task would help
    to_agent = place.call(writer, "", token, host="crm", path="/a2a", method="message/send", id="m-1")
    assert (to_agent.json()["id"], error_of(to_agent)["code"]) == ("m-1", 403)
    notified = place.call(writer, "delete_report", token, id=None)
    assert (notified.status_code, notified.headers["content-type"]) == (403, "application/problem+json")


def test_of_a_batch_all_calls_pass_or_none(place):
    """Each call is decided and recorded; where one is refused, so are the others, each with an error of its own."""
    writer = agent("batches")
    token = place.open_task(writer).token

    def send(*tools, **headers):
        messages = [
            {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": {}}}
            for number, name in enumerate(tools)
        ]
        headers = {"content-type": "application/json", **headers}
        content = json.dumps(messages)
        return place.ask(writer, "/mcp", token, host="files", method="POST", headers=headers, content=content)

    def actions(decision_id):
        """What was decided together."""
        found = [each for it in place.replicas for each in it.records() if each.get("answer") == decision_id]
        return sorted((each["action"], each["detail"]) for each in found)

    passed = send("read_report", "write_report")
    assert passed.status_code == 200
    place.site.record(decision_of(passed))
    assert actions(decision_of(passed)) == [("files.read_report", ""), ("files.write_report", "")]
    refused = send("read_report", "delete_report", **{"mcp-protocol-version": "2025-03-26"})
    assert refused.status_code == 403
    assert [(each["id"], each["error"]["message"]) for each in refused.json()] == [
        (0, "Agents delete nothing."),
        (1, "Agents delete nothing."),
    ]
    place.site.record(id_of(refused))
    assert actions(id_of(refused)) == [("files.delete_report", ""), ("files.read_report", "rpc_batch_refused")]
    later = send("read_report", **{"mcp-protocol-version": "2025-06-18"})
    assert (later.status_code, later.json()["reason"]) == (400, "decode_error")


def test_a_stolen_token_gives_away_the_thief(place):
    """It opens nothing; who shows it is contained on both replicas with an alert, and its owner works on."""
    owner, thief = agent("owner"), agent("thief")
    token = place.open_task(owner).token
    assert place.ask(thief, "/v1/notes/1", headers={}).status_code == 200
    tried = [place.call(thief, "read_report", token) for _ in range(3)]
    assert [answer.status_code for answer in tried] == [403] * 3
    details = {place.site.record(id_of(answer))["detail"] for answer in tried}
    assert details == {"task_bound_to_another"}
    assert "bound" not in "".join(answer.text for answer in tried)

    def caught():  # what was refused is counted with the next tick
        answer = place.ask(thief, "/v1/notes/1", headers={})
        return answer if answer.status_code == 403 else None

    record = place.site.record(id_of(await_value(caught)))
    assert (record["decision"], record["rule"], record["alert"]) == ("quarantine", "strange-tokens", "critical")

    def refused_everywhere():
        answers = [place.ask(thief, "/v1/notes/1", headers={}) for _ in range(4)]
        return {each.status_code for each in answers} == {403} and makers(place, answers) == names(place)

    await_value(refused_everywhere)
    for _ in range(4):
        assert place.call(owner, "read_report", token).status_code == 200


def test_an_export_waits_for_somebody_and_passes_once(place):
    """For the approver's group and for nobody in the chain; for these arguments; on one replica and not on the other."""
    writer = agent("exporter")
    token = place.open_task(writer).token
    answer = export(place, writer, token)
    assert answer.status_code == 403
    approval = error_of(answer)["data"]["approval"]
    assert (approval["by"], approval["expires_in"]) == (["group:data-owners"], 600)
    with place.approvals(OWNER, replica=1) as desk:

        def asked():
            return [each for each in desk.pending() if each.id == approval["id"]]

        (shown,) = await_value(asked)
        assert (shown.principal, shown.task, shown.originator) == (writer, "weekly-report", ORCHESTRATOR)
        assert shown.arguments == '{"arguments":{"rows":10},"name":"export_rows"}'
        for caller in (writer, ORCHESTRATOR, "local"):
            with place.approvals(caller) as others, pytest.raises(CallRefusedError) as refused:
                others.approve(approval["id"], "please")
            assert refused.value.status is grpc.StatusCode.PERMISSION_DENIED
        assert export(place, writer, token).status_code == 403
        assert desk.approve(approval["id"], "looked at it").state == "approved"
    assert export(place, writer, token, rows=11).status_code == 403
    assert export(place, agent("writer"), token).status_code == 403
    answers = [export(place, writer, token) for _ in range(8)]
    assert sorted(each.status_code for each in answers) == [200] + [403] * 7
    assert answers[0].status_code == 200
    assert makers(place, answers[1:]) == names(place)


def test_a_budget_is_one_for_all_replicas(place):
    """Five steps are five, and what is refused uses none."""
    writer = agent("frugal")
    token = place.open_task(writer, steps=5).token
    for _ in range(3):
        assert place.call(writer, "delete_report", token).status_code == 403
    answers = [place.call(writer, "read_report", token) for _ in range(9)]
    assert [each.status_code for each in answers] == [200] * 5 + [403] * 4


def test_work_is_handed_on_and_no_further(place):
    """The helper has a token of its own; neither can show the other's, and the helper hands nothing on."""
    first, helper = agent("first"), agent("helper")
    token = place.open_task(first).token
    with place.tasks(first, replica=1) as desk:
        handed = desk.delegate(token, helper).token
        renewed = desk.replace(token).token
    assert renewed != token
    for who, shown, status in (
        (helper, handed, 200),
        (first, token, 200),
        (first, renewed, 200),
        (helper, token, 403),
        (first, handed, 403),
    ):
        assert place.call(who, "read_report", shown).status_code == status
    with place.tasks(helper) as desk, pytest.raises(CallRefusedError) as refused:
        desk.delegate(handed, agent("third"))
    assert refused.value.code == "task_depth"


def test_the_end_holds_everywhere_within_a_second(place, record_property):
    """Whichever replica is asked next, and for every token of the task."""
    first, helper = agent("ending"), agent("ending-helper")
    issued = place.open_task(first)
    with place.tasks(first) as desk:
        handed = desk.delegate(issued.token, helper).token
    assert place.call(helper, "read_report", handed).status_code == 200
    with place.tasks() as desk:
        ended = time.monotonic()
        desk.end(issued.task.id, "done")
    last, refused = 0.0, {}
    while len(refused) < len(place.replicas) or time.monotonic() < ended + END_S:
        for who, shown in ((first, issued.token), (helper, handed)):
            answer = place.call(who, "read_report", shown)
            elapsed = time.monotonic() - ended
            assert elapsed < END_S or answer.status_code == 403
            if answer.status_code == 200:
                last = elapsed
            else:
                refused.setdefault(place.maker_of(id_of(answer)), elapsed)
    assert last < END_S
    found = {"last_allowed_ms": round(last * 1000)}
    found |= {f"refused_by_{name}_ms": round(elapsed * 1000) for name, elapsed in sorted(refused.items())}
    record_property("task_end", found)
    print(f"\nthe end of a task over {place.site.replicas[0].door}: {found}")  # noqa: T201 - what was measured
    answer = place.call(first, "read_report", issued.token)
    assert error_of(answer)["data"]["reason"] == "task_mismatch"
    assert place.site.record(id_of(answer))["detail"] == "task_ended"
    with place.tasks(first) as desk, pytest.raises(CallRefusedError) as over:
        desk.replace(issued.token)
    assert over.value.code == "task_ended"
