"""Seals: only the control plane of this deployment makes them, and only for one purpose."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from authz_server.containment.seal import MAX_SEALED, Box, Opener, SealError, Signer, derived_keys
from tests.unit.containment.fleet import KEYED, STRANGER

PRIVATE = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
SIGNER = Signer(PRIVATE, KEYED)
OPENER = Opener([PRIVATE.public_key()], KEYED)


def refused(opener: Opener, data: bytes, purpose: bytes = b"p") -> str:
    with pytest.raises(SealError) as refusal:
        opener.open(purpose, data)
    return refusal.value.code


@given(st.binary(max_size=300))
def test_opens_what_was_sealed(payload: bytes) -> None:
    """What is signed and encrypted comes back, and the same always has the same form."""
    sealed = SIGNER.seal(b"p", payload)
    assert OPENER.open(b"p", sealed) == payload
    assert SIGNER.seal(b"p", payload) == sealed
    assert len(payload) < 8 or payload not in sealed


@given(st.data())
def test_any_change_is_noticed(data: st.DataObject) -> None:
    """Flipping any bit, cutting or adding makes it a forgery."""
    sealed = SIGNER.seal(b"p", b"payload")
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at] + bytes([sealed[at] ^ (1 << data.draw(st.integers(0, 7)))]) + sealed[at + 1 :]
    assert refused(OPENER, changed) == "forged"
    assert refused(OPENER, sealed[:at]) == "forged"
    assert refused(OPENER, sealed + b"x") == "forged"


def test_purpose_is_bound() -> None:
    """What was sealed for one purpose opens for no other, in either layer."""
    assert refused(OPENER, SIGNER.seal(b"p", b"x"), b"q") == "forged"
    inside = Box(KEYED).open(b"p", SIGNER.seal(b"p", b"x"))
    assert refused(OPENER, Box(KEYED).close(b"q", inside), b"q") == "bad_signature"


def test_hash_secret_alone_signs_nothing() -> None:
    """A data role can encrypt as it likes; without the control plane's key it states nothing."""
    box = Box(KEYED)
    inside = box.open(b"p", SIGNER.seal(b"p", b"x"))
    assert refused(OPENER, box.close(b"p", inside[:-1] + b"y")) == "bad_signature"
    assert refused(OPENER, box.close(b"p", b"\0" * 8 + inside[8:])) == "unknown_key"
    assert refused(OPENER, box.close(b"p", inside[:8])) == "bad_signature"
    assert refused(OPENER, box.close(b"p", b"")) == "unknown_key"
    assert refused(OPENER, Signer(OTHER, KEYED).seal(b"p", b"x")) == "unknown_key"


def test_other_deployment() -> None:
    """Nothing of another deployment opens, not even when it has the same key and its secret leaks."""
    foreign = Signer(PRIVATE, STRANGER).seal(b"p", b"x")
    assert refused(OPENER, foreign) == "forged"
    assert refused(OPENER, Box(KEYED).close(b"p", Box(STRANGER).open(b"p", foreign))) == "bad_signature"


def test_bounds() -> None:
    """What is too long is not looked at; what is too short is no seal."""
    assert refused(OPENER, b"\x01" * (MAX_SEALED + 1)) == "oversized"
    for length in (0, 1, 28):
        assert refused(OPENER, b"\x01" * length) == "forged"


def test_keys_rotate() -> None:
    """While one key takes over from another, both are believed."""
    both = Opener([PRIVATE.public_key(), OTHER.public_key()], KEYED)
    for private in (PRIVATE, OTHER):
        assert both.open(b"p", Signer(private, KEYED).seal(b"p", b"x")) == b"x"


def test_derived_keys() -> None:
    """Replicas with one hash secret derive one pair; another secret gives another."""
    private, public = derived_keys(KEYED)
    assert Opener([public], KEYED).open(b"p", Signer(private, KEYED).seal(b"p", b"x")) == b"x"
    assert derived_keys(KEYED)[0].private_bytes_raw() == private.private_bytes_raw()
    assert derived_keys(STRANGER)[0].private_bytes_raw() != private.private_bytes_raw()
