"""The files that are looked at all the time, and what is said of them: policies with their environment, trust bundles."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from authz_server import assembly, outcomes_door
from authz_server.config import Config
from authz_server.errors import Fault, PolicyError
from authz_server.holder import PolicyHolder
from authz_server.identity.svid import SvidVerifier
from authz_server.notices import tell_policy
from authz_server.policy.snapshot import Snapshot
from authz_server.sources.files import read_file
from authz_server.sources.reload import Reloader, ReloadOutcome

LOG: Final = logging.getLogger(__name__)


class Reloads:
    """Reads the policy at once, and everything again when it changes.

    Args:
        config: the configuration.
        policy: takes each policy that is good.
        trust: takes each verifier.

    Attributes:
        policy_files: looks at policies and their environment.
        bundle_files: looks at trust bundles.

    Raises:
        PolicyError: there is no valid policy to start with.
    """

    def __init__(self, config: Config, policy: PolicyHolder, trust: Callable[[SvidVerifier | None], None]) -> None:
        self._config = config
        self._policy = policy
        self._started = False
        self._bundles = [
            path for domain in config.trust.domains for path in (domain.bundle, domain.intermediates) if path
        ]
        self.bundle_files: Reloader[SvidVerifier | None] = Reloader(
            self._bundles,
            lambda: {str(path): read_file(path) for path in self._bundles},
            lambda _: assembly.build_verifier(config),
            trust,
            partial(self._reloaded, "bundles"),
            clock=assembly.clock,
            name="bundles",
        )
        self.policy_files: Reloader[Snapshot] = Reloader(
            [path for path in (config.policies, config.environment) if path is not None],
            lambda: assembly.read_policy(config),
            policy.compile,
            policy.publish,
            self._policy_reloaded,
            clock=assembly.clock,
            name="policy",
        )
        first = self.policy_files.load_now()
        if not first.ok:
            raise PolicyError(
                first.faults or [Fault(str(config.policies), 0, "", f"cannot be compiled: {first.error}")]
            )

    def start(self) -> list[Callable[[], None]]:
        """Begin to look; what is given stops it."""
        watched: list[Reloader[Any]] = [self.policy_files, self.bundle_files] if self._bundles else [self.policy_files]
        for reloader in watched:
            reloader.start()
        self._started = True
        return [reloader.stop for reloader in watched]

    def _policy_reloaded(self, outcome: ReloadOutcome) -> None:
        # The digest of the compiled policy, which records, metadata and readiness show, and not that of its files.
        self._reloaded("policy", outcome._replace(digest=self._policy.current.digest) if outcome.ok else outcome)
        if outcome.ok and not outcome.unchanged:
            tell_policy(self._policy)
            outcomes_door.tell_outcomes(self._config, self._policy.current)

    def _reloaded(self, what: str, outcome: ReloadOutcome) -> None:
        if not self._started:  # a faulty first policy is an error of the start, told by whoever starts
            return
        if outcome.ok:
            if not outcome.unchanged:
                LOG.info("%s loaded: digest %s", what, outcome.digest[:16])
            return
        for fault in outcome.faults:
            LOG.error("%s", fault)
        count = len(outcome.faults)
        why = f"{count} fault{'s' if count > 1 else ''}" if count else outcome.error
        LOG.error("%s reload refused (%s); the last good one stays in force", what, why)
