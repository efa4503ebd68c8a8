"""From `web` to the listeners for HTTP and what is served there."""

from collections.abc import Callable

from authz_server import assembly
from authz_server.config import Config
from authz_server.control.operators import Operators
from authz_server.doorway import build_door
from authz_server.engine import Engine
from authz_server.identity.svid import SvidVerifier
from authz_server.keyhash import KeyedHash
from authz_server.model import Caller
from authz_server.policy.snapshot import Snapshot
from authz_server.task_road import TaskRoad
from authz_server.token_keys import token_settings
from authz_server.web.access_requests import AccessPorts
from authz_server.web.app import WebPorts, build_app
from authz_server.web.approving import ApprovingPorts
from authz_server.web.authzen import AuthzenPorts
from authz_server.web.checks import Checker
from authz_server.web.evaluator import Evaluator
from authz_server.web.metadata import MetadataPorts
from authz_server.web.oauth import OAuthPorts
from authz_server.web.server import WebListener


def build_web(
    config: Config,
    keyed: KeyedHash,
    engine: Engine,
    tasks: TaskRoad,
    operators: Operators,
    *,
    policy: Callable[[], Snapshot],
    verifier: Callable[[], SvidVerifier | None],
) -> list[WebListener]:
    """Build the listeners; none in the data role and where none are configured.

    Raises:
        ConfigError: an address cannot be used.
    """
    web = config.web
    if web is None or config.role == "data":
        return []
    settings = token_settings(config)
    desk, approvals, keys = tasks.desk, tasks.approvals, tasks.keys
    domains = frozenset(domain.name for domain in config.trust.domains)
    oauth = None
    if desk is not None:
        templates = lambda: policy().tasks.templates  # noqa: E731 - what `OAuthPorts` asks each time
        oauth = OAuthPorts(desk, templates, operators.find, settings.issuer, settings.audience, assembly.clock)
    ports = WebPorts(
        metadata=MetadataPorts(web.base, settings.issuer, keys.jwks if keys is not None and desk is not None else None),
        oauth=oauth,
        authzen=AuthzenPorts(
            Evaluator(engine.ports, domains).evaluate,
            operators.find,
            _is_gateway(engine),
            Checker(engine).check,
        ),
        access=AccessPorts(web.base, keyed, approvals, tasks.approver, operators.find, assembly.clock)
        if approvals is not None
        else None,
        approving=ApprovingPorts(approvals, operators.find) if approvals is not None else None,
        origin="/".join(web.base.split("/")[:3]),
    )
    app = build_app(ports)
    return [WebListener(build_door(listen, verifier), app) for listen in web.listen]


def _is_gateway(engine: Engine) -> Callable[[Caller], bool]:
    """Gateways speak for any workload; a sidecar speaks for its own, which is the caller itself."""

    def is_gateway(caller: Caller) -> bool:
        return caller.valid and caller.id in engine.trust.callers.gateways

    return is_gateway
