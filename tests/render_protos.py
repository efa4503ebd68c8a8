"""Writes the generated code of `proto/` anew: `python -m tests.render_protos`."""

import re
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "proto"
GENERATED = ROOT / "authz_server" / "proto"
_IMPORT = re.compile(r"^from authz(?=[. ])", re.MULTILINE)
"""protoc takes the folders of `proto/` for top-level packages; here they lie below `authz_server.proto`."""


def rendered():
    """Give the generated files: from the path below `GENERATED` to the text."""
    with tempfile.TemporaryDirectory() as folder:
        protos = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.proto"))
        included = [f"-I{SOURCES}", f"-I{files('grpc_tools') / '_proto'}"]
        status = protoc.main(["protoc", *included, f"--python_out={folder}", f"--pyi_out={folder}", *protos])
        if status:
            raise RuntimeError(f"protoc ended with status {status}")
        return {
            str(path.relative_to(folder)): _IMPORT.sub("from authz_server.proto.authz", path.read_text())
            for path in sorted(Path(folder).rglob("*.py*"))
        }


def main():
    """Rewrite every generated file that is not as it should be."""
    for name, text in rendered().items():
        path = GENERATED / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            sys.stdout.write(f"{path.relative_to(ROOT)}: rewritten\n")


if __name__ == "__main__":
    main()
