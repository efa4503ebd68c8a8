"""Decisions over AuthZEN (OpenID Authorization API 1.0).

A subject is whom the question is about and never who asks: about others only operators and gateways may ask. Whoever is none
of the latter asks before it acts, and that only reads: see `evaluator`. What a gateway asks is a check: see `checks`.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from authz_server import record
from authz_server.envoy.challenge import answer_spec
from authz_server.model import Caller
from authz_server.record import DecisionEvent
from authz_server.verdict import REASONS, Decision, Demand, Reason, Verdict
from authz_server.web.answers import Answer, WebError
from authz_server.web.asking import Asked, read_json
from authz_server.web.batches import Questions, read_questions
from authz_server.web.callers import OperatorOf, name_of
from authz_server.web.checks import Checked
from authz_server.web.described import DescribedStep
from authz_server.web.evaluation_request import Evaluation, read_evaluation
from authz_server.web.evaluator import Evaluated

MAX_TEXT: Final = 1024
"""Characters of a policy author's text that reach who asks."""

_FAULT: Final = REASONS[Reason.INTERNAL_ERROR]

Offer = Callable[[Evaluated, str], Mapping[str, Any]]
"""From a challenged step and who asks to `context.access_request`; empty where nobody's approval would help."""


class AuthzenPorts(NamedTuple):
    """What evaluations are given."""

    evaluate: Callable[[DescribedStep], Evaluated]
    operator_of: OperatorOf
    is_gateway: Callable[[Caller], bool]
    """Whether a caller is a proxy that speaks for any workload."""
    check: Callable[[DescribedStep, Caller], Checked]
    offer: Offer | None = None
    """None where approvals cannot be asked for."""


class Authzen:
    """The endpoints. Threads share it."""

    def __init__(self, ports: AuthzenPorts) -> None:
        self._ports = ports

    def evaluation(self, asked: Asked) -> Answer:
        """POST /access/v1/evaluation: a denial is an answer, and no error."""
        question = read_evaluation(read_json(asked))
        return Answer(200, self._decide(asked.caller, question))

    def evaluations(self, asked: Asked) -> Answer:
        """POST /access/v1/evaluations: several questions, which stand for one another as far as they share members."""
        found = read_json(asked)
        questions = read_questions(found)
        if questions is None:
            return Answer(200, self._decide(asked.caller, read_evaluation(found)))
        name_of(asked.caller)
        return Answer(200, {"evaluations": self._decide_all(asked.caller, questions)})

    def ask(self, caller: Caller, question: Evaluation) -> Evaluated:
        """Evaluate what a caller may ask about.

        Raises:
            WebError: 401 or 403: it may not ask about this subject; 400: there is no such step.
        """
        check_subject(self._ports, caller, question.principal)
        return self._ports.evaluate(question.step())

    def _decide_all(self, caller: Caller, questions: Questions) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        for question in questions.items:
            answers.append(self._decide_item(caller, question))
            if questions.ends_with(decision=answers[-1]["decision"]):
                break
        return answers

    def _decide_item(self, caller: Caller, question: Evaluation | WebError) -> dict[str, Any]:
        """The answer to one of several: what is wrong with it stands in its place (section on errors of evaluations)."""
        try:
            if isinstance(question, WebError):
                raise question
            return self._decide(caller, question)
        except WebError as error:
            told = {"status": error.status, "message": error.text, "reason": error.reason}
            return {"decision": False, "context": {"error": told}}

    def _decide(self, caller: Caller, question: Evaluation) -> dict[str, Any]:
        if not question.is_ours:
            check_subject(self._ports, caller, question.principal)
            return {"decision": False, "context": {"reason": "type_unknown"}}
        if self._ports.is_gateway(caller):
            return self._check(caller, question)
        found = self.ask(caller, question)
        verdict = found.verdict
        context = describe(found.event) | self._offer(caller, found)
        if self._ports.operator_of(caller) is not None:
            context["record"] = record.build(found.event)
        return {"decision": verdict.shadow or verdict.decision is Decision.ALLOW, "context": context}

    def _check(self, caller: Caller, question: Evaluation) -> dict[str, Any]:
        """The answer to a gateway: what its client may be told, and what becomes of the request's headers.

        Raises:
            WebError: 400: there is no such step, or its body is not what the client has sent.
        """
        if question.is_parsed:
            # Two members of one name are one by then, and the destination may read the other one.
            raise WebError(400, "body_invalid", "a gateway sends the body as it came: as a text, not as an object")
        found = self._ports.check(question.step(), caller)
        context = describe(found.event)
        if found.passes:
            context |= {"headers": found.headers, "headers_to_remove": list(found.removed)}
        elif found.event.verdict.decision is Decision.ALLOW:  # decided, and the answer could not be written
            context |= {"reason": _FAULT.public, "detail": _FAULT.text}
        elif found.event.verdict.decision is Decision.CHALLENGE:
            context |= self._offer(caller, self.ask(caller, question))
        return {"decision": found.passes, "context": context}

    def _offer(self, caller: Caller, found: Evaluated) -> dict[str, Any]:
        verdict = found.verdict
        if self._ports.offer is None or verdict.decision is not Decision.CHALLENGE or verdict.shadow:
            return {}
        offered = self._ports.offer(found, name_of(caller))
        return {"access_request": dict(offered)} if offered else {}


def check_subject(ports: AuthzenPorts, caller: Caller, subject: str) -> None:
    """Check that a caller may ask about a subject: about itself, or as an operator or a gateway.

    Raises:
        WebError: 401 `caller_unknown`, 403 `subject_of_another`.
    """
    if name_of(caller) != subject and ports.operator_of(caller) is None and not ports.is_gateway(caller):
        raise WebError(403, "subject_of_another", "a workload asks about itself only")


def describe(event: DecisionEvent) -> dict[str, Any]:
    """The context of a decision: as much as the caller of a check would be told, and no more."""
    verdict, spec = event.verdict, answer_spec(event.verdict)
    context: dict[str, Any] = {
        "evaluation_id": event.id,
        "evaluated_at": timestamp(event.time),
        "reason": spec.public,
        "detail": verdict.public_reason[:MAX_TEXT] or spec.text,
    }
    if verdict.remedy:
        context["remedy"] = verdict.remedy[:MAX_TEXT]
    if verdict.decision is Decision.THROTTLE:
        context["retry_after"] = max(verdict.retry_after, 1)
    obligations = _obligations(verdict)
    if obligations:
        context["obligations"] = obligations
    return context


def _obligations(verdict: Verdict) -> list[dict[str, Any]]:
    """What whoever makes the step has to do first (obligations profile, `step-up`)."""
    return [
        {"id": f"step-up-{number}", "type": "step-up", "properties": _step_up(demand)}
        for number, demand in enumerate((each for each in verdict.demands if each.steps_up), 1)
    ]


def _step_up(demand: Demand) -> dict[str, Any]:
    wanted = {"acr_value": demand.acr, "max_age": demand.max_age_s}
    return {name: value for name, value in wanted.items() if value}


def timestamp(seconds: float) -> str:
    """A Unix time as RFC 3339 writes it, in whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
