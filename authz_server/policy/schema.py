"""Policy text to checked entries: everything that one entry, or two names, can have wrong is found here, all at once.

What remains for the compiler is what needs types or a compiled form: the conditions, ties in the catalogue, thresholds.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from authz_server.errors import Fault
from authz_server.policy.action_entries import captures_named_in, read_action
from authz_server.policy.entries import (
    ActionCase,
    ActionEntry,
    Defaults,
    FactEntry,
    PolicyText,
    RequestMatch,
    RuleEntry,
    SignalEntry,
)
from authz_server.policy.facts import KINDS, SENSITIVITIES
from authz_server.policy.fields import Fields, Scope, expression_of
from authz_server.policy.report import Report
from authz_server.policy.rule_entries import read_rule, read_share
from authz_server.policy.sections import Sections, join, read_environment, read_files
from authz_server.policy.signal_entries import Known, read_signal
from authz_server.policy.step_match import StepMatches
from authz_server.policy.tree import Node, Table, shown
from authz_server.policy.vars import Vars, VarValue, identifier_fault
from authz_server.policy.words import STATE_ERROR_MODES, Place

MIN_POLICY_AGE_MS: Final = 60_000
MAX_POLICY_AGE_MS: Final = 31 * 86_400_000
"""Below a minute every slow mount would be reported, above a month nobody would be told in time."""

MAX_FAULTS: Final = 1000
"""Faults and warnings that are listed; whoever has more repairs these first."""

_DEFAULTS: Final = ("on_state_error", "max_policy_age", "unclassified")


class Parsed(NamedTuple):
    """What a policy says, and what is wrong with it."""

    text: PolicyText
    faults: list[Fault]
    """By file and line; with any of them the policy must not go live."""
    warnings: list[Fault]


def parse_policy(files: Mapping[str, bytes], environment: tuple[str, bytes] | None = None) -> Parsed:
    """Read a policy.

    Args:
        files: content by name; the names are those of the messages.
        environment: name and content of the file that adapts the policy to where it runs: `vars` and `enforce`.

    Returns:
        Everything that could be read, with all faults.
    """
    report = Report()
    roots = read_files(files, report)
    sections = join(roots, report)
    replaced, enforce = read_environment(environment, report)
    constants = sections.mappings["vars"]
    _check_names(constants, "vars", report)
    scope = Scope(report, Vars(constants, report, replaced))
    values: Mapping[str, VarValue] = scope.vars.values()
    for name in replaced.keys() - constants.keys():
        message = f"the policy has no constant `{shown(name)}`{report.meant(name, constants)}"
        report.faults.append(replaced[name].fault(message))
    facts = _facts(sections, report)
    actions = tuple(entry for node in sections.lists["actions"] if (entry := read_action(node, scope)) is not None)
    matches = StepMatches(frozenset(entry.name for entry in actions), scope)
    known = Known(
        dict.fromkeys(sections.mappings["facts"], "") | {fact.name: fact.expression for fact in facts},
        frozenset().union(*map(captures_named_in, actions)),
    )
    defaults = _defaults(sections, scope)
    signals = tuple(
        read_signal(name, node, known, matches, scope) for name, node in sections.mappings["signals"].items()
    )
    rules = _shared_out(_rules(sections, defaults, matches, scope), enforce, scope)
    text = PolicyText(values, facts, actions, signals, rules, defaults)
    return Parsed(text, _listed(report.faults), _listed(report.warnings))


def _listed(faults: list[Fault]) -> list[Fault]:
    """Each once, by file and line, and no more than can be read."""
    found = sorted(set(faults))
    if len(found) > MAX_FAULTS:
        rest = len(found) - MAX_FAULTS
        found[MAX_FAULTS:] = [Fault(found[MAX_FAULTS].file, 0, "", f"and {rest} more from here on")]
    return found


def _check_names(nodes: Mapping[str, Node], section: str, report: Report) -> None:
    for name, node in nodes.items():
        fault = identifier_fault(name)
        if fault:
            report.faults.append(node.fault(f"in `{section}`: {fault}"))


def _facts(sections: Sections, report: Report) -> tuple[FactEntry, ...]:
    nodes = sections.mappings["facts"]
    _check_names(nodes, "facts", report)
    found = ((name, expression_of(node, report), node) for name, node in nodes.items())
    return tuple(FactEntry(name, expression, node) for name, expression, node in found if expression)


def _rules(sections: Sections, defaults: Defaults, matches: StepMatches, scope: Scope) -> list[RuleEntry]:
    rules: dict[str, RuleEntry] = {}
    for node in sections.lists["rules"]:
        rule = read_rule(node, defaults.on_state_error, matches, scope)
        if rule is None:
            continue
        first = rules.setdefault(rule.name, rule)
        if first is not rule:
            message = f"`{rule.name}` is defined twice, first at {first.where.place()}"
            scope.report.faults.append(rule.where.fault(message, "name"))
    return list(rules.values())


def _shared_out(rules: list[RuleEntry], enforce: Node | None, scope: Scope) -> tuple[RuleEntry, ...]:
    """The rules with the shares that the environment gives them."""
    if enforce is None:
        return tuple(rules)
    names = {rule.name for rule in rules}
    fields = Fields(enforce, Place.RULE_NAME, names, scope)
    if not isinstance(enforce, Table):
        return tuple(rules)
    shares = {name: read_share(fields, name) for name in enforce.nodes}
    return tuple(replace(rule, enforce=shares[rule.name]) if rule.name in shares else rule for rule in rules)


def _defaults(sections: Sections, scope: Scope) -> Defaults:
    strict = Defaults()
    table = Table(0, "")
    table.nodes.update(sections.mappings["defaults"])
    fields = Fields(table, Place.DEFAULT, _DEFAULTS, scope)
    unclassified = fields.node_of("unclassified")
    kind, sensitivity = strict.unclassified_kind, strict.unclassified_sensitivity
    if unclassified is not None:
        inner = Fields(unclassified, Place.DEFAULT, ("kind", "sensitivity"), scope)
        kind = inner.choice("kind", "kind", KINDS, kind)
        sensitivity = inner.choice("sensitivity", "sensitivity", SENSITIVITIES, sensitivity)
    # Without `skip`: it is a decision about one rule.
    modes = tuple(mode for mode in STATE_ERROR_MODES if mode != "skip")
    mode = fields.choice("on_state_error", "default way to go on without state", modes, strict.on_state_error)
    age = fields.duration("max_policy_age", MIN_POLICY_AGE_MS, MAX_POLICY_AGE_MS, strict.max_policy_age_s * 1000)
    return Defaults(mode, age // 1000, kind, sensitivity)


__all__ = [
    "ActionCase",
    "ActionEntry",
    "Defaults",
    "FactEntry",
    "Parsed",
    "PolicyText",
    "RequestMatch",
    "RuleEntry",
    "SignalEntry",
    "parse_policy",
]
