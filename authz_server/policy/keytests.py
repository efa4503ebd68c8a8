"""What candidate rules are looked up by, and the tests over it that a step match is made of.

Each test shows what it looks for, so that an index can find the entries of a key without asking every test.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from authz_server.model import Action
from authz_server.policy.names import may_mean
from authz_server.policy.patterns import Globs, compile_globs
from authz_server.policy.step import ANONYMOUS, LEGACY, Step
from authz_server.spiffe import SCHEME, compile_spiffe_pattern


class Key(NamedTuple):
    """What candidate rules are looked up by: all that static tests may depend on."""

    action: Action
    principal: str
    """The SPIFFE ID, `legacy:<name>`, or `""` for anonymous."""
    service: str
    """The destination's name."""
    template: str = ""
    """The task's template, or `""`."""


StaticTest = Callable[[Key], bool]


def key_of(step: Step) -> Key:
    """The candidate key of a step."""
    principal, task = step.principal, step.task
    return Key(
        step.action,
        principal.id if principal is not None else "",
        step.service,
        task.template if task is not None else "",
    )


class ActionTest:
    """Whether a step's action is among those that patterns mean.

    Attributes:
        known: every name that the catalogue knows at load, and `unclassified`.
        names: those of them that are meant, and all that are spelt out.
        spells: whether no pattern has a `*`.
    """

    __slots__ = ("_globs", "_surely", "known", "names", "spells")

    def __init__(self, globs: Globs, meant: frozenset[str], known: frozenset[str], *, surely: bool) -> None:
        """Take the patterns, the known names that they mean, and all known names.

        Args:
            globs: the patterns.
            meant: the known names among those that they mean.
            known: all known names.
            surely: whether a name that stands for several tools is meant only if all of them are.
        """
        self.known = known
        self.names = meant | globs.literals
        self.spells = not globs.globs
        self._globs = globs
        self._surely = surely

    def __call__(self, key: Key) -> bool:
        """Tell whether the key's action is meant."""
        name = key.action.name
        if name in self.names:
            return True
        # A name that the catalogue makes of a tool's is not among the known ones.
        return name not in self.known and (self._globs.matches(name) if self._surely else may_mean(self._globs, name))


_NOBODY: Final = compile_globs(())


class PrincipalTest:
    """Whether a step's caller is among those that patterns select.

    Attributes:
        anonymous: whether steps without an identity are.
        legacy: patterns of legacy callers.
        exact: the IDs that are spelt out.
        wild: patterns of IDs with a wildcard.
    """

    __slots__ = ("anonymous", "exact", "legacy", "wild")

    def __init__(self, patterns: Sequence[str]) -> None:
        """Compile the patterns of `match.principal`.

        Raises:
            ValueError: one is malformed.
        """
        self.anonymous = ANONYMOUS in patterns
        legacy = [pattern for pattern in patterns if pattern.startswith(LEGACY)]
        self.legacy = compile_globs(legacy) if legacy else _NOBODY
        workloads = [compile_spiffe_pattern(pattern) for pattern in patterns if pattern.startswith(SCHEME)]
        self.exact = frozenset([pattern.text for pattern in workloads if pattern.exact])
        self.wild = tuple([pattern for pattern in workloads if not pattern.exact])

    def __call__(self, key: Key) -> bool:
        """Tell whether the key's principal is selected."""
        name = key.principal
        if not name:
            return self.anonymous
        if name.startswith(LEGACY):
            return self.legacy.matches(name)
        return name in self.exact or any(pattern.matches(name) for pattern in self.wild)


class ServiceTest:
    """Whether a step's destination is among those that patterns name."""

    __slots__ = ("globs",)

    def __init__(self, globs: Globs) -> None:
        self.globs = globs

    def __call__(self, key: Key) -> bool:
        """Tell whether the key's destination is named."""
        return self.globs.matches(key.service)


class TemplateTest:
    """Whether a step is made under a task of certain templates; one without a task never is."""

    __slots__ = ("globs",)

    def __init__(self, globs: Globs) -> None:
        self.globs = globs

    def __call__(self, key: Key) -> bool:
        """Tell whether the key's template is named."""
        return self.globs.matches(key.template)
