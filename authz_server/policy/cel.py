"""The Common Expression Language: typed environment, compilation, evaluation. The only home of the CEL library.

Source: the CEL language definition (github.com/google/cel-spec), as implemented by Google's C++ runtime. Dotted names such
as `principal.id` are declared as variables of their own, so that an unknown field is a load error, not a missing key.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cel.expr import checked_pb2, value_pb2
from cel_expr_python import cel

MAX_EXPRESSION_CHARS: Final = 4096
"""Longer conditions are programs; they belong in named facts. So many characters compile in about 10 ms."""
MAX_COMBINED_CHARS: Final = 8192
"""Of conditions that are compiled as one list: a step may have to wait for it, 20 ms at most. Thirty usual ones have 2 000."""
MAX_OPTIONAL_MACROS: Final = 4
"""`optMap` and `optFlatMap` in one expression: each doubles what stands before it in a chain, so twenty of them take ten seconds to
compile and a few more all memory."""
MAX_ARGUMENT_CHARS: Final = 8192
"""Of a text that an added function is given, as for a path; these run in Python, at 13 ns a character. A longer one is an
evaluation error."""

_CONFIG: Final = "name: authz\nstdlib: {}\nextensions:\n  - name: optional\n    version: latest\n"
_TOO_DEEP: Final = (
    "the expression nests too deeply, which chains of `+`, `.` and `[…]` do as well; name a part of it as a fact"
)
_DIAGNOSTIC: Final = re.compile(r"(?s).*?<input>:(\d+):(\d+): ([^\n]*).*")
_TYPES: Final[Mapping[str, Any]] = {
    "bool": cel.Type.BOOL,
    "int": cel.Type.INT,
    "string": cel.Type.STRING,
    "timestamp": cel.Type.TIMESTAMP,
    "dyn": cel.Type.DYN,
    "list<string>": cel.Type.List(cel.Type.STRING),
    "list<int>": cel.Type.List(cel.Type.INT),
    "map<string,string>": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
    "map<string,dyn>": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
}
_ERROR_TYPE: Final = cel.Type.ERROR


class EvaluationError:
    """The result of an expression that could not be evaluated: a value, because no step may end in an exception."""

    __slots__ = ()


EVALUATION_ERROR: Final = EvaluationError()


class CelSyntaxError(Exception):
    """An expression that does not compile.

    Attributes:
        message: what is wrong, without the place.
        column: from 1, or 0 when unknown.
        line: of the expression, from 1, or 0 when unknown.
    """

    def __init__(self, message: str, column: int = 0, line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.column = column
        self.line = line


class Expression:
    """A compiled, type-checked expression.

    Attributes:
        variables: the declared names that it reads, sorted.
        result_type: the CEL name of its type, such as `BOOL`.
    """

    __slots__ = ("_compiled", "_eval", "result_type", "text", "variables")

    def __init__(self, text: str, compiled: Any, variables: tuple[str, ...]) -> None:
        self.text = text
        self.variables = variables
        self.result_type: str = compiled.return_type().name()
        self._compiled = compiled
        self._eval = compiled.eval

    def evaluate(self, data: Mapping[str, Any]) -> Any:
        """Evaluate over the variables' values; plain Python values, or `EVALUATION_ERROR`."""
        try:
            result = self._eval(data=data)
        except RuntimeError:
            # More turns of macros than the library makes, or text that is not Unicode.
            return EVALUATION_ERROR
        if result.type() == _ERROR_TYPE:
            return EVALUATION_ERROR
        return result.plain_value()

    def checked(self) -> "checked_pb2.CheckedExpr":
        """The checked syntax tree, for the checks at load time."""
        return _checked_tree(self._compiled)


def _checked_tree(compiled: Any) -> "checked_pb2.CheckedExpr":
    # The library serialises a google.protobuf.Any; cel.expr.Value has a field of that type that unpacks it.
    holder = value_pb2.Value()
    holder.object_value.ParseFromString(compiled.serialize())
    tree = checked_pb2.CheckedExpr()
    holder.object_value.Unpack(tree)
    return tree


class Environment:
    """The declared variables of one policy, and the compiler for expressions over them."""

    __slots__ = ("_env", "names")

    def __init__(self, variables: Mapping[str, str], functions: Mapping[str, Callable[[str, str], bool]] = {}) -> None:
        """Declare the variables.

        Args:
            variables: dotted name to type: `bool`, `int`, `string`, `timestamp`, `dyn`, `list<string>`, `list<int>`,
                `map<string,string>` or `map<string,dyn>`.
            functions: added functions of two strings that return a bool, by name.
        """
        self.names = frozenset(variables)
        declared = [
            cel.FunctionDecl(
                name,
                [
                    cel.Overload(
                        f"{name}_string_string",
                        cel.Type.BOOL,
                        [cel.Type.STRING, cel.Type.STRING],
                        False,
                        _bounded(implementation),
                    )
                ],
            )
            for name, implementation in functions.items()
        ]
        self._env = cel.NewEnv(
            config=cel.NewEnvConfigFromYaml(_CONFIG),
            variables={name: _TYPES[kind] for name, kind in variables.items()},
            functions=declared,
        )

    def compile(self, text: str) -> Expression:
        """Compile and type-check one expression.

        Raises:
            CelSyntaxError: it is too long or too deep, has a syntax error, names something undeclared or its types do not agree.
        """
        if len(text) > MAX_EXPRESSION_CHARS:
            raise CelSyntaxError(f"the expression has {len(text)} characters, at most {MAX_EXPRESSION_CHARS} are read")
        # In a string or a comment they count as well: a bound that the parser cannot be talked out of.
        if text.count("optMap") + text.count("optFlatMap") > MAX_OPTIONAL_MACROS:
            raise CelSyntaxError(
                f"at most {MAX_OPTIONAL_MACROS} of `optMap` and `optFlatMap`, which double what stands before them; "
                "read a member by `.?name` or `[?key]` and `orValue`"
            )
        return self._compile(text)

    def _compile(self, text: str) -> Expression:
        try:
            compiled = self._env.compile(text)
        except RuntimeError as error:
            raise _syntax_error(str(error)) from None
        try:
            tree = _checked_tree(compiled)
        except Exception:  # noqa: BLE001 - protobuf's DecodeError for a tree deeper than it reads; the core does not import protobuf
            raise CelSyntaxError(_TOO_DEEP) from None
        used = {reference.name for reference in tree.reference_map.values()} & self.names
        return Expression(text, compiled, tuple(sorted(used)))

    def combine(self, expressions: Sequence[Expression]) -> Expression:
        """One expression that evaluates all of `expressions` to a list, in one call.

        If any of them errs the whole list does; the caller then evaluates them one by one.

        Raises:
            CelSyntaxError: they are too long together.
        """
        text = "[" + ", ".join(f"({expression.text}\n)" for expression in expressions) + "]"
        if len(text) > MAX_COMBINED_CHARS:
            raise CelSyntaxError(f"{len(text)} characters together, at most {MAX_COMBINED_CHARS} are compiled as one")
        return self._compile(text)


def _bounded(implementation: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    def call(first: str, second: str) -> bool:
        if len(first) > MAX_ARGUMENT_CHARS or len(second) > MAX_ARGUMENT_CHARS:
            raise ValueError("the text is too long")
        return implementation(first, second)

    return call


def _syntax_error(text: str) -> CelSyntaxError:
    found = _DIAGNOSTIC.fullmatch(text)
    if found is None:
        return CelSyntaxError(_TOO_DEEP if "recursion" in text else "the expression does not compile")
    # The parser lists all that it would have taken instead, which helps nobody.
    message = found[3].replace(" (in container '')", "").partition(" expecting {")[0]
    return CelSyntaxError(message, int(found[2]), int(found[1]))


def undeclared_name(message: str) -> str:
    """The name that a compile error calls undeclared, or `""`."""
    found = re.fullmatch(r"undeclared reference to '([^']*)'.*", message)
    return found[1] if found else ""
