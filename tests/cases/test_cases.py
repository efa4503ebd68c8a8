"""Runs every YAML case of this folder through the whole engine: bytes in, bytes out, a virtual clock in between.

A case is a policy and steps. A step says when (`at`, seconds from the start), who (`as`, `from`), what (`request`), how often
(`repeat`, `every`), and what is expected of its last repetition: `decision`, `reason`, `rule`, `action`, `readings`, `status`, `headers`.
"""

from pathlib import Path

import pytest
import yaml

from tests.harness import START, Bench

FOLDER = Path(__file__).parent
FIELDS = {"at", "as", "from", "request", "repeat", "every", "expect", "note"}


def load():
    for path in sorted(FOLDER.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield pytest.param(document, id=f"{path.stem}:{document['name']}")


def observed(bench, answer):
    """What can be expected of a step."""
    event = bench.events[-1]
    verdict = event.verdict
    return {
        "decision": verdict.decision.value,
        "reason": verdict.reason.value,
        "rule": verdict.rule,
        "detail": verdict.detail,
        "action": verdict.action,
        "readings": {reading.signal: reading.value for reading in verdict.readings},
        "status": answer.denied_response.status.code if answer.status.code else 200,
        "headers": {option.header.key: option.header.value for option in answer.ok_response.headers},
        "degraded": verdict.degraded,
    }


@pytest.mark.parametrize("case", list(load()))
def test_case(case):
    """Every step of the case has the expected outcome."""
    bench = Bench(case["policy"])
    for number, step in enumerate(case["steps"], 1):
        assert set(step) <= FIELDS, f"step {number} has unknown fields"
        bench.clock.now = max(bench.clock.now, START + step.get("at", bench.clock.now - START))
        for repetition in range(step.get("repeat", 1)):
            bench.clock.now += step.get("every", 0) if repetition else 0
            wanted = step.get("request", {})
            payload = bench.payload(principal=step.get("as", ""), source=step.get("from", "10.1.2.3"), **wanted)
            (answer,) = bench.decide(payload)
        seen = observed(bench, answer)
        for field, expected in step["expect"].items():
            found = seen[field]
            if isinstance(expected, dict):
                found = {key: found.get(key) for key in expected}
            assert found == expected, f"step {number} ({step.get('note', '')}): {field}"
