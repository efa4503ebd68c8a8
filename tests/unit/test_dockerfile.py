"""What the image must be, read from its recipe."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stages():
    """The instructions of each stage, as (name, arguments), without comments and with continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    found = [[]]
    for line in lines:
        name, _, rest = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append((name, " ".join(rest.split())))
    return found[1:]


def _last(stage, name):
    return [rest for instruction, rest in stage if instruction == name][-1]


def test_the_image_runs_as_a_numeric_stranger(stages):
    """The user is a number above 0, the one that the manifests run."""
    user, _, group = _last(stages[-1], "USER").partition(":")
    assert (int(user), int(group)) == (65532, 65532)
    deployment = yaml.safe_load((ROOT / "k8s/base/deployment.yaml").read_text(encoding="utf-8"))
    assert deployment["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == int(user)


def test_signals_reach_the_server(stages):
    """The entry point is in exec form: no shell stands between the orchestrator's SIGTERM and the drain."""
    assert _last(stages[-1], "ENTRYPOINT") == '["authz-server"]'
    assert _last(stages[-1], "CMD").startswith("[")
    assert _last(stages[-1], "HEALTHCHECK") == "NONE"


def test_nothing_comes_from_elsewhere(stages):
    """Nothing is fetched but wheels with hashes: no ADD, no download, no compiler, no system package."""
    installs = []
    for stage in stages:
        for name, rest in stage:
            assert name != "ADD"
            assert not re.search(r"curl|wget|apt-get|git clone|https?://|:latest", rest)
            installs += [part for part in rest.split("&&") if " install " in part]
    assert len(installs) == 2
    for install in installs:
        assert "--no-index" in install or {"--require-hashes", "--only-binary=:all:"} <= set(install.split())
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = re.findall(r"^[a-z0-9-]+==\S+ .*\\$", locked, flags=re.MULTILINE | re.IGNORECASE)
    assert len(pinned) > 10


def test_the_image_holds_no_build(stages):
    """Of the build only the installed environment is kept, and no installer stays in what runs."""
    final = stages[-1]
    assert [rest for name, rest in final if name == "COPY"] == ["--from=build /opt/authz-server /opt/authz-server"]
    assert any(
        "uninstall" in rest and rest.split("&&")[0].split()[-1] == "pip" for name, rest in final if name == "RUN"
    )


def test_only_the_sources_reach_the_builder(stages):
    """The build context is a list of what is admitted, and holds all that is copied."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    admitted = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {item for name, rest in stages[0] if name == "COPY" for item in rest.split()[:-1]}
    assert copied == admitted
    assert all((ROOT / name).exists() for name in admitted)
