"""Policy text to one immutable snapshot: names resolved, conditions type-checked, limits found, rules compiled and warmed.

Everything that can be wrong is found here, all of it at once, and before anything goes live; a step meets only compiled rules.
"""

from collections.abc import Mapping, Sequence

from authz_server.errors import Fault, PolicyError
from authz_server.keyhash import KeyedHash
from authz_server.policy.callers import Callers, compile_contained, legacy_rules
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.conditions import Conditions
from authz_server.policy.digest import digest_of
from authz_server.policy.entries import EnvelopeEntry, InjectEntry, PolicyText, StepMatch
from authz_server.policy.envelopes import KINDS, SENSITIVITIES, Envelope
from authz_server.policy.heritage import OWNER, is_heritable, owner_plan
from authz_server.policy.inject_entries import find_clash
from authz_server.policy.named import named_actions
from authz_server.policy.patterns import compile_globs
from authz_server.policy.plan_compiler import Plans, is_read_elsewhere
from authz_server.policy.reporters import accuses, can_be_vouched_for, reporter_name, reporter_plan
from authz_server.policy.rule import Lift, Rule
from authz_server.policy.rule_compiler import Rules
from authz_server.policy.ruletable import RuleTable
from authz_server.policy.schema import parse_policy
from authz_server.policy.scopes import Scopes
from authz_server.policy.selector import Key
from authz_server.policy.signal_compiler import compile_signals
from authz_server.policy.signalplan import SignalPlan
from authz_server.policy.snapshot import Injection, Snapshot
from authz_server.policy.step import LEGACY, UNCLASSIFIED
from authz_server.policy.tasks import Tasks
from authz_server.verdict import Effect

Environment = tuple[str, bytes]
"""Name and content of the file that adapts a policy to where it runs."""


def compile_policy(
    files: Mapping[str, bytes],
    keyed: KeyedHash,
    shared_sources: Sequence[str] = (),
    environment: Environment | None = None,
) -> Snapshot:
    """Compile a policy directory.

    Args:
        files: relative path to content.
        keyed: decides which principals a rule with `enforce: N%` takes.
        shared_sources: CIDRs of places that many callers share; they have no source signals.
        environment: name and content of the environment file.

    Raises:
        PolicyError: with every fault of the directory.
    """
    text, faults, warnings = parse_policy(files, environment)
    return _Compiler(text, faults, warnings, shared_sources).compile(keyed)


def compile_text(text: PolicyText, keyed: KeyedHash, shared_sources: Sequence[str] = ()) -> Snapshot:
    """Compile a policy that was read already; see `compile_policy`.

    Raises:
        PolicyError: with every fault that is not one of reading.
    """
    return _Compiler(text, [], [], shared_sources).compile(keyed)


class _Compiler:
    """The parts of one compilation, which share the list of faults."""

    def __init__(
        self, text: PolicyText, faults: list[Fault], warnings: list[Fault], shared_sources: Sequence[str]
    ) -> None:
        self._text = text
        self._faults = faults = list(faults)
        self._warnings = warnings
        self._catalogue, more = Catalogue.compile(text.actions, text.defaults, named_actions(text))
        faults += more
        self._scopes = Scopes(self._catalogue, text.teams, faults)
        platform = Conditions(text, self._catalogue, faults, shared_sources)
        self._conditions = {"": platform} | {team.name: platform.for_team(team.name) for team in text.teams}

    def compile(self, keyed: KeyedHash) -> Snapshot:
        """Compile all sections.

        Raises:
            PolicyError: with every fault.
        """
        text, faults = self._text, self._faults
        rules = self._rules()
        tasks = Tasks(text.tasks, self._scopes.selectors)
        plans = [*self._plans(rules), *tasks.plans]
        self._check_injections()
        written = sorted(text.envelopes, key=lambda entry: entry.name)  # of several that fit the first is used up first
        envelopes = [found for entry in written if (found := self._envelope(entry)) is not None]
        callers = Callers(text.legacy, faults)
        if faults:
            raise PolicyError(list(dict.fromkeys(faults)))
        combiners = {owner: conditions.combiner for owner, conditions in self._conditions.items()}
        table = RuleTable(rules, plans, combiners, keyed, envelopes)
        selectors = self._scopes.selectors
        snapshot = Snapshot(
            digest=digest_of(text),
            text=text,
            catalogue=self._catalogue,
            rules=table,
            tasks=tasks,
            callers=callers,
            contained=compile_contained(text.contained, selectors),
            injections=tuple(Injection(selectors.compile(entry.match, surely=True), entry) for entry in text.inject),
            warnings=tuple(dict.fromkeys(self._warnings)),
        )
        # A first step never pays for compilation that could have been done here, and a fault in it would show now.
        table.warm(
            Key(action, "", "") for name in self._catalogue.actions for action in self._catalogue.variants_of(name)
        )
        return snapshot

    def _rules(self) -> list[Rule]:
        text = self._text
        compiler = Rules(text, self._catalogue, self._scopes, self._faults, self._warnings)
        rules = [
            rule
            for entry in text.rules
            if (rule := compiler.compile(entry, self._conditions[_owner(entry.team, self._conditions)])) is not None
        ]
        for number, caller in enumerate(text.legacy):
            rules += compiler.compile_legacy(legacy_rules(caller), caller, number, self._conditions[""])
        self._lift(rules)
        return rules

    def _lift(self, rules: Sequence[Rule]) -> None:
        """Hang the exceptions on the rules that they name, those whose names sort first in front."""
        by_name = {rule.name: rule for rule in rules}
        for entry in sorted(self._text.exceptions, key=lambda entry: entry.name):
            selectors = self._scopes.compile(entry)
            if selectors is None:
                continue
            lift = Lift(entry.name, selectors[0], entry.expires, entry.alert)
            for name in entry.rules:
                if name in by_name:  # a name that is unknown was reported when it was read
                    by_name[name].lifts += (lift,)

    def _plans(self, rules: Sequence[Rule]) -> list[SignalPlan]:
        """The signals that some rule reads, adds to or is limited by, with the hidden ones that stand behind them.

        A plan that is only read comes behind the one that feeds the signal, and is the one found by name.
        """
        text = self._text
        signals = compile_signals(text.signals, rules, self._faults, self._warnings)
        compiler = Plans(signals, self._catalogue, self._scopes, self._faults)
        plans: dict[str, SignalPlan] = {}
        elsewhere: list[str] = []
        read = frozenset(name for rule in rules for name in rule.signals)
        added = frozenset(name for rule in rules for name, _ in rule.entry.adds)
        for entry in text.signals:
            plan = compiler.compile(entry, self._conditions[_owner(entry.team, self._conditions)])
            if entry.name not in read:
                self._warnings.append(entry.where.fault("no rule reads this signal, so it is not measured"))
            if plan is not None and (entry.name in read or entry.name in added):
                plans[entry.name] = plan
                if plan.is_pressure and is_read_elsewhere(entry, rules):
                    elsewhere += (entry.name, reporter_name(entry.name))
        for caller in text.legacy:
            if caller.rate[0]:
                plan = compiler.rate(caller, self._conditions[""])
                plans[plan.signal.name] = plan
        for rule in rules:
            if rule.effect is Effect.QUARANTINE:
                accusing = [plans[name] for name in sorted(rule.signals) if name in plans and accuses(plans[name])]
                rule.reporters = tuple(reporter_name(plan.signal.name) for plan in accusing)
                plans |= {
                    reporter_name(plan.signal.name): reporter_plan(plan)
                    for plan in accusing
                    if can_be_vouched_for(plan)
                }
        if any(is_heritable(plan) for plan in plans.values()):
            plans[OWNER] = owner_plan()
        return [*plans.values(), *(plans[name]._replace(only_read=True) for name in elsewhere if name in plans)]

    def _check_injections(self) -> None:
        """Two injections of one step must not differ about a header: no order decides, and Envoy removes what it has just set."""
        for number, entry in enumerate(self._text.inject):
            for other in self._text.inject[:number]:
                clash = find_clash(entry, other)
                if clash and self._may_meet(entry, other):
                    message = f"{clash} for steps of {other.where.place()} too; narrow one of them"
                    self._faults.append(entry.where.fault(message, "match"))
                    break

    def _may_meet(self, one: InjectEntry, two: InjectEntry) -> bool:
        """Whether an action can be of both; other keys are not compared, so unsure means yes."""
        tests = [self._scopes.selectors.compile(_about_actions(entry.match)) for entry in (one, two)]
        if _are_apart(one.match.get("destination", ()), two.match.get("destination", ())):
            return False
        return any(
            all(test.holds_statically(Key(action, "", "")) for test in tests)
            for name in self._catalogue.names
            for action in self._catalogue.variants_of(name)
        )

    def _envelope(self, entry: EnvelopeEntry) -> Envelope | None:
        """Compile an envelope; it may be about low-risk work only, whatever its patterns come to mean."""
        if any(pattern.startswith(LEGACY) for pattern in entry.match.get("principal", ())):
            message = "a legacy caller is granted by its own entry only, in `legacy`"
            self._faults.append(entry.where.fault(message, "match", "principal"))
            return None
        try:
            selector = self._scopes.selectors.compile(entry.match, surely=True)
        except ValueError as error:
            self._faults.append(entry.where.fault(str(error), "match"))
            return None
        test = self._scopes.selectors.compile(_about_actions(entry.match))
        touched = [
            action
            for name in self._catalogue.names
            for action in self._catalogue.variants_of(name)
            if test.holds_statically(Key(action, "", ""))
        ]
        for action in touched:
            if action.kind not in KINDS or action.sensitivity not in SENSITIVITIES:
                message = (
                    f"`{action.name}` is {action.kind} of sensitivity {action.sensitivity}; an envelope is for"
                    f" {', '.join(sorted(KINDS))} up to medium"
                )
                self._faults.append(entry.where.fault(message, "match"))
                break
        return Envelope(entry.name, selector._replace(static=(_is_classified, *selector.static)), *entry.rate)


def _about_actions(match: StepMatch) -> StepMatch:
    return {key: value for key, value in match.items() if key.startswith("action")}


def _are_apart(one: Sequence[str], two: Sequence[str]) -> bool:
    return bool(one) and bool(two) and not compile_globs(one).overlaps(compile_globs(two))


def _is_classified(key: Key) -> bool:
    """Whether anybody knows what the step is: what is approved beforehand is."""
    return key.action.name != UNCLASSIFIED


def _owner(team: str, known: Mapping[str, object]) -> str:
    """A team that is not declared was reported; its conditions are checked as the platform's."""
    return team if team in known else ""
