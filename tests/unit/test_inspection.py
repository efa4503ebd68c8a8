"""What `policy lint` and `check` show."""

import io
import json

import pytest
from rich.console import Console

from authz_server.config import load_config
from authz_server.errors import ConfigError, PolicyError
from authz_server.inspection import check_request, lint_policy
from tests import check_request as checks

POLICY = """\
version: 1
actions:
  - {name: read, match: {method: GET, path: /v1/things}, kind: read}
signals:
  calls: {count: steps, per: [principal], window: 10s}
  unread: {count: steps, per: [principal], window: 10s}
rules:
  - {name: all-read, match: {principal: "spiffe://**", action: read}, then: allow}
  - {name: no-exports, match: {action: read}, when: 'request.query == "export"', then: deny}
  - {name: fails, match: {action: read}, when: 'request.headers["x-missing"] == "x"', then: deny}
  - {name: too-fast, when: signals.calls > 3, then: throttle}
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY)
    return load_config("", b"", {"policies": str(tmp_path)})


def show(config, data, *, as_json=False):
    out = io.StringIO()
    allowed = check_request(config, data, Console(file=out, width=200, soft_wrap=True), as_json=as_json)
    return allowed, out.getvalue()


def request(path="/v1/things", **more):
    return checks.check_request(path=path, principal="spiffe://corp.example/ns/a/sa/b", **more)


def test_lint_counts_what_it_found(tmp_path):
    """The warnings as faults with a place, and one line that sums up."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    report = lint_policy(tmp_path)
    assert [fault.path for fault in report.warnings] == ["signals.unread", "rules[2].when"]
    assert report.summary.startswith("ok: 4 rules, 1 actions, 2 warnings, digest ")


def test_lint_refuses_what_does_not_compile(tmp_path):
    """Every fault, as the server would refuse it."""
    (tmp_path / "policy.yaml").write_text(POLICY.replace("then: deny", "then: dny"))
    with pytest.raises(PolicyError) as caught:
        lint_policy(tmp_path)
    assert len(caught.value.faults) == 2


def test_an_allowed_request_is_shown_with_its_readings(config):
    """Decision, rule, matches and the nearness to every limit; an errant rule denies and is named."""
    allowed, text = show(config, request(headers={"x-missing": "1"}))
    assert allowed
    assert text.splitlines()[0] == "allow (ok)"
    assert "  matched all-read: allow" in text
    assert "  signals.calls = 1 (limit 3)" in text


def test_a_denied_request_is_shown_with_its_rule(config):
    """The rule that denied, and one whose condition failed."""
    allowed, text = show(config, request("/v1/things?export", headers={"x-missing": "1"}))
    assert not allowed
    assert text.startswith("deny (denied)\n  rule: no-exports\n")
    allowed, text = show(config, request())
    assert not allowed
    assert text.startswith("deny (evaluation_error)\n  rule: fails\n")
    assert "matched fails: deny (" in text


def test_counters_are_fresh_each_time(config):
    """Asking often throttles nobody."""
    assert [show(config, request(headers={"x-missing": "1"}))[0] for _ in range(6)] == [True] * 6


def test_json_is_the_record(config):
    """One document, whatever the width of the terminal."""
    allowed, text = show(config, request(headers={"x-missing": "1"}), as_json=True)
    record = json.loads(text)
    assert allowed
    assert record["decision"] == "allow"
    assert record["request"]["path"] == "/v1/things"


def test_garbage_is_no_request(config):
    """What cannot be read is a fault of the request, and no decision."""
    with pytest.raises(ConfigError, match=r"expected envoy\.service\.auth\.v3\.CheckRequest"):
        show(config, b"\xff\xff")
