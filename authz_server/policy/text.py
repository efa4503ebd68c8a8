"""YAML text to a positioned tree: the small, unsurprising part of YAML 1.2 (core schema, chapter 10.3) and nothing else.

Only `true`, `false`, `null`, an absent value and decimal integers are not text. What makes YAML surprising is refused
with its place: duplicate keys, anchors, aliases, tags, merge keys, directives, several documents, keys that are not text,
control and direction-changing characters (CVE-2021-42574). The parser's events are read, not its objects, so nothing is
ever constructed from a tag and nothing grows beyond the text that was given.
"""

from typing import Final

import yaml

from authz_server.errors import Fault
from authz_server.policy.tree import Table, Where, shown
from authz_server.policy.tree_builder import CLEAN, AbandonedError, TreeBuilder

MAX_FILE_BYTES: Final = 8 << 20
"""A ConfigMap holds 1 MiB; 40 000 rules in one file need 5."""
MAX_BAD_LINES: Final = 20
"""Lines with forbidden characters that are listed; a binary file would have thousands."""
_INDICATORS: Final = frozenset("{}[]*&!%@`|>?#,")


def read_text(file: str, data: bytes, faults: list[Fault]) -> Table | None:
    """Read one file.

    Args:
        file: its name, for the messages.
        data: its content.
        faults: receives what is wrong; all of it as far as the parser gets.

    Returns:
        The root mapping with what could be read, empty for an empty file; None when there is nothing to read on with.
    """
    root = Where(0, file)
    if len(data) > MAX_FILE_BYTES:
        faults.append(root.fault(f"the file is larger than {MAX_FILE_BYTES} bytes"))
        return None
    try:
        text = data.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.append(Fault(file, line, "", "the file is not UTF-8"))
        return None
    dirty = [number for number, line in enumerate(text.split("\n"), 1) if CLEAN.fullmatch(line) is None]
    if dirty:
        message = "control characters and characters that change the direction of text are not allowed"
        faults.extend(Fault(file, number, "", message) for number in dirty[:MAX_BAD_LINES])
        return None
    builder = TreeBuilder(file, faults)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            builder.take(event)
    except AbandonedError:
        return None
    except yaml.MarkedYAMLError as error:
        faults.append(_syntax_fault(file, text, error))
        return None
    except yaml.YAMLError as error:
        faults.append(root.fault(f"the file is not YAML: {shown(str(error))}"))
        return None
    return builder.root()


def _syntax_fault(file: str, text: str, error: yaml.MarkedYAMLError) -> Fault:
    """The parser's complaint with a hint, because most of them are a value that needs quotes."""
    mark = error.problem_mark
    if error.context_mark is not None and error.context in {"while scanning an alias", "while scanning an anchor"}:
        mark = error.context_mark
    if mark is None:
        return Fault(file, 0, "", f"the file is not YAML: {error.problem}")
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    return Fault(file, mark.line + 1, "", f"the file is not YAML: {error.problem}{_hint(line, mark.column)}")


def _hint(line: str, column: int) -> str:
    char = line[column : column + 1]
    before = line[:column].rstrip()[-1:]
    if char in _INDICATORS and char:
        return f"; text with a `{char}` needs quotes: quote it"
    if char == ":":
        return "; text with a `: ` inside needs quotes: quote it"
    if char == "\t":
        return "; indent with spaces"
    if before in {"}", "]", '"', "'"} and before:
        return f"; text that goes on behind a `{before}` needs quotes around all of it: quote it"
    return ""
