"""One compiled policy, as the decision point uses it."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from operator import eq
from typing import NamedTuple

from authz_server.errors import Fault
from authz_server.model import Action, Outcome
from authz_server.policy.aftermath import learned
from authz_server.policy.callers import Callers, Contained
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.entries import InjectEntry, PolicyText
from authz_server.policy.ruletable import RuleTable
from authz_server.policy.selector import Selector
from authz_server.policy.signalplan import SignalPlan
from authz_server.policy.step import Step
from authz_server.policy.tasks import Tasks
from authz_server.policy.tree import let_go
from authz_server.signals import Hit


class Injection(NamedTuple):
    """One compiled just-in-time credential."""

    selector: Selector
    entry: InjectEntry


class Snapshot(NamedTuple):
    """One compiled policy. Immutable; the candidate sets inside are a cache."""

    digest: str
    """SHA-256 over the canonical form, as 16 hexadecimal digits."""
    text: PolicyText
    """What was written, for those who explain it."""
    catalogue: Catalogue
    rules: RuleTable
    tasks: Tasks
    callers: Callers
    contained: tuple[Contained, ...]
    injections: tuple[Injection, ...]
    warnings: tuple[Fault, ...]
    """What is suspicious without being wrong."""
    loaded_at: float = 0.0
    """When it was compiled to be put in force, as Unix time in seconds; 0 when it is only looked at."""

    @property
    def max_policy_age(self) -> float:
        """Seconds after which a policy that could not be renewed is flagged."""
        return self.text.defaults.max_policy_age_s

    @property
    def shadow(self) -> bool:
        """Whether every answer but a contained caller's is allow."""
        return self.text.shadow

    @property
    def plans(self) -> Mapping[str, SignalPlan]:
        """Every signal by name."""
        return self.rules.plans

    def let_go(self) -> None:
        """Forget the files that it was read from, but for the places of its entries: what a server need not keep."""
        for field in fields(self.text):
            section = getattr(self.text, field.name)
            for entry in section if isinstance(section, tuple) else ():
                let_go(entry.where)

    def injected(self, step: Step) -> tuple[InjectEntry, ...]:
        """What is to be injected into an allowed step."""
        return tuple(each.entry for each in self.injections if each.selector.holds(step))

    def learned(self, hits: Sequence[Hit], outcome: Outcome) -> tuple[Hit, ...]:
        """What an outcome feeds of what was expected of it."""
        return learned(self.rules.plans, hits, outcome)

    def warm_like(self, other: "Snapshot") -> None:
        """Compile the candidate sets that another snapshot was asked for, so that the first step after a reload is no slower."""
        self.rules.warm(key._replace(action=self._like(key.action)) for key in other.rules.known_keys())

    def _like(self, action: Action) -> Action:
        """What this snapshot makes of requests of another's action: the variant that differs from it in the least."""
        variants = self.catalogue.variants_of(action.name)
        if action in variants:
            return action
        return max(variants, key=lambda found: sum(map(eq, found, action)), default=action)
