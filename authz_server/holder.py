"""The snapshot in force, and how a new one gets there: compiled aside, rehearsed, warmed, and swapped as a whole."""

import gc
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from authz_server.errors import Fault, PolicyError
from authz_server.keyhash import KeyedHash
from authz_server.policy.compiler import compile_policy
from authz_server.policy.sections import team_of
from authz_server.policy.snapshot import Snapshot
from authz_server.rehearsal import rehearse

ENVIRONMENT_FOLDER: Final = "env/"
"""Before the name of the environment file among a policy's files; a policy's own folder of that name is not read."""
SWITCH_S: Final = 0.0005
"""How long a thread keeps the interpreter while a policy is compiled: a tenth of the usual, and decisions wait half as long."""


class PolicyHolder:
    """The snapshot in force: read by every batch, replaced as a whole.

    Attributes:
        current: the snapshot; there is none before the first `publish`.
        held_back: by team the faults for which its folder is not in force as it is on disk.
        warnings: about the snapshot that was compiled last.
        refuses: nothing is decided by it any more: it is older than it may be.
    """

    current: Snapshot

    def __init__(self, keyed: KeyedHash, shared_sources: Sequence[str], clock: Callable[[], float]) -> None:
        """Start without a policy.

        Args:
            keyed: decides which principals a rule with `enforce: N%` takes.
            shared_sources: CIDRs of places that many callers share.
            clock: Unix time in seconds.
        """
        self._keyed = keyed
        self._shared_sources = shared_sources
        self._clock = clock
        self._good: dict[str, Mapping[str, bytes]] = {}
        """By team the files that were in force last."""
        self.held_back: dict[str, tuple[Fault, ...]] = {}
        self.warnings: tuple[Fault, ...] = ()
        self.refuses = False

    def compile(self, files: Mapping[str, bytes]) -> Snapshot:
        """Compile aside, rehearsed and warmed with what the snapshot in force was asked for.

        A faulty team's folder stays as it was when it was last good. It is left out if it never was, or does not fit the
        platform's files any more: its actions are then denied. A fault of the platform's own files refuses everything.

        Args:
            files: content by name, the environment's file under `env/`.

        Raises:
            PolicyError: with every fault.
        """
        with _aside():
            snapshot = self._compile_sound(files)
            if hasattr(self, "current"):
                snapshot.warm_like(self.current)
            # Without the cycles of its files a policy is freed as soon as the next one is in force.
            snapshot.let_go()
        return snapshot

    def _compile_sound(self, files: Mapping[str, bytes]) -> Snapshot:
        """Compile, with what was last good of the teams whose folders are faulty."""
        held: dict[str, tuple[Fault, ...]] = {}
        outdated: set[str] = set()
        while True:
            try:
                snapshot = self._compile(self._with_good(files, held, outdated))
                break
            except PolicyError as error:
                broken = _by_team(error.faults)
                # A fault that remains although its folder was left out is not the folder's.
                if not broken or "" in broken or not broken.keys().isdisjoint(outdated):
                    raise PolicyError(
                        [*error.faults, *(fault for faults in held.values() for fault in faults)]
                    ) from None
                outdated |= broken.keys() & held.keys()
                for team, faults in broken.items():
                    held[team] = (*held.get(team, ()), *faults)
        self.held_back = held
        self._remember(files)
        return snapshot

    def _compile(self, files: Mapping[str, bytes]) -> Snapshot:
        policy = {name: content for name, content in files.items() if not name.startswith(ENVIRONMENT_FOLDER)}
        environment = next(((name, files[name]) for name in files if name not in policy), None)
        snapshot = compile_policy(policy, self._keyed, self._shared_sources, environment)
        now = self._clock()
        self.warnings = (*snapshot.warnings, *rehearse(snapshot, now))
        return snapshot._replace(loaded_at=now)

    def _with_good(
        self, files: Mapping[str, bytes], held: Mapping[str, object], outdated: Collection[str]
    ) -> Mapping[str, bytes]:
        if not held:
            return files
        kept = {name: content for name, content in files.items() if team_of(name) not in held}
        for team in held.keys() - outdated:
            kept.update(self._good.get(team, {}))
        return kept

    def _remember(self, files: Mapping[str, bytes]) -> None:
        teams = {team_of(name) for name in files} - {""} - self.held_back.keys()
        good = {team: content for team, content in self._good.items() if team in self.held_back}
        good.update(
            (team, {name: content for name, content in files.items() if team_of(name) == team}) for team in teams
        )
        self._good = good

    def judge(self, *, stale: bool) -> None:
        """Stop deciding by a policy that is older than it may be, if it says so itself; go on when it no longer is."""
        self.refuses = stale and self.current.text.defaults.when_stale == "deny"

    def publish(self, snapshot: Snapshot) -> None:
        """Decide by this snapshot from the next batch on."""
        self.current = snapshot
        # A full collection would look through the whole policy, for a quarter of a second if it is large. What was put
        # aside with the snapshot before this one is looked at again.
        gc.unfreeze()
        gc.freeze()


@contextmanager
def _aside() -> Iterator[None]:
    """Keep decisions going while a policy is compiled beside them.

    Hundreds of thousands of objects are made and all of them stay: looking through them again and again would cost as much
    as compiling, and stop decisions meanwhile. And a decision, which takes the interpreter several times, would wait 5 ms for
    it each time.
    """
    gc.collect()  # what was refused before; quick, for the policy in force is put aside
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        sys.setswitchinterval(interval)


def _by_team(faults: Sequence[Fault]) -> dict[str, tuple[Fault, ...]]:
    found: dict[str, tuple[Fault, ...]] = {}
    for fault in faults:
        team = team_of(fault.file)
        found[team] = (*found.get(team, ()), fault)
    return found
