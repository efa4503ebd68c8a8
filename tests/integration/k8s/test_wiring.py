"""What must agree between the manifests: selectors, ports, policies, configuration, the mesh's provider."""

import pytest

from authz_server.config import load_config


def _fits(selector, labels):
    return selector.get("matchLabels", {}).items() <= labels.items()


def test_configuration_is_read_by_the_server(serving):
    """The server takes the shipped configuration as it is, and its port is the one that the pod opens."""
    config = load_config("config.yaml", serving.config_text().encode(), {})
    listen = config.listen[0]
    assert not listen.insecure_plaintext
    if not listen.address.startswith("unix:"):
        opened = {port["containerPort"] for port in serving.server().container("authz-server")["ports"]}
        assert int(listen.address.rpartition(":")[2]) in opened


def test_services_reach_their_pods(serving):
    """Every Service selects a pod of the layout and sends to a port that it names."""
    for service in serving.of("Service"):
        pod = next(pod for pod in serving.pods() if service["spec"]["selector"].items() <= pod.labels.items())
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
    assert istio.config()["listen"] == [{"address": "0.0.0.0:9001", "mesh_sidecar": True}]
    assert all(pod.labels["sidecar.istio.io/inject"] == "true" for pod in istio.pods())
    authentication = istio.of("PeerAuthentication")[0]
    assert authentication["metadata"]["namespace"] == istio.server().owner["metadata"]["namespace"]
    assert authentication["spec"] == {"mtls": {"mode": "STRICT"}}
    assert istio.get("DestinationRule", "authz-server")["spec"]["trafficPolicy"]["tls"] == {"mode": "ISTIO_MUTUAL"}


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
    limit = load_config("config.yaml", istio.config_text().encode(), {}).max_body
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
