"""From `control` to the listeners for operators and what is served there."""

from collections.abc import Callable, Sequence
from pathlib import Path

from authz_server.config import Config, Listen
from authz_server.containment.desk import Desk
from authz_server.control.containment_service import ContainmentPorts, containment_service
from authz_server.control.control_listener import ControlListener
from authz_server.control.operators import Operators
from authz_server.control.service import Service
from authz_server.doorway import build_door
from authz_server.errors import ConfigError, Fault
from authz_server.identity.svid import SvidVerifier
from authz_server.listeners.doors import UNIX


def check_addresses(config: Config) -> None:
    """Refuse a control socket beside one for proxies: who may open the directory of the one could open the other.

    Raises:
        ConfigError: there is such a one.
    """
    others = [*config.listen, *(config.access_logs.listen if config.access_logs is not None else ())]
    taken = {_folder(listen) for listen in others} - {None}
    faults = [
        Fault(
            "configuration",
            0,
            f"{name}.listen[{number}]",
            "a proxy may open the directory of its own socket; put this one into a directory of its own",
        )
        for name, section in (("control", config.control), ("web", config.web))
        for number, listen in enumerate(section.listen if section is not None else ())
        if _folder(listen) in taken
    ]
    if faults:
        raise ConfigError(faults)


def _folder(listen: Listen) -> Path | None:
    return Path(listen.address.removeprefix(UNIX)).parent if listen.address.startswith(UNIX) else None


def build_control(
    config: Config,
    desk: Desk | None,
    operators: Operators,
    verifier: Callable[[], SvidVerifier | None],
    services: Sequence[Service] = (),
) -> list[ControlListener]:
    """Build the listeners for operators; none in the data role and where none are configured.

    Args:
        config: the configuration.
        desk: where operators contain and release.
        operators: who they are.
        verifier: of the moment.
        services: what is served beside containment.

    Raises:
        ConfigError: an address cannot be used.
    """
    if config.control is None or config.role == "data" or desk is None:
        return []
    served = [containment_service(ContainmentPorts(desk, lambda: operators)), *services]
    return [ControlListener(build_door(listen, verifier), served) for listen in config.control.listen]
