"""What the expressions of one owner may speak about: every variable with its type, how it is read, and the signal it needs.

The platform and each team have a vocabulary of their own, because a team's `signals.x` is its own signal, and the platform's
only where it has none of that name.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from authz_server.policy.cel import Environment
from authz_server.policy.entries import Fed, PolicyText, SignalEntry, SignalWord
from authz_server.policy.facts import FACTS, OUTCOME_FACTS, WITHIN_BUDGET, declared_types, type_of
from authz_server.policy.places import under
from authz_server.policy.step import Capture, FlagReading, Reader, SignalReading

_FLAGS: Final = ("has", "by_other")
_FUNCTIONS: Final = {"under": under}


def parts_of(entry: SignalEntry) -> tuple[str, ...]:
    """What a signal gives beside its reading: the words behind `signals.<name>.`."""
    if entry.word is SignalWord.MARK:
        return ("by_other", "age")
    if entry.word is SignalWord.FIRST_SEEN:
        return ("age",)
    return ("has", "age") if entry.word is SignalWord.DISTINCT and entry.fed is not Fed.STEPS else ()


class Vocabulary:
    """The variables of one owner.

    Attributes:
        environment: compiles expressions over them.
        readers: how each is read.
        constants: `vars.*` by their whole names.
    """

    def __init__(
        self,
        text: PolicyText,
        captures: Iterable[str],
        facts: Mapping[str, tuple[str, Reader]],
        team: str = "",
    ) -> None:
        """Declare everything.

        Args:
            text: the policy.
            captures: names of path captures.
            facts: type and reader of the named facts that are compiled already.
            team: the owner; `""` is the platform.
        """
        captures = tuple(captures)
        # CEL takes no tuples.
        self.constants: dict[str, Any] = {
            f"vars.{name}": list(value) if isinstance(value, tuple) else value for name, value in text.vars.items()
        }
        self.readers: dict[str, Reader] = {name: reader for name, (_, reader) in FACTS.items()}
        self.readers.update((f"path.{name}", Capture(name)) for name in captures)
        self.readers.update((f"facts.{name}", reader) for name, (_, reader) in facts.items())
        self._signals: dict[str, str] = {WITHIN_BUDGET: WITHIN_BUDGET}
        signals: dict[str, str] = {}
        for name, entry in visible(text.signals, team).items():
            signals[name] = "int"
            self._add(f"signals.{name}", entry.name, SignalReading(entry.name))
            for part in parts_of(entry):
                whole = f"{entry.name}.{part}"
                signals[f"{name}.{part}"] = "bool" if part in _FLAGS else "int"
                reader = FlagReading(whole) if part in _FLAGS else SignalReading(whole)
                self._add(f"signals.{name}.{part}", entry.name, reader)
        types = declared_types(captures, signals, text.vars, {name: kind for name, (kind, _) in facts.items()})
        for number, caller in enumerate(text.legacy):
            types[rate_variable(number)] = "int"
            self._add(rate_variable(number), rate_signal(caller.name), SignalReading(rate_signal(caller.name)))
        self.environment = Environment(types, _FUNCTIONS)

    def _add(self, variable: str, signal: str, reader: Reader) -> None:
        self._signals[variable] = signal
        self.readers[variable] = reader

    def signal_of(self, variable: str) -> str:
        """The full name of the signal that a variable needs, or `""`."""
        return self._signals.get(variable, "")


def visible(signals: Iterable[SignalEntry], team: str) -> dict[str, SignalEntry]:
    """The signals that an owner can read, by the names that it uses: its own hide the platform's."""
    entries = tuple(signals)
    found = {entry.name: entry for entry in entries if not entry.team}
    found.update((entry.name.removeprefix(f"{team}/"), entry) for entry in entries if team and entry.team == team)
    return found


def rate_signal(caller: str) -> str:
    """The name of the hidden signal that counts a legacy caller's steps."""
    return f"legacy:{caller}"


def rate_variable(number: int) -> str:
    """The variable under which its rule reads it; the place among the entries, as names may be any text."""
    return f"rates.r{number}"


def outcome_environment(variables: Mapping[str, Any]) -> tuple[Environment, dict[str, Any]]:
    """What the filter of a signal reads that outcomes feed: the environment, and its readers over an `Outcome`."""
    types = {name: kind for name, (kind, _) in OUTCOME_FACTS.items()}
    types.update((f"vars.{name}", type_of(value)) for name, value in variables.items())
    return Environment(types, {}), {name: reader for name, (_, reader) in OUTCOME_FACTS.items()}
