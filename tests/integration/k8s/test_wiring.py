"""What must agree between the manifests: selectors, ports, policies, configuration, the mesh's provider."""

import pytest

from authz_server.config import load_config
from tests.integration.k8s.layouts import STATE

LOGS_METHOD = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"


def _fits(selector, labels):
    return selector.get("matchLabels", {}).items() <= labels.items()


PORTS = {"data": {9001}, "control": {9003, 9004}, "all": {9001, 9003, 9004}}
"""What a role may open, beside the probes and Unix sockets."""


def test_configuration_is_read_by_the_server(serving):
    """The server takes the shipped configuration as it is, in the role of the pod, which opens what that role listens on."""
    for served in serving.served():
        overrides = {"role": served.role, "state": STATE}
        config = load_config("config.yaml", serving.config_text().encode(), overrides)
        assert (config.role, config.state) == (served.role, STATE)
        listens = _listens(config, served.role)
        assert listens
        assert not any(listen.insecure_plaintext for listen in listens)
        asked = {int(listen.address.rpartition(":")[2]) for listen in listens if not listen.address.startswith("unix:")}
        opened = {port["containerPort"] for port in served.container["ports"]}
        assert asked <= opened <= PORTS[served.role] | {9002}


def _listens(config, role):
    logs = config.access_logs.listen if config.access_logs is not None else ()
    control = config.control.listen if config.control is not None else ()
    return {"data": config.listen, "control": (*control, *logs), "all": (*config.listen, *control, *logs)}[role]


def test_roles_agree(sidecar, control_plane):
    """Where the roles have files of their own, what both have to know alike is alike."""
    beside, shared = sidecar.config(), control_plane.config()
    for name in ("tasks", "containment", "replicas", "drain"):
        assert beside[name] == shared[name]
    assert [item["name"] for item in beside["trust"]["domains"]] == [
        item["name"] for item in shared["trust"]["domains"]
    ]
    assert beside["secrets"].items() <= shared["secrets"].items()
    policies = (layout.get("ConfigMap", "authz-policies")["data"] for layout in (sidecar, control_plane))
    assert next(policies) == next(policies)


def test_only_labelled_namespaces_reach_what_signs(signing):
    """The ports of calls and of access logs are open to labelled namespaces, each to its own."""
    rules = signing.get("NetworkPolicy", "authz-control")["spec"]["ingress"]
    found = {rule["ports"][0]["port"]: rule["from"] for rule in rules}
    assert found == {
        9003: [{"namespaceSelector": {"matchLabels": {"authz-server/control-caller": "true"}}}],
        9004: [{"namespaceSelector": {"matchLabels": {"authz-server/caller": "true"}}}],
    }


def test_the_store_is_reached_by_the_roles_alone(istio, sidecar, control_plane):
    """By the pods of both roles, and in the sidecar layout by labelled pods of labelled namespaces."""
    (rule,) = istio.get("NetworkPolicy", "authz-valkey")["spec"]["ingress"]
    names = [peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in rule["from"]]
    assert names == ["authz-server", "authz-control"]
    valkey = next(item for item in istio.of("AuthorizationPolicy") if item["metadata"]["name"] == "authz-valkey")
    principals = valkey["spec"]["rules"][0]["from"][0]["source"]["principals"]
    accounts = {served.pod.spec["serviceAccountName"] for served in istio.served()}
    assert set(principals) == {f"cluster.local/ns/authz-system/sa/{name}" for name in accounts}
    (more,) = control_plane.get("NetworkPolicy", "authz-valkey-data")["spec"]["ingress"]
    (peer,) = more["from"]
    assert _fits(peer["podSelector"], sidecar.server().labels)
    assert _fits(peer["namespaceSelector"], sidecar.of("Namespace")[0]["metadata"]["labels"])


def test_outcomes_are_reported_where_they_are_taken(mesh, istio, protect):
    """The access logs of the protected namespace go to the control role, the asking side's alone."""
    provider = next(item for item in mesh["extensionProviders"] if item["name"] == "authz-outcomes")["envoyHttpAls"]
    service = istio.get("Service", "authz-control")
    assert provider["service"] == f"authz-control.{service['metadata']['namespace']}.svc.cluster.local"
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert provider["port"] == ports["grpc-logs"]
    assert istio.config()["access_logs"]["listen"] == [{"address": f"0.0.0.0:{provider['port']}", "mesh_sidecar": True}]
    (logging,) = protect.of("Telemetry")[0]["spec"]["accessLogging"]
    assert logging == {"providers": [{"name": "authz-outcomes"}], "match": {"mode": "SERVER"}}
    rules = istio.get("AuthorizationPolicy", "authz-control")["spec"]["rules"]
    assert [rule["to"][0]["operation"]["ports"] for rule in rules] == [["9003"], ["9004"]]
    services = {f"/{name}/*" for name in ("authz.v1.Containment", "authz.v1.Approvals", "authz.v1.Tasks")}
    assert services < set(rules[0]["to"][0]["operation"]["paths"])
    assert LOGS_METHOD in rules[1]["to"][0]["operation"]["paths"]


def test_services_reach_their_pods(serving):
    """Every Service selects a pod of the layout and sends to a port that it names."""
    for service in serving.of("Service"):
        (pod,) = [pod for pod in serving.pods() if service["spec"]["selector"].items() <= pod.labels.items()]
        named = {port["name"] for container in pod.containers() for port in container.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


def test_every_pod_is_behind_a_network_policy(serving):
    """No pod takes or makes a connection that a NetworkPolicy does not name."""
    policies = [item["spec"] for item in serving.of("NetworkPolicy")]
    for pod in serving.pods():
        types = {
            kind for policy in policies if _fits(policy["podSelector"], pod.labels) for kind in policy["policyTypes"]
        }
        assert types == {"Ingress", "Egress"}
    for policy in policies:
        assert any(_fits(policy["podSelector"], pod.labels) for pod in serving.pods())
        assert all(rule["to"] and rule["ports"] for rule in policy.get("egress", []))


def test_only_labelled_namespaces_ask_for_decisions(istio):
    """The server's port is open to the namespaces that an operator labelled, and no other port to anybody."""
    rules = istio.get("NetworkPolicy", "authz-server")["spec"]["ingress"]
    assert rules == [
        {
            "from": [{"namespaceSelector": {"matchLabels": {"authz-server/caller": "true"}}}],
            "ports": [{"protocol": "TCP", "port": 9001}],
        }
    ]


def test_the_sidecar_cannot_be_passed(istio):
    """Where the listener believes its mesh sidecar, the pods have one and take no plaintext."""
    config = istio.config()
    assert config["listen"] == [{"address": "0.0.0.0:9001", "mesh_sidecar": True}]
    local, remote = config["control"]["listen"]
    assert (local, remote) == (
        "unix:/run/authz-control/control.sock",
        {"address": "0.0.0.0:9003", "mesh_sidecar": True},
    )
    assert all(pod.labels["sidecar.istio.io/inject"] == "true" for pod in istio.pods())
    authentication = istio.of("PeerAuthentication")[0]
    assert authentication["metadata"]["namespace"] == istio.server().owner["metadata"]["namespace"]
    assert authentication["spec"] == {"mtls": {"mode": "STRICT"}}
    for rule in istio.of("DestinationRule"):
        assert rule["spec"]["trafficPolicy"]["tls"] == {"mode": "ISTIO_MUTUAL"}
        assert rule["spec"]["host"] == f"{rule['metadata']['name']}.authz-system.svc.cluster.local"


def test_provider_fails_closed_and_soon(mesh, istio, protect):
    """The mesh's provider is the rendered Service, waits a stated time below a second, and refuses on every failure."""
    provider = next(item for item in mesh["extensionProviders"] if item["name"] == "authz-server")
    grpc = dict(provider["envoyExtAuthzGrpc"])
    service = istio.get("Service", "authz-server")
    assert grpc.pop("service") == f"authz-server.{service['metadata']['namespace']}.svc.cluster.local"
    assert istio.get("DestinationRule", "authz-server")["spec"]["host"].startswith("authz-server.authz-system.svc")
    assert grpc.pop("port") == service["spec"]["ports"][0]["port"]
    assert 0 < float(grpc.pop("timeout").removesuffix("s")) < 1
    body = grpc.pop("includeRequestBodyInCheck")
    limit = load_config("config.yaml", istio.config_text().encode(), {"state": STATE}).max_body
    assert body == {"maxRequestBytes": limit, "allowPartialMessage": False, "packAsBytes": True}
    assert grpc == {"failOpen": False, "statusOnError": "503"}
    assert protect.of("AuthorizationPolicy")[0]["spec"]["provider"] == {"name": provider["name"]}


def test_the_proxy_exempts_nothing(protect):
    """The CUSTOM policy matches every request of the namespace: which are free is the server's policy."""
    spec = protect.of("AuthorizationPolicy")[0]["spec"]
    assert spec == {"action": "CUSTOM", "provider": {"name": "authz-server"}, "rules": [{}]}
    assert protect.of("PeerAuthentication")[0]["spec"] == {"mtls": {"mode": "STRICT"}}


@pytest.mark.parametrize("name", ["protect", "full_checks"])
def test_protected_namespace_is_one(request, name):
    """Everything that protects stands in the protected namespace, which is not the server's own."""
    spaces = {item["metadata"]["namespace"] for item in request.getfixturevalue(name).objects}
    assert spaces == {"shop"}


def test_socket_is_shared_with_envoy_alone(sidecar):
    """Envoy reaches the server's socket by group, the application neither the socket nor a key, the server no private key."""
    pod = sidecar.server()
    server, envoy, application = (pod.container(name) for name in ("authz-server", "envoy", "crm-api"))
    assert server["securityContext"]["runAsGroup"] == pod.spec["securityContext"]["fsGroup"]
    assert len({item["securityContext"]["runAsUser"] for item in (server, envoy, application)}) == 3
    folder = next(item for item in server["volumeMounts"] if item["name"] == "run")["mountPath"]
    assert sidecar.config()["listen"] == [f"unix:{folder}/authz/check.sock"]
    assert {"name": "run", "mountPath": folder, "readOnly": True} in envoy["volumeMounts"]
    assert "volumeMounts" not in application
    assert "svid" not in {item["name"] for item in server["volumeMounts"]}
    assert server["restartPolicy"] == "Always"
