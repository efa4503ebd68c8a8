"""A record beside its sealed form."""

import pytest

from authz_server.containment.held import MAX_VALUE, open_value, seal_record, sealed_of, tag_of
from authz_server.containment.seal import Opener, SealError, Signer, derived_keys
from authz_server.state.keys import Keys
from tests.unit.containment.fleet import ALICE, BOB, KEYED, NOW, record

PRIVATE, PUBLIC = derived_keys(KEYED)


def test_value_of_the_store() -> None:
    """A value is the version and the sealed record, and is read again."""
    held = seal_record(Signer(PRIVATE, KEYED), record())
    assert held.value.startswith(b"%d|" % (NOW * 1000))
    assert open_value(Opener([PUBLIC], KEYED), held.value) == held


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "malformed"),
        (b"|x", "malformed"),
        (b"5|", "malformed"),
        (b"05|x", "malformed"),
        (b"-5|x", "malformed"),
        (b"9" * 17 + b"|x", "malformed"),
        (b"5|" + b"x" * MAX_VALUE, "oversized"),
    ],
)
def test_no_value(value: bytes, code: str) -> None:
    """Anything else is refused before it is opened."""
    with pytest.raises(SealError, match=code):
        sealed_of(value)


def test_tag() -> None:
    """An entity has one name of 32 hexadecimal digits, which is that of its flag."""
    keys = Keys(KEYED)
    tag = tag_of(keys, ALICE)
    assert len(tag) == 32
    assert keys.flag(ALICE) == b"az:{%b}:q" % tag
    assert tag_of(keys, BOB) != tag
