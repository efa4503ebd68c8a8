"""The words of a file of cases, and what all of its readers share."""

from enum import StrEnum
from typing import Final

from authz_server.policy.fields import Scope
from authz_server.policy.report import Report
from authz_server.policy.tree import Node
from authz_server.policy.vars import Vars


class CasePlace(StrEnum):
    """Where a word stands in a file of cases, for the messages."""

    FILE = "key of a file of cases"
    CASE = "field of a case"
    STEP = "field of a step"
    DEFAULTS = "field of the defaults"
    DESTINATION = "field of a destination"
    REQUEST = "field of a request"
    CALL = "field of an MCP call"
    TASK = "field of a task"
    OUTCOME = "field of an outcome"
    EXPECTATION = "thing to expect"


SHARED_FIELDS: Final = ("start", "env", "actions", "tasks", "defaults")
"""What a case says for itself, or its file for all of its cases."""
FILE_FIELDS: Final = (*SHARED_FIELDS, "cases")
CASE_FIELDS: Final = ("name", "note", *SHARED_FIELDS, "steps")
DEFAULT_FIELDS: Final = ("as", "from", "to", "context", "task", "approved", "proof", "request")
STEP_FIELDS: Final = (
    "note", "at", *DEFAULT_FIELDS, "mcp", "repeat", "every", "outcome", "expect", "expect_each",
)  # fmt: skip
REQUEST_FIELDS: Final = ("method", "host", "path", "headers", "body")
CALL_FIELDS: Final = ("method", "tool", "arguments")
DESTINATION_FIELDS: Final = ("principal", "service")
TASK_FIELDS: Final = ("template", "id", "issuer", "originator", "depth", "expires", "actions")
OUTCOME_FIELDS: Final = ("status", "bytes", "failed", "after")


class _NoVars(Vars):
    """A file of cases has no constants: `$(` is text there, as it is in a request that somebody forges."""

    def resolve(self, node: Node) -> Node:
        """The node as it stands."""
        return node


def case_scope(report: Report) -> Scope:
    """What the readers of one file of cases share."""
    return Scope(report, _NoVars({}, report))
