"""What an operator is told in the log about a configuration and a policy that come into force."""

import logging
from typing import Final

from authz_server.config import Config
from authz_server.holder import PolicyHolder

LOG: Final = logging.getLogger(__name__)


def tell_policy(policy: PolicyHolder) -> None:
    """Tell the operator about a policy that has just come into force."""
    for team, faults in policy.held_back.items():
        for fault in faults:
            LOG.error("%s", fault)
        LOG.error(
            "the folder of team %s is faulty: what was last good of it stays in force, and nothing if none was", team
        )
    for warning in policy.warnings:
        LOG.warning("%s", warning)
    if policy.current.shadow:
        LOG.warning("mode: shadow: decisions are recorded, and everything but a contained caller is allowed")


def tell_configuration(config: Config) -> None:
    """Say loudly what this configuration does not check."""
    if not config.trust.domains:
        LOG.warning(
            "trust.domains is not set: source.principal is believed as Envoy sends it, certificates are not validated"
        )
    for listen in config.listen:
        if listen.insecure_plaintext:
            LOG.warning("%s is open to everybody who reaches it (insecure_plaintext)", listen.address)
    if config.state == "memory" and config.replicas > 1:
        LOG.warning("state: memory is not shared: %d replicas each count for themselves", config.replicas)
    if not config.audit.file:
        LOG.warning("audit.file is not set: decisions leave no record")
