"""authz_server/policy/names.py."""

import pytest

from authz_server.policy.names import may_mean
from authz_server.policy.patterns import compile_globs


@pytest.mark.parametrize(
    ("patterns", "name", "surely", "maybe"),
    [
        (["files.read_a"], "files.read_a", True, True),
        (["files.read_*"], "files.read_a", True, True),
        (["files.write_*"], "files.read_a", False, False),
        (["files.read_*"], "files.read_*", True, True),
        (["files.*", "x"], "files.read_*", True, True),
        (["files.read_a"], "files.read_*", False, True),
        (["files.read_a*"], "files.read_*", False, True),
        (["*_all"], "files.read_*", False, True),
        (["files.write_*"], "files.read_*", False, False),
        (["files.rea"], "files.read_*", False, False),
    ],
)
def test_a_familys_own_name_may_be_any_of_its_members(patterns, name, surely, maybe):
    """All other names are what they are."""
    globs = compile_globs(patterns)
    assert (globs.matches(name), may_mean(globs, name)) == (surely, maybe)
