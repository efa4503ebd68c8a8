"""Every numbered semantic of the policy language has a test of its own."""

import re
from pathlib import Path

NUMBERED = 28
_TEST = re.compile(r"^def test_([0-9]{2})_", re.MULTILINE)


def test_every_semantic_has_a_test():
    """Named by its number."""
    here = Path(__file__).parent
    found = {int(number) for path in here.glob("test_*.py") for number in _TEST.findall(path.read_text())}
    assert found == set(range(1, NUMBERED + 1))
