"""The policy changes under load, as a ConfigMap does: no request notices but by its decision."""

import pytest

from tests.configmap import ConfigMap
from tests.envoy_site import await_value, decision_of
from tests.load import load
from tests.site_pki import agent

pytestmark = [pytest.mark.e2e, pytest.mark.server]

GRANT = "{name: admins, match: {principal: $(agents), action: admin}, then: allow}"


def digests(pair):
    return {replica.readiness()["policy_digest"] for replica in pair.replicas}


def await_digest(pair, known):
    """Wait until both replicas have left the known policy for one and the same other; its digest."""
    return await_value(lambda: len(found := digests(pair)) == 1 and not found & known and found).pop()


def test_a_new_policy_takes_over_and_a_broken_one_does_not(pair):
    """New policy in force, broken one reported by file and line and left out, old one back; every request answered."""
    mount = ConfigMap(pair.directory / "policies")
    original = (mount.root / "policy.yaml").read_text()
    probe = agent("reader")
    assert pair.get(probe, "/admin/x").status_code == 403
    (first,) = digests(pair)
    try:
        with load(pair) as running:
            mount.write(f"{original}  - {GRANT}\n")
            second = await_digest(pair, {first})
            allowed = [pair.get(probe, "/admin/x") for _ in range(4)]
            assert [answer.status_code for answer in allowed] == [200] * 4
            assert pair.record(decision_of(allowed[0]))["policy_digest"] == second

            typo, stray = (
                GRANT.replace("then: allow", "then: alow"),
                GRANT.replace("admins", "x").replace("admin}", "amin}"),
            )
            broken = f"{original}  - {typo}\n  - {stray}\n"
            mount.write(broken)
            await_value(lambda: all(r.readiness()["policy_reload"] == "failing" for r in pair.replicas))
            assert digests(pair) == {second}
            assert [pair.get(probe, "/admin/x").status_code for _ in range(4)] == [200] * 4

            mount.write(original)
            assert await_digest(pair, {second}) == first
            assert {r.readiness()["policy_reload"] for r in pair.replicas} == {"ok"}
    finally:
        mount.write(original)
    assert pair.get(probe, "/admin/x").status_code == 403
    assert len(running.answers) > 100
    assert running.others() == []
    lines = broken.count("\n")
    for replica in pair.replicas:
        log = replica.log()
        assert f"policy.yaml:{lines - 1}: rules[6].then: unknown effect `alow`" in log
        assert f"policy.yaml:{lines}: rules[7].match.action: no entry of `actions` fits `amin`" in log
        assert "policy reload refused (2 faults); the last good one stays in force" in log
        assert f"policy loaded: digest {second}" in log
        assert "Traceback" not in log
