"""What every pod of k8s/ must be: without rights, with limits, probed, and with its files where its settings say."""

from pathlib import PurePosixPath

import pytest
import yaml

from authz_server.config import load_config
from tests.integration.k8s.layouts import LAYOUTS, STATE, render

PRIVATE = {"authz-record-key", "authz-signing-keys", "authz-control-state", "authz-control-svid"}
"""Secrets with which one can sign, or be taken for who does."""
MARGIN = 5
"""Seconds between the end of the drain and the kill."""


def test_pods_are_restricted(layout):
    """Every pod fits the Pod Security Standard `restricted`, reads only its own root file system and holds no token."""
    for pod in layout.pods():
        spec = pod.spec
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert all("hostPath" not in volume for volume in spec["volumes"])
        for container in pod.containers():
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context.get("runAsUser", spec["securityContext"].get("runAsUser", 0)) > 0


def test_namespaces_enforce_it(serving):
    """The namespaces refuse every pod that is not restricted."""
    for namespace in serving.of("Namespace"):
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_resources_and_images(layout):
    """Every container asks for CPU and memory, has a limit of memory, and names one version of its image."""
    for pod in layout.pods():
        for container in pod.containers():
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            _, _, tag = container["image"].rpartition("/")[2].partition(":")
            assert tag not in {"", "latest"}


def test_servers_are_probed_where_they_answer(serving):
    """The kubelet asks /healthz and /readyz on the port that the configuration opens for probes."""
    opened = int(serving.config()["probes"].rpartition(":")[2])
    for _, container in serving.served():
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            asked = container[probe]["httpGet"]
            assert (asked["path"], ports[asked["port"]]) == (path, opened)
        assert "startupProbe" in container


def test_others_are_probed(istio, sidecar):
    """The store and Envoy are probed too; the application is, by Envoy."""
    for container in (
        istio.get("StatefulSet", "authz-valkey")["spec"]["template"]["spec"]["containers"][0],
        sidecar.server().container("envoy"),
    ):
        assert {"livenessProbe", "readinessProbe"} <= container.keys()


def test_a_pod_is_not_killed_before_it_has_drained(serving):
    """The grace period covers preStop and drain with time to close; a mesh sidecar outlives the server's drain."""
    for served in serving.served():
        pod = served.pod
        overrides = {"state": STATE, "role": served.role}
        drain = load_config("config.yaml", serving.config_text().encode(), overrides).drain
        stops = [item.get("lifecycle", {}).get("preStop", {"sleep": {"seconds": 0}}) for item in pod.containers()]
        needed = max(stop["sleep"]["seconds"] for stop in stops) + drain
        assert needed + MARGIN <= pod.spec["terminationGracePeriodSeconds"]
        if proxy := pod.annotations.get("proxy.istio.io/config"):
            sidecar_drain = int(yaml.safe_load(proxy)["terminationDrainDuration"].removesuffix("s"))
            assert needed <= sidecar_drain <= pod.spec["terminationGracePeriodSeconds"] - MARGIN


@pytest.mark.parametrize("name", ["authz-server", "authz-control"])
def test_two_replicas_survive_a_node(istio, name):
    """Each role runs twice, spread over nodes and zones, and a drain of nodes leaves one."""
    deployment = istio.get("Deployment", name)["spec"]
    budget = istio.get("PodDisruptionBudget", name)["spec"]
    assert deployment["replicas"] == istio.config()["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert budget["minAvailable"] == 1
    labels = deployment["template"]["metadata"]["labels"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    spread = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert [item["topologyKey"] for item in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert all(item["labelSelector"]["matchLabels"].items() <= labels.items() for item in spread)


def test_what_decides_has_no_key_that_signs():
    """Private keys, and the password of who writes records, are in the pods of the control role and in no other."""
    seen = set()
    for layout in map(render, LAYOUTS):
        for pod in layout.pods():
            roles = {served.role for served in layout.served() if served.pod == pod}
            seen |= roles
            if roles <= {"data"}:
                assert not PRIVATE & pod.secrets()
            else:
                assert pod.secrets() >= {"authz-record-key", "authz-signing-keys", "authz-control-state"}
                assert "authz-state" not in pod.secrets()
    assert seen == {"data", "control", "all"}


def test_one_account_sees_pods_and_no_other_has_rights():
    """With the component the control role reads pods, with a token of its own that is mounted nowhere else."""
    for layout in map(render, LAYOUTS):
        watching = layout.name == "istio, watching pods"
        subjects = [
            subject["name"]
            for kind in ("RoleBinding", "ClusterRoleBinding")
            for binding in layout.of(kind)
            for subject in binding["subjects"]
            if binding["metadata"]["name"] != "crm-api-svid"  # the SVID's, asked for by the CSI driver
        ]
        assert subjects == (["authz-control"] if watching else [])
        for pod in layout.pods():
            tokens = [volume["name"] for volume in pod.spec["volumes"] if "serviceAccountToken" in str(volume)]
            assert tokens == (
                ["kubernetes"] if watching and pod.labels["app.kubernetes.io/name"] == "authz-control" else []
            )
    (role,) = render("istio, watching pods").of("ClusterRole")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]


def test_mounts_are_folders_of_known_volumes(serving):
    """Every mount names a volume and none uses subPath, which would freeze it; ConfigMaps keep their plain names."""
    generated = {item["metadata"]["name"] for item in serving.of("ConfigMap")}
    for pod in serving.pods():
        volumes = {volume["name"] for volume in pod.spec["volumes"]}
        volumes |= {claim["metadata"]["name"] for claim in pod.owner["spec"].get("volumeClaimTemplates", [])}
        for container in pod.containers():
            mounts = container.get("volumeMounts", [])
            assert {mount["name"] for mount in mounts} <= volumes
            assert not [mount for mount in mounts if "subPath" in mount or "subPathExpr" in mount]
            paths = [PurePosixPath(mount["mountPath"]) for mount in mounts]
            # A runtime cannot make the mount point of one volume inside another that is read-only.
            assert not [(one, two) for one in paths for two in paths if one in two.parents]
    assert {"authz-config", "authz-policies"} <= generated


def test_files_of_the_configuration_are_mounted(serving):
    """Every file that the configuration names for the role, and the arguments, lies in a mounted folder, under a name that is there."""
    configs = {item["metadata"]["name"]: item["data"] for item in serving.of("ConfigMap")}
    for served in serving.served():
        pod, container = served
        texts = [*_texts(_read_by(served.role, serving.config())), *container["args"]]
        named = [text for text in texts if text.startswith("/")]
        assert len(named) >= 5
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        for text in named:
            path = PurePosixPath(text)
            if text in mounts:
                continue
            volume = pod.volume(mounts[str(path.parent)])
            if "projected" in volume:
                sources = [next(iter(source.values())) for source in volume["projected"]["sources"]]
                assert path.name in {item["path"] for source in sources for item in source["items"]}
            elif volume.get("configMap", {}).get("name") in configs:
                assert path.name in configs[volume["configMap"]["name"]]


def _read_by(role, config):
    """The settings whose files a role reads."""
    if role != "data":
        return config
    secrets = {name: file for name, file in config["secrets"].items() if name not in {"record_key", "signing_keys"}}
    return {name: part for name, part in config.items() if name != "control"} | {"secrets": secrets}


def _texts(node):
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        return [text for item in node for text in _texts(item)]
    return [node] if isinstance(node, str) else []
