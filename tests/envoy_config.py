"""The demonstration's Envoy configuration, changed for a test: further endpoints, mTLS to the server, a lenient listener."""

import copy
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

import yaml

from tests.site_pki import SERVER

MAX_BODY = 65_536
"""What the configuration says at two places: where Envoy cuts bodies, and that the server knows."""
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
METADATA = ("decision", "detail", "join", "policy_digest", "rule")
"""Dynamic metadata in the access log, beside what the demonstration logs."""


def envoy_document(
    values: Mapping[str, object],
    endpoints: Sequence[str],
    logs: Sequence[str],
    tls: str,
    lenient_port: int,
    *,
    token: str = "",
) -> Any:
    """Build the configuration.

    Args:
        values: fills the `${…}` of the demonstration's file.
        endpoints: of authz-server, each `unix:PATH` or `HOST:PORT`; TCP ones are asked over mTLS, or with the token.
        logs: where it takes access logs, in the same forms.
        tls: directory of the certificates.
        lenient_port: of the second listener, where certificates are optional and nothing is normalised.
        token: the caller secret, sent in plaintext.
    """
    text = resources.files("authz_server.demo").joinpath("files", "envoy.yaml").read_text(encoding="utf-8")
    filled = {**values, "tls": tls, "socket": "replaced"}
    document = yaml.safe_load(Template(text).substitute({key: str(value) for key, value in filled.items()}))
    (strict,) = document["static_resources"]["listeners"]
    for member in METADATA:
        log_format(strict)[member] = f"%DYNAMIC_METADATA(envoy.filters.http.ext_authz:{member})%"
    # A loaded machine must not look like an outage. Envoy takes `max_interval` for the timeout of each try as well
    # (source/common/http/utility.cc, convertCoreToRouteRetryPolicy), so it grows with the timeout.
    service = ext_authz(strict)["grpc_service"]
    service["timeout"] = service["retry_policy"]["retry_back_off"]["max_interval"] = "5s"
    _, cluster, outcomes = document["static_resources"]["clusters"]
    _change_cluster(cluster, endpoints)
    _point(outcomes, logs)
    reports = outcome_log(strict)
    reports["buffer_flush_interval"] = "0.05s"
    if token:
        _send_token(service, cluster, token)
        reports["grpc_service"]["initial_metadata"] = service["initial_metadata"]
    elif not endpoints[0].startswith("unix:"):
        cluster["transport_socket"] = outcomes["transport_socket"] = _mutual_tls(tls)
    document["static_resources"]["listeners"].append(_lenient(strict, tls, lenient_port))
    return document


def manager(listener: Any) -> Any:
    """Give the HTTP connection manager of a listener."""
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def ext_authz(listener: Any) -> Any:
    """Give the ext_authz filter of a listener."""
    return manager(listener)["http_filters"][0]["typed_config"]


def log_format(listener: Any) -> Any:
    """Give the fields of a listener's access log."""
    return manager(listener)["access_log"][0]["typed_config"]["log_format"]["json_format"]


def outcome_log(listener: Any) -> Any:
    """Give where a listener reports outcomes."""
    return manager(listener)["access_log"][1]["typed_config"]["common_config"]


def _lenient(strict: Any, tls: str, port: int) -> Any:
    listener = copy.deepcopy(strict)
    listener["name"] = "lenient"
    listener["address"]["socket_address"]["port_value"] = port
    downstream = listener["filter_chains"][0]["transport_socket"]["typed_config"]
    downstream["require_client_certificate"] = False
    downstream["common_tls_context"]["validation_context"]["trusted_ca"]["filename"] = f"{tls}/all.crt"
    http = manager(listener)
    http["stat_prefix"] = "lenient"
    http["normalize_path"] = http["merge_slashes"] = False
    http["path_with_escaped_slashes_action"] = "KEEP_UNCHANGED"
    http["common_http_protocol_options"]["headers_with_underscores_action"] = "ALLOW"
    http["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    (host,) = http["route_config"]["virtual_hosts"]
    host["routes"].insert(0, _unchecked(host["routes"][0]))
    return listener


def _unchecked(route: Any) -> Any:
    """A route without the filter, as an operator makes it by mistake."""
    off = {"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", "disabled": True}
    return {
        **copy.deepcopy(route),
        "name": "unchecked",
        "match": {"prefix": "/unchecked/"},
        "typed_per_filter_config": {"envoy.filters.http.ext_authz": off},
    }


def _change_cluster(cluster: Any, endpoints: Sequence[str]) -> None:
    assert cluster["name"] == "authz"
    _point(cluster, endpoints)
    # Faster than in production, and as strict: two failures in a row.
    cluster["connect_timeout"] = "2s"
    cluster["health_checks"][0].update(timeout="2s", interval="0.2s", no_traffic_interval="0.2s")


def _point(cluster: Any, endpoints: Sequence[str]) -> None:
    cluster["load_assignment"]["endpoints"] = [
        {"lb_endpoints": [{"endpoint": {"address": _address(endpoint)}} for endpoint in endpoints]}
    ]


def _mutual_tls(tls: str) -> Any:
    """Give the transport socket that shows Envoy's own SVID and wants the server's."""
    files = {"certificate_chain": {"filename": f"{tls}/edge.pem"}, "private_key": {"filename": f"{tls}/edge.key"}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{TLS}.UpstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_certificates": [files],
                "validation_context": {
                    "trusted_ca": {"filename": f"{tls}/ca.crt"},
                    "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": SERVER}}],
                },
            },
        },
    }


def _send_token(service: Any, cluster: Any, token: str) -> None:
    """Let checks and health checks carry the caller secret."""
    secret = {"key": "authorization", "value": f"Bearer {token}"}
    service["initial_metadata"] = [secret]
    cluster["health_checks"][0]["grpc_health_check"]["initial_metadata"] = [{"header": secret}]


def _address(endpoint: str) -> Any:
    if endpoint.startswith("unix:"):
        return {"pipe": {"path": endpoint.removeprefix("unix:")}}
    host, _, port = endpoint.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}
