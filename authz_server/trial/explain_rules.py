"""Why each rule was, or was not, about a step; and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from authz_server.policy.cel import EVALUATION_ERROR
from authz_server.policy.rule import Lift, Rule
from authz_server.policy.ruletable import RuleTable
from authz_server.policy.scopes import Scopes
from authz_server.policy.selector import EVERYTHING, Key, key_of
from authz_server.policy.snapshot import Snapshot
from authz_server.policy.step import ANONYMOUS, LEGACY, UNCLASSIFIED, Step
from authz_server.trial.entries_of import Misfit
from authz_server.trial.explain_words import RuleExplained, TermExplained, brief
from authz_server.trial.terms_of import Term, Terms
from authz_server.trial.trial import TRIAL_KEY
from authz_server.trial.watch import Seen
from authz_server.verdict import Effect

MATCHED: Final = "matched"
IN_SHADOW: Final = "in shadow"
NOT_ABOUT: Final = "not about it"
NO_MATCH: Final = "no match"
NOT_ASKED: Final = "not asked"


class RulesExplained:
    """Explains the rules of one policy for one step."""

    __slots__ = ("_found", "_outcomes", "_scopes", "_seen", "_snapshot", "_teams", "_terms")

    def __init__(self, snapshot: Snapshot, seen: Seen) -> None:
        """Take what was decided.

        Args:
            snapshot: the policy, compiled for trials.
            seen: the step, with what the rules found.
        """
        self._snapshot = snapshot
        self._seen = seen
        self._terms = Terms(snapshot)
        self._scopes = Scopes(snapshot.catalogue, snapshot.text.teams, [])
        self._teams = {team.name: team.actions for team in snapshot.text.teams}
        self._found = found_of(seen.step)
        self._outcomes = _outcomes(seen)

    def explain(self, rule: Rule) -> RuleExplained:
        """Explain one rule."""
        entry, step = rule.entry, self._seen.step
        about = rule.applies(key_of(step)) and rule.touches(step)
        asked = rule in self._seen.asked
        outcome, notes = self._outcomes.get(rule.name, (NO_MATCH if asked else NOT_ASKED, ()))
        value = rule.when.value(step) if rule.when is not None and about and asked else None
        return RuleExplained(
            name=rule.name,
            place=entry.where.place(),
            effect=rule.effect.value,
            outcome=outcome if about else NOT_ABOUT,
            misfits=() if about else tuple(self._misfits(rule)),
            notes=(*notes, *(self._notes(rule, outcome) if about else self._causes(rule))),
            condition=entry.when,
            value=None if value is EVALUATION_ERROR else value,
            terms=tuple(self._term(rule, term) for term in self._terms.of(rule)) if about and asked else (),
            enforce=f"{entry.enforce / 100:g}%",
            enforced=_is_enforced(rule, key_of(step)),
        )

    def _term(self, rule: Rule, term: Term) -> TermExplained:
        read = self._terms.read(rule, term, self._seen.step)
        return TermExplained(
            term.text, term.value(self._seen.step), {name: brief(value) for name, value in read.items()}
        )

    def _misfits(self, rule: Rule) -> list[Misfit]:
        """The keys that keep the rule off the step, each tried alone."""
        entry, surely = rule.entry, rule.effect is Effect.ALLOW
        missed = [
            Misfit(key, " | ".join(patterns), self._found[key])
            for key, patterns in entry.match.items()
            if not self._holds({key: patterns}, surely=surely)
        ]
        actions = self._teams.get(entry.team, ())
        if actions and not self._holds({"action": actions}, surely=surely):
            missed.append(Misfit("action", f"{' | '.join(actions)} of team {entry.team}", self._found["action"]))
        return missed

    def _holds(self, match: Mapping[str, Sequence[str]], *, surely: bool) -> bool:
        return self._scopes.selectors.compile(match, surely=surely).holds(self._seen.step)

    def _causes(self, rule: Rule) -> list[str]:
        """Why the rule is not about the step, beside the keys of its match."""
        entry, step = rule.entry, self._seen.step
        causes = []
        if entry.exclude and self._holds(entry.exclude, surely=rule.effect is not Effect.ALLOW):
            said = ", ".join(f"{key} {self._found[key]}" for key in entry.exclude)
            causes.append(f"excluded: {said}")
        if rule.effect is Effect.ALLOW and step.action.name == UNCLASSIFIED and not rule.names_unclassified:
            causes.append(f"a grant is about what no entry classifies only by the word `{UNCLASSIFIED}`")
        caller = key_of(step).principal
        if rule.effect is Effect.ALLOW and caller.startswith(LEGACY) and entry.match.get("principal") != (caller,):
            causes.append("a legacy caller has the grant of its own entry, and no other")
        return causes

    def _notes(self, rule: Rule, outcome: str) -> list[str]:
        """What there is to say about a rule that is about the step."""
        unlearned = sorted(rule.signals & self._seen.step.unlearned)
        notes = [f"in shadow until it has learned long enough: {', '.join(unlearned)}"] if unlearned else []
        if outcome in {MATCHED, IN_SHADOW}:
            notes += [f"not lifted by {lift.name}: {self._why_not(lift)}" for lift in rule.lifts]
        return notes

    def _why_not(self, lift: Lift) -> str:
        if lift.expires and self._seen.step.now >= lift.expires:
            return "it has expired"
        (entry,) = [each for each in self._snapshot.text.exceptions if each.name == lift.name]
        return "; ".join(
            f"{key} is {self._found[key]}, wanted {' | '.join(patterns)}"
            for key, patterns in entry.match.items()
            if not self._holds({key: patterns}, surely=True)
        )


def _is_enforced(rule: Rule, key: Key) -> bool:
    """Whether a rule is enforced for this principal, whatever else it asks: of a table with this one rule for every step."""
    plain = replace(rule.entry, match={}, exclude={}, when="", then=Effect.OBSERVE)
    table = RuleTable((Rule(plain, EVERYTHING, None),), (), {}, TRIAL_KEY)
    return bool(table.candidates(key).early.fixed.enforced)


def _outcomes(seen: Seen) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What became of the rules that matched, and what there is to say about it."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for part in seen.parts:
        for outcome in part.enforced:
            found[outcome.rule.name] = ("error", (outcome.error,)) if outcome.error else (MATCHED, ())
        for outcome in part.shadowed:
            found[outcome.rule.name] = (IN_SHADOW, (outcome.error,) if outcome.error else ())
        for lifted in part.excepted:
            found[lifted.rule.name] = ("excepted", (f"by {lifted.lift.name}",))
    return found


def found_of(step: Step) -> dict[str, str]:
    """What a step has, by the keys of a step match."""
    action, principal, request = step.action, step.principal, step.request
    return {
        "principal": principal.id if principal is not None else ANONYMOUS,
        "source": request.source_address or "none",
        "credential": ", ".join(each.id for each in request.credentials) or "none",
        "task": step.task.template if step.task is not None else "none",
        "action": action.name,
        "action.kind": action.kind,
        "action.stage": action.stage or "none",
        "action.sensitivity": action.sensitivity,
        "destination": step.service or "none",
        "hours": datetime.fromtimestamp(step.now, UTC).strftime("%a %H:%M UTC"),
        "mcp.tool": (step.rpc.tool if step.rpc is not None else "") or "none",
    }
