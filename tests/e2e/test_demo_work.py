"""The demonstration's declared work on a real site: it goes as it has to, and says so loudly when it does not."""

import shutil
import tempfile
import time
from pathlib import Path

import pytest

from authz_server.demo import site as module
from authz_server.demo.records import Records
from authz_server.demo.servers import Servers
from authz_server.demo.site import start_site
from authz_server.demo.work import Work

pytestmark = [pytest.mark.e2e, pytest.mark.server]


@pytest.fixture
def acts(monkeypatch):
    """Runs the work under the demonstration's policy, with one text of it replaced by another; its acts."""
    directory = Path(tempfile.mkdtemp(prefix="az-demo-", dir="/tmp"))
    copy = module.copy_policies

    def run(text="", other=""):
        def change(target):
            copy(target)
            policy = target / "work.yaml"
            assert text in policy.read_text()
            policy.write_text(policy.read_text().replace(text, other))

        monkeypatch.setattr(module, "copy_policies", change)
        with Servers(directory) as servers:
            found = start_site(servers, time.time())
            seen = []
            Work(found, Records(found.decisions), seen.append).run()
        return seen

    yield run
    shutil.rmtree(directory)


def test_it_goes_as_it_has_to(acts):
    """Each act, to the end of the task."""
    seen = acts()
    assert [act for act in seen if not act.good] == []
    answers = [act.answer for act in seen]
    assert (answers[0], answers[-1], len(answers)) == ("opened", "deny", 14)


@pytest.mark.parametrize(
    ("text", "other", "wrong"),
    [
        (
            "then: quarantine\n    contain: {principal: 1h}",
            "then: observe",
            ["show the analyst's token, which leaked", "go on with its own work"],
        ),
        (", strip: [txn-token]", "", ["look at what arrived"]),
        ("reports.read_*, reports.write_*", "reports.*", ["delete the old one, which is outside of the task"]),
        ("by: [group:data-owners]}", "by: [group:data-owners], uses: 2}", ["and once more"]),
    ],
)
def test_what_goes_wrong_is_told(acts, text, other, wrong):
    """One thing less in the policy, and just that act was answered otherwise."""
    assert [act.note for act in acts(text, other) if not act.good] == wrong
