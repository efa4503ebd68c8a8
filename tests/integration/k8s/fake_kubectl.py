"""As much of kubectl as the manual's commands need; a program, started by `cluster.py`."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

CLUSTER = Path(os.environ["CLUSTER"])


def main(words):
    namespace = words[words.index("-n") + 1]
    rest = [word for at, word in enumerate(words) if word != "-n" and words[at - 1 : at] != ["-n"]]
    match rest:
        case ["create", kind, *_]:
            _create(rest, CLUSTER / namespace / kind)
        case ["get", kind, name, "-o", path]:
            document = yaml.safe_load((CLUSTER / namespace / kind / f"{name}.yaml").read_text(encoding="utf-8"))
            sys.stdout.write(
                document["data"][path.removeprefix("jsonpath={.data.").removesuffix("}").replace("\\.", ".")]
            )
        case ["delete", kind, name]:
            (CLUSTER / namespace / kind / f"{name}.yaml").unlink()
        case ["rollout", "restart", *_]:
            pass
        case _:
            sys.exit(f"not understood: {rest}")


def _create(rest, folder):
    """By the real one; what it would send to the API server is kept, or printed when that was asked for."""
    dry = any(word.startswith("--dry-run") for word in rest)
    more = [] if dry else ["--dry-run=client", "-o", "yaml"]
    made = subprocess.run([os.environ["KUBECTL"], *rest, *more], check=True, capture_output=True).stdout
    if dry:
        sys.stdout.buffer.write(made)
        return
    document = yaml.safe_load(made)
    path = folder / f"{document['metadata']['name']}.yaml"
    if path.exists():
        sys.exit(f"already exists: {path.stem}")
    _keep(document, path)


def _keep(document, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


def apply(words):
    """Take a Secret or ConfigMap from standard input; files of the repository are rendered by other tests."""
    if words != ["apply", "-f", "-"]:
        return
    document = yaml.safe_load(sys.stdin)
    namespace = document["metadata"].get("namespace", "authz-system")
    _keep(document, CLUSTER / namespace / document["kind"].lower() / f"{document['metadata']['name']}.yaml")


if __name__ == "__main__":
    (apply if sys.argv[1] == "apply" else main)(sys.argv[1:])
