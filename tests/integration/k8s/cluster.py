"""What the manual's commands leave in a cluster, without one: a `kubectl` that keeps Secrets and ConfigMaps in a folder.

What they create is made by the real kubectl (`--dry-run=client`), so that its options are those that there are.
"""

import base64
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import yaml

from tests.integration.k8s.layouts import ROOT, SCRIPTS
from tests.manual.markdown import read

KINDS = ("secret", "configmap")
_NAMESPACE = "authz-system"


class Cluster:
    """A folder with an object in each file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def objects(self, kind: str, namespace: str = _NAMESPACE) -> set[str]:
        """The names of its objects of a kind."""
        return {path.stem for path in (self.folder / namespace / kind).glob("*.yaml")}

    def files(self, kind: str, name: str, namespace: str = _NAMESPACE) -> dict[str, bytes]:
        """The data of an object by key."""
        data = yaml.safe_load((self.folder / namespace / kind / f"{name}.yaml").read_text(encoding="utf-8"))["data"]
        return {key: base64.b64decode(text) if kind == "secret" else text.encode() for key, text in data.items()}

    def put(self, kind: str, name: str, files: dict[str, bytes], namespace: str = _NAMESPACE) -> None:
        """Create an object, or replace it."""
        data = {key: base64.b64encode(data) if kind == "secret" else data for key, data in files.items()}
        path = self.folder / namespace / kind / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({"data": {key: data.decode() for key, data in data.items()}}), encoding="utf-8")

    def run(self, commands: str) -> None:
        """Run commands of the manual in the repository's folder."""
        programs = self.folder / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        program = programs / "kubectl"
        program.write_text(
            f"#!{sys.executable}\n{Path(__file__).with_name('fake_kubectl.py').read_text(encoding='utf-8')}"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "CLUSTER": str(self.folder),
            "KUBECTL": str(SCRIPTS / "kubectl"),
            "HOME": str(self.folder),
        }
        command = ["bash", "-euo", "pipefail", "-c", commands]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    def copy(self, folder: Path) -> "Cluster":
        """One of its own that begins alike."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Cluster(folder)


def commands(start: str) -> str:
    """The example of the manual that has a line which begins so."""
    found = re.findall(r"^ *```sh\n(.*?)^ *```", read("kubernetes.md"), re.MULTILINE | re.DOTALL)
    (example,) = [text for text in found if any(line.startswith(start) for line in text.splitlines())]
    return example
