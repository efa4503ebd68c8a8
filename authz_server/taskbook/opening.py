"""Whether a task may be opened, replaced or handed on under the policy in force. Pure."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from authz_server.errors import AuthzError
from authz_server.policy.patterns import compile_globs
from authz_server.policy.snapshot import Snapshot
from authz_server.policy.tasks import Template
from authz_server.spiffe import parse_spiffe_id
from authz_server.taskbook.record import MAX_CONTEXT, MAX_NAME, MAX_PATTERNS, MAX_TEXT

GROUP: Final = "group:"
LOCAL: Final = "local"
"""Who calls through a Unix socket: an operator of this machine, who has no SPIFFE ID."""


class TaskError(AuthzError):
    """Why nothing was opened, replaced or ended.

    Attributes:
        code: a stable snake_case code, such as `task_wider`.
        error: the error code of OAuth 2.0 (RFC 6749, section 5.2; RFC 8693, section 2.2.2).
        text: for whoever asked; it names no other caller and no rule.
    """

    def __init__(self, code: str, error: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.error = error
        self.text = text


class OpenTask(NamedTuple):
    """What is asked for."""

    template: str
    agent: str
    """The SPIFFE ID that is to work."""
    originator: str = ""
    """On whose behalf; `""`: of whoever opens it."""
    actions: tuple[str, ...] = ()
    """Patterns narrower than the template's; empty for the template's own."""
    steps: int = 0
    """A budget below the template's; 0 for the template's own."""
    ttl_s: int = 0
    """Shorter than the template's; 0 for the template's own."""
    purpose: str = ""
    context: tuple[tuple[str, str], ...] = ()


def check_request(asked: OpenTask) -> None:
    """Check what does not depend on a policy.

    Raises:
        TaskError: with `invalid_request`.
    """
    texts = (asked.template, asked.purpose, *asked.actions, *(text for pair in asked.context for text in pair))
    name = parse_spiffe_id(asked.agent)
    if name is None or not name.path:
        raise TaskError("task_agent_invalid", "invalid_request", "the agent is one exact SPIFFE ID with a path")
    if any(len(text) > MAX_TEXT or not text.isprintable() for text in texts):
        raise TaskError(
            "task_text_invalid", "invalid_request", f"texts are printable and have up to {MAX_TEXT} characters"
        )
    if len(asked.originator) > MAX_NAME or not asked.originator.isprintable():
        raise TaskError("task_originator_invalid", "invalid_request", "the originator is no printable name")
    if len(asked.actions) > MAX_PATTERNS or len(asked.context) > MAX_CONTEXT:
        fault = f"up to {MAX_PATTERNS} patterns of actions and {MAX_CONTEXT} members of a context are accepted"
        raise TaskError("task_too_much", "invalid_request", fault)
    if asked.steps < 0 or asked.ttl_s < 0:
        raise TaskError("task_number_invalid", "invalid_request", "steps and lifetime are not negative")


def template_of(snapshot: Snapshot, name: str) -> Template:
    """The template of that name.

    Raises:
        TaskError: there is none.
    """
    template = snapshot.tasks.templates.get(name)
    if template is None:
        raise TaskError("task_template_unknown", "invalid_scope", "no template of this name is in force")
    return template


def issuer_of(template: Template, caller: str, groups: Iterable[str]) -> str:
    """How the template names this caller: its SPIFFE ID, or the first of its groups that may open it.

    Raises:
        TaskError: it may not open this task.
    """
    if caller != LOCAL and template.opens(caller):
        return caller
    named = sorted({f"{GROUP}{name}" for name in groups} & set(template.entry.issuers))
    if not named:
        raise TaskError("task_issuer", "unauthorized_client", "the caller may not open tasks of this template")
    return named[0]


def check_agent(template: Template, agent: str) -> None:
    """Check that the template is for this agent.

    Raises:
        TaskError: it is not.
    """
    if not any(pattern.matches(agent) for pattern in template.agents):
        raise TaskError("task_agent", "invalid_target", "the template is not for this agent")


def check_hours(template: Template, now: float) -> None:
    """Check that work of this template is done at this time.

    Raises:
        TaskError: it is not.
    """
    if template.hours and not any(each.contains(now) for each in template.hours):
        raise TaskError("task_hours", "invalid_request", "the template is not for this time of the week")


def check_narrower(snapshot: Snapshot, template: Template, actions: Iterable[str], steps: int) -> None:
    """Check that what is asked for lies within the template: each pattern means actions, and only such of the template.

    Raises:
        TaskError: it does not.
    """
    known = snapshot.catalogue.names
    allowed = compile_globs(template.entry.actions)
    for pattern in actions:
        meant = _meant(pattern, known)
        if not meant or not all(map(allowed.matches, meant)):
            raise TaskError("task_wider", "invalid_scope", "an action lies outside of the template, or is none at all")
    if steps > template.entry.steps:
        raise TaskError(
            "task_wider", "invalid_scope", "the budget is above that of the template, or the template has none"
        )


def _meant(pattern: str, known: Iterable[str]) -> list[str]:
    try:
        matches: Callable[[str], bool] = compile_globs([pattern]).matches
    except ValueError:
        return []
    return [name for name in known if matches(name)]
