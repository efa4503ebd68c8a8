"""The generated code is that of the protos."""

import re

from tests.render_protos import GENERATED, rendered

_VERSION = re.compile(r"^# Protobuf Python Version: .*$|^    [0-9]+,$", re.MULTILINE)
"""What names the version of protoc."""


def test_generated_code_is_up_to_date():
    """Else: `python -m tests.render_protos`."""
    found = {
        str(path.relative_to(GENERATED)): path
        for path in GENERATED.rglob("*_pb2.py*")
        if path.suffix in {".py", ".pyi"}
    }
    fresh = rendered()
    assert found.keys() == fresh.keys()
    for name, text in fresh.items():
        assert _VERSION.sub("", found[name].read_text()) == _VERSION.sub("", text), name
