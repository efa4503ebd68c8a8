"""From the configuration to what verifies proofs of possession; keys of workload tokens are read again when they change."""

import logging
import time
from pathlib import Path
from typing import Final

from authz_server import assembly
from authz_server.config import Config
from authz_server.config.keys import TaskConfig
from authz_server.config.trust import Proofs, WorkloadTokens, host_of
from authz_server.errors import ConfigError, Fault
from authz_server.keyhash import KeyedHash
from authz_server.proving.checker import ProofChecker, ProofSettings
from authz_server.task.jwk import read_jwks
from authz_server.task.keypair import VerifyingKey
from authz_server.task.workload_proof import WitVerifier

LOG: Final = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""How often the files are looked at, when somebody shows a token."""
_SETTING: Final = "trust.workload_tokens"


def build_proofs(config: Config, keyed: KeyedHash) -> ProofChecker | None:
    """What verifies proofs; None where none are looked at.

    Raises:
        ConfigError: a key set cannot be read.
    """
    trust = config.trust
    if trust.proofs is None and not trust.workload_tokens:
        return None
    proofs = trust.proofs or Proofs(dpop=False)
    settings = ProofSettings(
        keyed,
        dpop=proofs.dpop,
        workloads=WatchedKeys(trust.workload_tokens, keyed).verifier if trust.workload_tokens else None,
        origins={host_of(origin): origin for origin in proofs.origins},
        txn_header=(config.tasks or TaskConfig()).header,
        token_headers=tuple(each.header for each in config.credential_sources if each.header != "authorization"),
    )
    return ProofChecker(settings)


class WatchedKeys:
    """The keys of workload identity tokens. Threads share it.

    Args:
        domains: with their files.
        keyed: remembers tokens that were verified.

    Raises:
        ConfigError: a key set cannot be read.
    """

    def __init__(self, domains: tuple[WorkloadTokens, ...], keyed: KeyedHash) -> None:
        self._domains = domains
        self._keyed = keyed
        self._stamps = self._look()
        self._verifier = self._read()
        self._looked = time.monotonic()

    def verifier(self) -> WitVerifier:
        """The verifier of the moment; keys that were good last stay in use while the files are not."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return self._verifier
        self._looked = now
        stamps = self._look()
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                self._verifier = self._read()
            except ConfigError as error:
                for fault in error.faults:
                    LOG.error("%s; the keys that were good last stay in use", fault)  # noqa: TRY400 - the text says it all
        return self._verifier

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(map(_stamp, (each.jwks for each in self._domains)))

    def _read(self) -> WitVerifier:
        return WitVerifier(
            {each.domain: _keys(each.jwks, number) for number, each in enumerate(self._domains)}, self._keyed
        )


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def _keys(path: Path, number: int) -> dict[str, VerifyingKey]:
    """The keys of one domain: those for workload tokens, or those of a set that knows no such uses."""
    setting = f"{_SETTING}[{number}].jwks"
    data = assembly.read_file(path, setting)
    try:
        keys = read_jwks(data, "wit-svid") or read_jwks(data)
    except ValueError as error:
        raise ConfigError([Fault(str(path), 0, setting, str(error))]) from None
    if not keys:
        raise ConfigError([Fault(str(path), 0, setting, "holds no key for workload identity tokens")])
    return keys
