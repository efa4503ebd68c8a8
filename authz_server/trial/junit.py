"""Results of cases as JUnit XML, the form that continuous integration reads (schema of the Jenkins xUnit plugin)."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Final

from authz_server.trial.case_report import describe_failure
from authz_server.trial.case_run import CaseResult

_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document may hold, not even escaped (XML 1.0, 2.2)."""


def encode_junit(results: Sequence[CaseResult]) -> str:
    """The document: a suite for each file, a test for each case; times are left out, because a virtual clock has none."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', f"<testsuites {_counts(results)}>"]
    for file, group in groupby(results, key=lambda result: result.case.file):
        lines += _suite(file, list(group))
    return "\n".join([*lines, "</testsuites>", ""])


def _suite(file: str, results: Sequence[CaseResult]) -> list[str]:
    lines = [f"  <testsuite name={_quoted(file)} {_counts(results)}>"]
    for result in results:
        case = result.case
        start = f"    <testcase classname={_quoted(file)} name={_quoted(case.name)}"
        start += f' file={_quoted(file)} line="{case.where.line}" assertions="{len(case.steps)}"'
        if not result.failures:
            lines.append(f"{start}/>")
            continue
        lines.append(f"{start}>")
        for failure in result.failures:
            text = "\n".join(describe_failure(failure))
            fields = ", ".join(mismatch.field for mismatch in failure.mismatches)
            message = _quoted(f"step {failure.step.number}: {fields}")
            lines.append(f'      <failure type="mismatch" message={message}>{_clean(text)}</failure>')
        lines.append("    </testcase>")
    return [*lines, "  </testsuite>"]


def _counts(results: Iterable[CaseResult]) -> str:
    failed = [bool(result.failures) for result in results]
    return f'tests="{len(failed)}" failures="{sum(failed)}" errors="0" skipped="0"'


def _quoted(text: str) -> str:
    """An attribute's value; line ends as references, which a parser would else make blanks of."""
    return '"' + _clean(text).replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;") + '"'


def _clean(text: str) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", text))
