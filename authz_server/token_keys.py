"""From the configuration to the keys of tokens, read again when their files change."""

import logging
import time
from pathlib import Path
from typing import Final

from authz_server import assembly
from authz_server.config import Config
from authz_server.config.keys import TaskConfig
from authz_server.errors import ConfigError, Fault
from authz_server.keyhash import KeyedHash
from authz_server.task.keys import KeyFile, SigningKeys, read_signing_keys
from authz_server.taskbook.keys import TokenKeys, derived_signing_keys
from authz_server.taskbook.tokens import TokenSettings

LOG: Final = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""How often the directory of keys is looked at, when somebody asks for a key."""


def token_settings(config: Config) -> TokenSettings:
    """Whose tokens they are."""
    tasks = config.tasks or TaskConfig()
    audience = tasks.audience or (config.trust.domains[0].name if config.trust.domains else "")
    return TokenSettings(tasks.issuer or f"https://authz.{audience}", audience, tasks.token_life)


def build_token_keys(config: Config, keyed: KeyedHash) -> TokenKeys | None:
    """The keys of the role; None where tokens could be for nobody.

    Raises:
        ConfigError: they cannot be read, or tasks are configured and tokens could be for nobody.
    """
    settings = token_settings(config)
    if not settings.audience:
        if config.tasks is not None:
            fault = "name the trust domain that task tokens are for, or configure one in trust.domains"
            raise ConfigError([Fault("configuration", 0, "tasks.audience", fault)])
        return None
    if config.role == "data":
        return TokenKeys(settings, keyed, None, assembly.clock)
    folder = config.secrets.signing_keys
    if folder is None:
        derived = derived_signing_keys(keyed)
        return TokenKeys(settings, keyed, lambda: derived, assembly.clock)
    watched = _Watched(folder)
    return TokenKeys(settings, keyed, watched.keys, assembly.clock)


class _Watched:
    """The signing keys of a directory, read again when a file comes, goes or changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp, self._keys = self._read()
        self._looked = time.monotonic()

    def keys(self) -> SigningKeys:
        now = time.monotonic()
        if now - self._looked >= LOOK_S:
            self._looked = now
            try:
                if self._stamps() != self._stamp:
                    self._stamp, self._keys = self._read()
            except (ConfigError, OSError):
                LOG.error("secrets.signing_keys cannot be read; the keys that were good last stay in use")  # noqa: TRY400 - the text says it all
        return self._keys

    def _stamps(self) -> dict[str, tuple[int, int]]:
        found = {path: path.stat() for path in sorted(self._folder.glob("*.pem"))}
        return {path.name: (stat.st_mtime_ns, stat.st_ino) for path, stat in found.items()}

    def _read(self) -> tuple[dict[str, tuple[int, int]], SigningKeys]:
        stamp = self._stamps()
        files = [
            KeyFile(name, assembly.read_file(self._folder / name, "secrets.signing_keys"), at / 1e9)
            for name, (at, _) in stamp.items()
        ]
        return stamp, read_signing_keys(files)
