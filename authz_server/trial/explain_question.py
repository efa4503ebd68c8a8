"""What an explanation is asked about: a step as a case describes it, or the check that a proxy sent."""

from typing import Final, NamedTuple

from authz_server.envoy.text import read_check_request
from authz_server.envoy.wire import CheckRequest
from authz_server.errors import DecodeError, Fault
from authz_server.policy.report import Report
from authz_server.policy.text import read_text
from authz_server.policy.tree import Scalar
from authz_server.policy.tree_builder import CLEAN
from authz_server.trial.case_drafts import Draft
from authz_server.trial.case_steps import StepReader
from authz_server.trial.case_times import moment_of
from authz_server.trial.case_words import case_scope
from authz_server.trial.cases import CaseError
from authz_server.trial.described import Described

_ATTRIBUTES: Final = b'"attributes"'
_PORT: Final = 40001


class Question(NamedTuple):
    """What is asked: a described step, or the bytes of a check."""

    at: float
    """Unix time in seconds."""
    described: Described = Described()
    payload: bytes | None = None
    """A serialised CheckRequest; then nothing is described."""


class Overrides(NamedTuple):
    """What the command line puts in the place of what the file says; None leaves it."""

    principal: str | None = None
    address: str | None = None


AS_IT_STANDS: Final = Overrides()


def read_question(name: str, data: bytes, now: float, overrides: Overrides = AS_IT_STANDS) -> Question:
    """Read a file.

    Args:
        name: of the file, for the messages.
        data: a CheckRequest in protobuf or JSON, or one step as in a file of cases.
        now: Unix time in seconds, for a step that names no moment.
        overrides: what the command line says.

    Raises:
        CaseError: it is neither.
    """
    if _is_check(data):
        try:
            payload = read_check_request(data)
        except DecodeError as error:
            message = f"{error.code}: expected envoy.service.auth.v3.CheckRequest, or a step as in a file of cases"
            raise CaseError([Fault(name, 0, "", message)]) from None
        return Question(now, payload=_with(payload, overrides))
    report = Report()
    root = read_text(name, data, report.faults)
    question = Question(now)
    if root is not None:
        at = root.nodes.get("at")
        moment = moment_of(at.value) if isinstance(at, Scalar) else None
        step = StepReader(Draft(), now if moment is None else moment, case_scope(report)).read(root)
        question = Question(step.at, _described(step.described, overrides))
    if report.faults:
        raise CaseError(report.faults)
    return question


def _is_check(data: bytes) -> bool:
    """Whether a file is a CheckRequest: JSON with its only required member, or no text at all."""
    if data.lstrip()[:1] == b"{" and _ATTRIBUTES in data:
        return True
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return True
    return any(CLEAN.fullmatch(line) is None for line in text.splitlines())


def _described(step: Described, overrides: Overrides) -> Described:
    if overrides.principal is not None:
        task = step.task._replace(agent=overrides.principal) if step.task is not None else None
        step = step._replace(principal=overrides.principal, task=task)
    return step if overrides.address is None else step._replace(address=overrides.address)


def _with(payload: bytes, overrides: Overrides) -> bytes:
    if overrides == AS_IT_STANDS:
        return payload
    message = CheckRequest.FromString(payload)
    source = message.attributes.source
    if overrides.principal is not None:
        source.principal = overrides.principal
        source.certificate = ""
    if overrides.address is not None:
        source.address.socket_address.address = overrides.address
        source.address.socket_address.port_value = _PORT
    serialized: bytes = message.SerializeToString(deterministic=True)
    return serialized
