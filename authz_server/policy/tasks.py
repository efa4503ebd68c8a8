"""Declared work: what the templates of a policy cover, and how much of it one task may do."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from authz_server.model import Principal, Task
from authz_server.policy.entries import Fed, SignalWord, TaskEntry
from authz_server.policy.facts import SENSITIVITIES, reader_of
from authz_server.policy.hours import Hours, compile_hours
from authz_server.policy.patterns import compile_globs
from authz_server.policy.selector import Selector, Selectors, StaticTest, key_of
from authz_server.policy.signalplan import SignalPlan, signal_id
from authz_server.policy.step import UNCLASSIFIED, Step
from authz_server.signals import Signal, SignalKind
from authz_server.spiffe import SpiffePattern, compile_spiffe_pattern


class Budget(NamedTuple):
    """What is left of a task is told by one hidden signal."""

    signal: str
    """Its name, `task:<template>:<pattern of actions, or nothing for all steps>`."""
    steps: int


class Template(NamedTuple):
    """One compiled template."""

    entry: TaskEntry
    issuers: tuple[SpiffePattern, ...]
    """Those of its issuers that are no groups."""
    agents: tuple[SpiffePattern, ...]
    covers: Selector
    """The steps of its work, by action, sensitivity and destination."""
    hours: tuple[Hours, ...]
    budgets: tuple[Budget, ...]

    def opens(self, issuer: str) -> bool:
        """Whether the template may be opened by this issuer: a SPIFFE ID, or `group:<name>` as the template writes it."""
        return issuer in self.entry.issuers or any(pattern.matches(issuer) for pattern in self.issuers)


class Tasks:
    """The templates of one policy."""

    __slots__ = ("_selectors", "_templates", "plans")

    def __init__(self, entries: Sequence[TaskEntry], selectors: Selectors) -> None:
        """Compile the templates.

        Attributes:
            plans: the hidden signals that their budgets are reserved in.
        """
        self._selectors = selectors
        self._templates: dict[str, Template] = {}
        self.plans: list[SignalPlan] = []
        for entry in entries:
            self._templates[entry.name] = self._compile(entry)

    @property
    def templates(self) -> Mapping[str, Template]:
        """By name."""
        return self._templates

    def fault_of(self, task: Task, principal: Principal | None, now: float) -> str:
        """Why a verified task does not hold under this policy: a stable code, or `""`.

        Args:
            task: whose token is genuine.
            principal: who makes the step.
            now: Unix time in seconds.
        """
        template = self._templates.get(task.template)
        if template is None or not task.id:  # a budget is kept for each id
            return "task_unknown"
        if principal is None or principal.id != task.agent:
            return "task_bound_to_another"
        if not any(pattern.matches(principal.id) for pattern in template.agents):
            return "task_agent"
        if not template.opens(task.issuer):
            return "task_issuer"
        if now >= task.expires:
            return "task_expired"
        return "task_depth" if task.depth > template.entry.max_depth else ""

    def covers(self, step: Step) -> bool:
        """Whether the step's task is about this step, budgets aside."""
        task = step.task
        template = self._templates.get(task.template) if task is not None else None
        if task is None or template is None:
            return False
        if not template.covers.holds_statically(key_of(step)):
            return False
        if template.hours and not any(each.contains(step.now) for each in template.hours):
            return False
        return not task.actions or _is_among(step.action.name, task.actions)

    def is_within_budget(self, step: Step) -> bool:
        """Whether the step, whose budgets were read, is within all of them."""
        task = step.task
        template = self._templates.get(task.template) if task is not None else None
        if template is None or task is None:
            return False
        if task.steps and not template.entry.steps:
            return False  # nothing counts any more what this task was narrowed to; wider it must not become
        readings = step.readings
        if task.steps and readings.get(f"task:{task.template}:", 0) > task.steps:
            return False
        return all(readings.get(budget.signal, 0) <= budget.steps for budget in template.budgets)

    def _compile(self, entry: TaskEntry) -> Template:
        static: list[StaticTest] = [self._selectors.action_test(entry.actions)]
        if entry.destinations:
            services = compile_globs(entry.destinations)
            static.append(lambda key: services.matches(key.service))
        highest = SENSITIVITIES.index(entry.max_sensitivity)
        if highest + 1 < len(SENSITIVITIES):
            covered = frozenset(SENSITIVITIES[: highest + 1])
            static.append(lambda key: key.action.sensitivity in covered)
        budgets = [(pattern, steps) for pattern, steps in entry.budgets]
        if entry.steps:
            budgets.append(("", entry.steps))
        return Template(
            entry,
            tuple(compile_spiffe_pattern(text) for text in entry.issuers if not text.startswith("group:")),
            tuple(map(compile_spiffe_pattern, entry.agents)),
            Selector(tuple(static), ()),
            tuple(map(compile_hours, entry.hours)),
            tuple(self._budget(entry, pattern, steps) for pattern, steps in budgets),
        )

    def _budget(self, entry: TaskEntry, pattern: str, steps: int) -> Budget:
        """Reserve in a signal of its own: per task, over the steps that the pattern is about."""
        name = f"task:{entry.name}:{pattern}"
        match = {"task": (entry.name,)}
        if pattern:  # as with every restriction, what may be meant counts
            match["action"] = (pattern,)
        reader = reader_of("task.id")
        if reader is None:  # the word stands in the table of facts
            raise ValueError("task.id")
        self.plans.append(
            SignalPlan(
                signal=Signal(name, signal_id(name, entry.ttl_s), SignalKind.BUDGET, entry.ttl_s * 1000, steps),
                word=SignalWord.BUDGET,
                fed=Fed.STEPS,
                selector=self._selectors.compile(match),
                exclude=None,
                when=None,
                mark=None,
                per=(("task.id", reader),),
                each=(),
                members=(),
                stages={},
                weights={},
            )
        )
        return Budget(name, steps)


def _is_among(action: str, patterns: Sequence[str]) -> bool:
    """Whether a token's patterns mean the action. They are as many as tasks, so nothing is kept of them."""
    if action == UNCLASSIFIED:
        return action in patterns
    try:
        return compile_globs(patterns).matches(action)
    except ValueError:  # no pattern, so it means nothing
        return False
