"""One value of a policy file and what its reader shares, without the rest of a policy around it."""

from authz_server.policy.fields import Scope
from authz_server.policy.report import Report
from authz_server.policy.step_match import StepMatches
from authz_server.policy.text import read_text
from authz_server.policy.vars import Vars

ACTIONS = frozenset({"crm.read", "files.{tool}"})
TASKS = ("weekly-report", "break-glass")


def read_entry(text, constants="{}"):
    """The node of a value that stands in line 2 of `a.yaml` as `entry`, and a scope with the constants of line 1."""
    report = Report()
    root = read_text("a.yaml", f"vars: {constants}\nentry: {text}\n".encode(), report.faults)
    return root.nodes["entry"], Scope(report, Vars(root.nodes["vars"].nodes, report))


def matches_in(scope):
    """A reader of matches over the names above."""
    return StepMatches(ACTIONS, scope, TASKS, ("billing-batch",))


def faults_of(scope):
    """What was reported, without the part of the place that is always the same."""
    return [str(fault).removeprefix("a.yaml:2: entry") for fault in scope.report.faults]
