"""The shape of the code: small files, small functions, tests beside what they test."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "authz_server"
MAX_FILE = 250
MAX_FUNCTION = 40


def sources():
    return sorted(PACKAGE.rglob("*.py"))


def test_files_are_small():
    """A file above 250 lines splits by noun."""
    long = {
        str(path.relative_to(ROOT)): count
        for path in sources()
        if (count := len(path.read_text().splitlines())) > MAX_FILE
    }
    assert long == {}


def test_functions_are_small():
    """A function's body, without its docstring, has at most 40 lines."""
    long = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                lines = (body[-1].end_lineno - body[0].lineno + 1) if body else 0
                if lines > MAX_FUNCTION:
                    long[f"{path.relative_to(ROOT)}:{node.name}"] = lines
    assert long == {}
