"""What the code itself says: the codes that it raises, returns and writes, read out of its syntax trees."""

import ast
import re

from tests.manual.markdown import PACKAGE


def trees(*places):
    """The file's name and each node, of files and folders of the package."""
    for place in places:
        found = sorted((PACKAGE / place).rglob("*.py")) if (PACKAGE / place).is_dir() else [PACKAGE / place]
        yield from ((file.name, node) for file in found for node in ast.walk(ast.parse(file.read_text())))


def texts(node):
    """The texts that an expression can be, and the source of what is no literal behind a `=`."""
    if isinstance(node, ast.IfExp):
        return texts(node.body) | texts(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) else {f"={ast.unparse(node)}"}


def given(name, *places, at=0):
    """What is given to a constructor at a place: literals, and (file, source) of the others."""
    literal, indirect = set(), set()
    for file, node in trees(*places):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == name and len(node.args) > at:
            for text in texts(node.args[at]):
                indirect.add((file, text[1:])) if str(text).startswith("=") else literal.add(text)
    return literal, indirect


def returned(*places):
    """The codes that functions return as texts."""
    found = set()
    for _, node in trees(*places):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant | ast.IfExp):
            found |= {text for text in texts(node.value) if isinstance(text, str) and not text.startswith("=")}
    return {text for text in found if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", text)}


def keywords(name, *places):
    """The literals that are given, or are the default, for a keyword."""
    found = set()
    for _, node in trees(*places):
        if isinstance(node, ast.keyword) and node.arg == name:
            found |= texts(node.value)
        if isinstance(node, ast.FunctionDef):
            named = [argument.arg for argument in node.args.args][-len(node.args.defaults) :]
            for argument, default in zip(named, node.args.defaults, strict=False):
                if argument == name:
                    found |= texts(default)
    return {text for text in found if not str(text).startswith("=")}
