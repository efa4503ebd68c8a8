"""The examples for Kubernetes are files that the server reads as it is said."""

import re

import yaml

from authz_server import assembly
from authz_server.config import load_config
from authz_server.holder import PolicyHolder
from tests.manual.fragments import KEYED
from tests.manual.markdown import ROOT, blocks, read, rows
from tests.manual.tables import TABLES

VOLUME = yaml.safe_load(blocks("kubernetes.md", "yaml")[0])
CONTENTS = {
    "platform.yaml": "version: 1\nteams: {billing: {actions: billing.*, hosts: billing.example}}\nvars: {limit: 1}",
    "rules.yaml": "actions: [{name: billing.read, match: {host: billing.example}, kind: read}]",
    "production.yaml": "{vars: {limit: 2}, mode: shadow}",
}


def test_the_projected_volume_holds_the_platform_a_team_and_an_environment(tmp_path):
    """Mounted as the kubelet does it: links to folders of a hidden version."""
    version = tmp_path / "..version"
    version.mkdir()
    (tmp_path / "..data").symlink_to("..version")
    for source in VOLUME["projected"]["sources"]:
        for item in source["configMap"].get("items", [{"key": "platform.yaml", "path": "platform.yaml"}]):
            place = version / item["path"]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(CONTENTS[item["key"]])
    for entry in version.iterdir():
        (tmp_path / entry.name).symlink_to(f"..data/{entry.name}")
    environment = tmp_path / "env/production.yaml"
    assert f"AUTHZ_ENV=/etc/authz/policies/{environment.relative_to(tmp_path)}" in read("kubernetes.md")
    overrides = {"policies": str(tmp_path), "environment": str(environment)}
    files = assembly.read_policy(load_config("config.yaml", b"", overrides))
    snapshot = PolicyHolder(KEYED, (), lambda: 0.0).compile(files)
    assert (snapshot.text.vars, snapshot.shadow) == ({"limit": 2}, True)
    assert [action.team for action in snapshot.text.actions] == ["billing"]


def test_the_alarms_are_on_metrics_that_there_are():
    """By their whole names."""
    metrics = {row["Metric"].strip("`") for row in TABLES["metrics"].rows}
    text = read("kubernetes.md")
    named = {name.partition("{")[0] for name in text.split("`") if name.startswith("authz_")}
    assert named
    assert named <= metrics


def test_the_shipped_users_of_the_store_are_those_of_the_manual():
    """Word for word, so that a store of one's own gets the same rights."""
    shipped = (ROOT / "k8s/components/valkey/users.acl").read_text()
    found = re.findall(r"^user authz-(\w+) on #@\w+@ resetkeys resetchannels (.*)$", shipped, re.MULTILINE)
    told = {row.cells["Role"].split(",")[0]: row for row in rows("state.md", "Role", "Users of the store")}
    assert [role for role, _ in found] == list(told)
    for role, rights in found:
        assert told[role].words("Rights") == [rights.replace("|", "\\|")]


def test_labels_and_secrets_of_the_manual_are_those_of_the_manifests():
    """Whatever the manual calls `authz-…` or `authz-server/…` stands in a file of k8s/."""
    text = read("kubernetes.md")
    shipped = "\n".join(path.read_text() for path in sorted((ROOT / "k8s").rglob("*")) if path.is_file())
    named = set(re.findall(r"`(authz-[a-z/-]+)[`:=]", text)) | set(
        re.findall(r"(?:secret generic|configmap|put) (authz-[a-z-]+)", text)
    )
    assert {"authz-server/control-caller", "authz-record-key", "authz-control"} <= named
    assert {name for name in named if name not in shipped} == {"authz-record-key-next"}
