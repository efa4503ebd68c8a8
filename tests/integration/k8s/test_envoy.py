"""The Envoy configurations of k8s/ in the real Envoy: the sidecar's bootstrap, and what the mesh's filter becomes."""

import subprocess

import pytest
import yaml


def _validate(scripts, path):
    command = [scripts / "envoy", "--mode", "validate", "-c", path]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    # What Envoy will drop or has dropped is not for a first deployment.
    assert "deprecated" not in done.stderr.lower()


def test_envoy_takes_the_bootstrap(bootstrap, scripts):
    """The real Envoy accepts the sidecar's bootstrap, nothing unknown and nothing deprecated in it."""
    _validate(scripts, bootstrap())


def test_filter_agrees_with_the_server(sidecar):
    """Envoy sends bodies up to what the server reads, says so in the route, and asks and reports at the server's sockets."""
    shipped = yaml.safe_load(sidecar.get("ConfigMap", "envoy-config")["data"]["envoy.yaml"])
    manager = shipped["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    check = manager["http_filters"][0]["typed_config"]
    (route,) = manager["route_config"]["virtual_hosts"][0]["routes"]
    told = route["typed_per_filter_config"]["envoy.filters.http.ext_authz"]["check_settings"]["context_extensions"]
    authz = next(item for item in shipped["static_resources"]["clusters"] if item["name"] == "authz")
    (endpoint,) = authz["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert sidecar.config()["max_body"] == "64KiB"
    assert check["with_request_body"]["max_request_bytes"] == int(told["authz.max_body"]) == 65536
    assert sidecar.config()["listen"] == [f"unix:{endpoint['endpoint']['address']['pipe']['path']}"]
    outcomes = next(item for item in shipped["static_resources"]["clusters"] if item["name"] == "outcomes")
    (taken,) = outcomes["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert sidecar.config()["access_logs"] == {"listen": [f"unix:{taken['endpoint']['address']['pipe']['path']}"]}
    assert (route["match"], check["failure_mode_allow"]) == ({"prefix": "/"}, False)


def _provider(mesh, kind):
    return next(item[kind] for item in mesh["extensionProviders"] if kind in item)


@pytest.fixture
def logger(mesh):
    """The access logger that istiod generates (pilot/pkg/model/telemetry_logging.go, httpGrpcAccessLogFromTelemetry)."""
    provider = _provider(mesh, "envoyHttpAls")
    cluster = {"cluster_name": "outcomes", "authority": provider["service"]}
    return {
        "name": "http_envoy_accesslog",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
            "common_config": {
                "log_name": provider["logName"],
                "transport_api_version": "V3",
                "grpc_service": {"envoy_grpc": cluster},
                "filter_state_objects_to_log": ["wasm.upstream_peer", "wasm.upstream_peer_id"],
            },
            "additional_response_headers_to_log": provider["additionalResponseHeadersToLog"],
            "additional_response_trailers_to_log": provider["additionalResponseTrailersToLog"],
        },
    }


@pytest.fixture
def made(mesh):
    """The filter that istiod generates (istio/istio pilot/pkg/security/authz/builder/extauthz.go, generateGRPCConfig)."""
    provider = _provider(mesh, "envoyExtAuthzGrpc")
    body = provider["includeRequestBodyInCheck"]
    return {
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "failure_mode_allow": provider["failOpen"],
            "status_on_error": {"code": int(provider["statusOnError"])},
            "grpc_service": {"timeout": provider["timeout"], "envoy_grpc": {"cluster_name": "authz"}},
            "with_request_body": {
                "max_request_bytes": body["maxRequestBytes"],
                "allow_partial_message": body["allowPartialMessage"],
                "pack_as_bytes": body["packAsBytes"],
            },
        },
    }


def _with_filter(path, check=None, logger=None):
    """Put the filter, or the access logger, in the place of the bootstrap's own."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    manager = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    if check is not None:
        manager["http_filters"][0] = check
    if logger is not None:
        manager["access_log"] = [logger]
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def test_envoy_takes_the_filter_of_the_mesh(bootstrap, scripts, made):
    """Envoy accepts the filter that istiod makes of the provider."""
    _validate(scripts, _with_filter(bootstrap(), made))


def test_envoy_takes_the_access_logger_of_the_mesh(bootstrap, scripts, logger, sidecar):
    """Envoy accepts the access logger that istiod makes of the provider, and it tells what the sidecar layout's own tells."""
    _validate(scripts, _with_filter(bootstrap(), logger=logger))
    shipped = yaml.safe_load(sidecar.get("ConfigMap", "envoy-config")["data"]["envoy.yaml"])
    manager = shipped["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    own = next(
        item["typed_config"] for item in manager["access_log"] if item["name"] == "envoy.access_loggers.http_grpc"
    )
    for name in ("additional_response_headers_to_log", "additional_response_trailers_to_log", "@type"):
        assert own[name] == logger["typed_config"][name]


def test_envoy_takes_the_merged_filter(bootstrap, scripts, made, full_checks):
    """Envoy accepts that filter with the EnvoyFilter merged into it, which finds it by its name."""
    (patch,) = full_checks.of("EnvoyFilter")[0]["spec"]["configPatches"]
    assert patch["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"] == made["name"]
    assert (patch["patch"]["operation"], patch["patch"]["value"]["name"]) == ("MERGE", made["name"])
    merged = made["typed_config"] | patch["patch"]["value"]["typed_config"]
    assert len(merged) > len(made["typed_config"])
    _validate(scripts, _with_filter(bootstrap(), {**made, "typed_config": merged}))
