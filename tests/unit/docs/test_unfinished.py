"""What the manual says this version cannot do is what the server is built without."""

import pytest

from authz_server import assembly
from authz_server.config import Config
from tests.manual.fragments import KEYED
from tests.manual.markdown import read

UNFINISHED = read("policy.md").partition("## What this version cannot do yet")[2]


@pytest.fixture(scope="module")
def ports():
    """Of the engine that `serve` builds."""
    config = Config()
    holder, store = assembly.build_holder(config, KEYED), assembly.build_store(config, KEYED)
    return assembly.build_engine(config, KEYED, holder, store, lambda event: None, verifier=None).ports


@pytest.mark.parametrize(
    ("said", "port"), [("**Task tokens**", "tasks"), ("**Approvals**", "approvals"), ("**Injections**", "injects")]
)
def test_what_is_said_to_be_missing_is_missing(ports, said, port):
    """And what is there is not said to be missing."""
    assert (said in UNFINISHED) == (not getattr(ports, port))
