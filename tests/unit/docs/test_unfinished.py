"""What the manual says the server does not do is what it is built without."""

import pytest

from authz_server.app import Server
from authz_server.config import load_config
from tests.manual.markdown import blocks, read

UNFINISHED = read("policy.md").partition("## What the server does not do\n")[2]
TASKS = "tasks: {audience: corp.example}"


@pytest.fixture
def ports(tmp_path):
    """Of the engine of a whole server with one role."""
    (tmp_path / "policy.yaml").write_text(blocks("policy.md", "yaml")[0])
    return Server(load_config("config.yaml", TASKS.encode(), {"policies": str(tmp_path)})).engine.ports


def test_there_is_such_a_chapter():
    """Under the name by which this file looks for it."""
    assert UNFINISHED


@pytest.mark.parametrize(("said", "port"), [("**Task tokens**", "tasks"), ("**Approvals**", "approver")])
def test_what_is_said_to_be_missing_is_missing(ports, said, port):
    """And what is there is not said to be missing."""
    assert (said in UNFINISHED) == (getattr(ports, port) is None)


def test_where_credentials_are_made(ports):
    """In one role, and not in the one that only decides."""
    assert ports.injects
    assert "role `data` denies a step that needs one" in UNFINISHED
