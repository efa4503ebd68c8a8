"""From the configuration to what verifies proofs of possession; keys of workload tokens are read again when they change."""

import logging
import time
from pathlib import Path
from typing import Final

from authz_server import assembly
from authz_server.config import Config
from authz_server.config.keys import TaskConfig
from authz_server.config.trust import Proofs, WorkloadTokens, host_of
from authz_server.content.json_strict import parse_json
from authz_server.errors import ConfigError, Fault
from authz_server.keyhash import KeyedHash
from authz_server.proving.checker import ProofChecker, ProofSettings
from authz_server.task.jwk import read_jwks
from authz_server.task.keypair import VerifyingKey
from authz_server.task.workload_proof import WitVerifier

LOG: Final = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]
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
        self._stamps = [_stamp(each.jwks) for each in domains]
        self._told = list(self._stamps)
        """The files of which it was told last that they are no key sets."""
        self._keys = {each.domain: _keys(each, number) for number, each in enumerate(domains)}
        self._verifier = WitVerifier(self._keys, keyed)
        self._looked = time.monotonic()

    def verifier(self) -> WitVerifier:
        """The verifier of the moment; of each domain the keys that were good last stay in use while its file is not."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return self._verifier
        self._looked = now
        stamps = [_stamp(each.jwks) for each in self._domains]
        if stamps != self._stamps:
            for number, stamp in enumerate(stamps):
                if stamp != self._stamps[number]:
                    self._renew(number, stamp)
            self._verifier = WitVerifier(self._keys, self._keyed)
        return self._verifier

    def _renew(self, number: int, stamp: _Stamp) -> None:
        """Read the keys of one domain; one that cannot be read is tried again, and keeps no other from being read."""
        domain = self._domains[number]
        try:
            keys = _keys(domain, number)
        except ConfigError as error:
            if stamp != self._told[number]:
                self._told[number] = stamp
                for fault in error.faults:
                    LOG.error("%s; the keys that were good last stay in use", fault)  # noqa: TRY400 - the text says it all
            return
        self._keys = {**self._keys, domain.domain: keys}
        self._stamps[number] = stamp


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def _keys(domain: WorkloadTokens, number: int) -> dict[str, VerifyingKey]:
    """The keys of one domain: those for workload tokens, or those of a set that knows no such uses.

    An empty set revokes all keys (SPIFFE Trust Domain and Bundle), also at the start: a domain that has revoked its keys
    must not keep replicas from starting that decide for all the others.

    Raises:
        ConfigError: it cannot be read, or holds no key among others.
    """
    path, setting = domain.jwks, f"{_SETTING}[{number}].jwks"
    data = assembly.read_file(path, setting)
    try:
        keys = read_jwks(data, "wit-svid") or read_jwks(data)
    except ValueError as error:
        raise ConfigError([Fault(str(path), 0, setting, str(error))]) from None
    if not keys and not _is_empty(data):
        raise ConfigError([Fault(str(path), 0, setting, "holds no key for workload identity tokens")])
    if not keys:
        LOG.warning("%s has revoked its keys for workload identity tokens", domain.domain)
    return keys


def _is_empty(data: bytes) -> bool:
    found = parse_json(data)  # a set that was read already
    return isinstance(found, dict) and found.get("keys") == []
