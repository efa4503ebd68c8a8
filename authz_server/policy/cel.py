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
"""Longer conditions are programs; they belong in named facts."""

_CONFIG: Final = "name: authz\nstdlib: {}\nextensions:\n  - name: optional\n    version: latest\n"
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
        column: from 1, or 0 when unknown.
    """

    def __init__(self, message: str, column: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


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
        result = self._eval(data=data)
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
                        implementation,
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
            CelSyntaxError: it is too long, has a syntax error, names something undeclared or its types do not agree.
        """
        if len(text) > MAX_EXPRESSION_CHARS:
            raise CelSyntaxError(f"the expression has {len(text)} characters, at most {MAX_EXPRESSION_CHARS} are read")
        return self._compile(text)

    def _compile(self, text: str) -> Expression:
        try:
            compiled = self._env.compile(text)
        except RuntimeError as error:
            raise _syntax_error(str(error)) from None
        tree = _checked_tree(compiled)
        used = {reference.name for reference in tree.reference_map.values()} & self.names
        return Expression(text, compiled, tuple(sorted(used)))

    def combine(self, expressions: Sequence[Expression]) -> Expression:
        """One expression that evaluates all of `expressions` to a list, in one call.

        If any of them errs the whole list does; the caller then evaluates them one by one.
        """
        return self._compile("[" + ", ".join(f"({expression.text}\n)" for expression in expressions) + "]")


def _syntax_error(text: str) -> CelSyntaxError:
    found = _DIAGNOSTIC.fullmatch(text)
    if found is None:
        return CelSyntaxError("the expression does not compile")
    return CelSyntaxError(found[3].replace(" (in container '')", ""), int(found[2]))


def undeclared_name(message: str) -> str:
    """The name that a compile error calls undeclared, or `""`."""
    found = re.fullmatch(r"undeclared reference to '([^']*)'.*", message)
    return found[1] if found else ""
