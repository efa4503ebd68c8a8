"""One policy under a trace: times, tokens, and the answers of destinations."""

import pytest

from authz_server.trial import lane as module
from authz_server.trial.lane import Lane, LaneSettings, TooManyAwaitedError
from authz_server.verdict import Decision, Reason, Verdict
from tests.traces import OTHER, snapshot, step

TASK = {"template": "report", "id": "t-1"}


@pytest.fixture
def lane():
    return Lane(snapshot(), LaneSettings())


def decisions(lane, *steps):
    return [lane.decide(each).verdict.decision.value for each in steps]


def probe(t, path, status=403, after=0.01):
    return step(t, path, outcome={"status": status, "bytes": 0, "after": after})


def test_time_is_that_of_the_trace(lane):
    """Counted from a fixed moment: what was measured fades as the trace says."""
    assert decisions(lane, *[step(float(t)) for t in (0, 1, 2, 3, 30)]) == ["allow"] * 3 + ["throttle", "allow"]
    assert lane.decide(step(40.5)).time == module.START + 40.5


def test_the_beginning_can_be_chosen():
    """For policies that read the clock."""
    assert Lane(snapshot(), LaneSettings(start=1e9)).decide(step(2.0)).time == 1e9 + 2


def test_an_answer_is_learned_when_it_comes_and_not_before(lane):
    """Two refusals are one too many; the second comes a minute late."""
    assert decisions(lane, probe(0, "/things/1"), probe(10, "/things/2", after=60)) == ["allow", "allow"]
    assert decisions(lane, step(20), step(69.9), step(70.0)) == ["allow", "allow", "deny"]


def test_answers_are_learned_in_the_order_in_which_they_come():
    """Not in that of their steps: only by the end of the first is the second's walk known."""
    slow, quick = probe(0, "/things/1", after=30), probe(1, "/things/2", after=1)
    one = Lane(snapshot(), LaneSettings())
    assert decisions(one, slow, quick, step(5), step(30), step(31)) == ["allow", "allow", "allow", "deny", "deny"]


def test_a_step_that_was_not_allowed_has_no_answer(lane):
    """Its refusals teach nothing: the exporter is only challenged, however often it is turned away."""
    tries = [step(float(t), "/export", outcome={"status": 403}) for t in range(0, 90, 15)]
    assert decisions(lane, *tries) == ["challenge"] * 6


def test_a_step_without_an_outcome_teaches_nothing(lane):
    """Some traces do not know what came of their steps."""
    assert (
        decisions(lane, *[step(10.0 * number, f"/things/{number}", outcome=None) for number in range(5)])
        == ["allow"] * 5
    )


def test_tasks_open_at_their_first_use_and_end(lane):
    """By silence here; the agent's token is not another's."""
    found = [lane.decide(step(t, "/export", task=TASK)).verdict for t in (0, 200, 600)]
    assert [verdict.reason for verdict in found] == [Reason.OK, Reason.OK, Reason.TASK_MISMATCH]
    other = step(601, "/export", task={**TASK, "id": "t-2"})
    assert lane.decide(other).verdict.reason is Reason.OK
    assert (
        lane.decide(step(602, "/export", source__principal=OTHER, task={**TASK, "id": "t-2"})).verdict.detail
        == "task_bound_to_another"
    )


def test_settings_of_tasks_arrive():
    """Their life, and whether they are handed on."""
    short = Lane(snapshot(), LaneSettings(task_ttl_s=5))
    assert decisions(short, step(0, "/export", task=TASK), step(5, "/export", task=TASK)) == ["allow", "deny"]
    relay = {"template": "relay", "id": "t-1"}
    steps = [step(0, "/export", task=relay), step(1, "/export", source__principal=OTHER, task=relay)]
    assert decisions(Lane(snapshot(), LaneSettings()), *steps) == ["allow", "allow"]
    assert decisions(Lane(snapshot(), LaneSettings(delegated=False)), *steps) == ["allow", "deny"]


def test_awaited_answers_are_bounded(monkeypatch, lane):
    """A trace in which nobody ever answers must not fill the memory."""
    monkeypatch.setattr(module, "MAX_AWAITED", 2)
    late = [probe(10.0 * number, f"/things/{number}", status=200, after=3600) for number in range(3)]
    decisions(lane, *late[:2])
    with pytest.raises(TooManyAwaitedError, match="more than 2 answers"):
        lane.decide(late[2])


@pytest.mark.parametrize(
    ("decision", "shadow", "passes"),
    [
        (Decision.ALLOW, False, True),
        (Decision.CHALLENGE, False, False),
        (Decision.DENY, True, True),
        (Decision.QUARANTINE, False, False),
    ],
)
def test_what_shadow_mode_only_records_passes(decision, shadow, passes):
    """A challenge does not."""
    assert module.lets_through(Verdict(decision, Reason.OK, shadow=shadow)) is passes
