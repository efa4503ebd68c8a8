"""Following pods over real HTTPS, from a server that speaks the watch protocol of Kubernetes, and that fails in all its ways."""

import threading
import time

import pytest

from authz_server.demo.pki import Authority
from authz_server.errors import ConfigError
from authz_server.taskbook import pod_api
from authz_server.taskbook.pod_api import WATCH_S, in_cluster
from tests.envoy_site import await_value
from tests.listening import short_directory
from tests.pod_server import CUT, HOLD, Site
from tests.unit.taskbook.cluster import A, B, recorded

pytestmark = pytest.mark.server


@pytest.fixture
def site():
    with short_directory() as path:
        found = Site(path)
        yield found
        found.close()


def test_a_list_and_the_watches_behind_it(site):
    """With a token and bookmarks; the pods are known, and their end is."""
    opened = time.time()
    site.step(recorded("job"))
    assert site.workloads.running == 3
    site.step(recorded("job_end") + recorded("bookmark"))
    assert (site.workloads.running, site.watch.failed) == (2, {})
    assert not site.workloads.is_gone(B, 0)
    assert site.workloads.is_gone(A, opened - 60)
    first, second, third, fourth = site.server.asked
    assert first == ("/api/v1/pods", {"limit": "100"}, "Bearer first.token")
    assert second[1] == {"limit": "100", "continue": "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NDgyMDB9"}
    watch = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S)}
    assert third[1] == watch | {"resourceVersion": "48200"}
    assert fourth[1] == watch | {"resourceVersion": "48300"}


def test_a_connection_that_breaks_is_resumed_where_it_was(site):
    """In the middle of a chunk; what was whole counts."""
    assert site.step(recorded("job"), recorded("job_end"), CUT) > 0
    assert site.watch.failed == {"connection": 1}
    assert not site.workloads.is_gone(A, 0)
    site.step(recorded("bookmark"))
    assert site.server.asked[-1][1]["resourceVersion"] == "48411"
    assert site.workloads.is_gone(A, 0)
    assert site.watch.lists == 1


def test_a_token_that_is_replaced_is_read_anew(site):
    site.step(recorded("bookmark"))
    site.token.write_text("second.token")
    site.step(recorded("bookmark"))
    assert [token for _, _, token in site.server.asked] == ["Bearer first.token"] * 3 + ["Bearer second.token"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "unauthorized"), (403, "forbidden"), (410, "expired"), (429, "status"), (500, "status"), (302, "status")],
)
def test_what_the_server_refuses(site, status, code):
    """A redirect is not followed: the token is for this server alone."""
    site.step(recorded("bookmark"))
    site.server.statuses.append(status)
    assert site.step(recorded("bookmark")) > 0
    assert site.watch.failed == {code: 1}
    asked = len(site.server.asked)
    site.watch.step()
    assert [path for path, _, _ in site.server.asked[asked:]] == ["/api/v1/pods"] * 3
    assert site.watch.lists == 2


def test_a_server_of_another_authority_gets_no_token(site):
    """Nor is anything believed that it says."""
    site.ca.write_bytes(Authority("corp.example", time.time()).bundle_pem)
    assert site.watch.step() > 0
    assert (site.watch.failed, site.server.asked) == ({"certificate": 1}, [])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "token_unreadable"),
        (b"a\r\nX: y", "token_unreadable"),
        (b"a" * 20_000, "token_unreadable"),
        (b"\xff", "token_unreadable"),
        (None, "account_missing"),
    ],
    ids=["empty", "a header of its own", "too long", "no text", "missing"],
)
def test_a_token_that_is_none(site, content, code):
    if content is None:
        site.token.unlink()
    else:
        site.token.write_bytes(content)
    site.watch.step()
    assert (site.watch.failed, site.server.asked) == ({code: 1}, [])


def test_one_namespace_alone(site):
    site.follow(namespace="agents")
    site.step(recorded("bookmark"))
    assert {path for path, _, _ in site.server.asked} == {"/api/v1/namespaces/agents/pods"}
    for name in ("../x", "a/b", "A", "-a", "a" * 64):
        with pytest.raises(ValueError, match="RFC 1123"):
            site.follow(namespace=name)


def test_a_server_that_falls_silent(site, monkeypatch):
    monkeypatch.setattr(pod_api, "SILENT_S", 0.2)
    assert site.step(recorded("job"), HOLD) > 0
    assert site.watch.failed == {"timeout": 1}


def test_a_watch_that_never_ends(site):
    """Is ended here, however much it says."""
    late = iter([0.0, 0.0, 0.0, *[WATCH_S + 21.0] * 1000])
    site.follow(monotonic=lambda: next(late))
    assert site.step(*[recorded("bookmark")] * 50) > 0
    assert site.watch.failed == {"timeout": 1}


def test_a_page_that_is_too_large(site, monkeypatch):
    monkeypatch.setattr(pod_api, "MAX_PAGE", 1000)
    site.watch.step()
    assert site.watch.failed == {"page_too_large": 1}


def test_it_stops_at_once_while_a_watch_is_open(site):
    """And no thread is left behind."""
    site.server.watches.append([recorded("job"), HOLD])
    site.watch.start()
    await_value(lambda: site.workloads.running == 3)
    site.watch.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "pods"]
    assert not site.watch.failed


def test_nothing_is_asked_after_an_interrupt(site):
    """A connection that was being made when it came is given up."""
    site.api.interrupt()
    site.watch.step()
    assert (site.watch.failed, site.server.asked) == ({"interrupted": 1}, [])


def test_a_server_that_is_not_there(site):
    site.close()
    assert site.watch.step() > 0
    assert site.watch.failed == {"connection": 1}


def test_the_cluster_that_this_server_runs_in():
    """By the variables of the kubelet."""
    found = in_cluster({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"})
    assert found[:2] == ("10.96.0.1", 443)
    assert str(found.token) == "/var/run/secrets/kubernetes.io/serviceaccount/token"
    for wrong in (
        {},
        {"KUBERNETES_SERVICE_HOST": "10.96.0.1"},
        {"KUBERNETES_SERVICE_HOST": "a b", "KUBERNETES_SERVICE_PORT": "443"},
        {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "tcp://x"},
    ):
        with pytest.raises(ConfigError, match=r"tasks\.kubernetes"):
            in_cluster(wrong)
