"""The certificate reader under attack: whatever the bytes are, it answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.identity.leaf import Leaf, decode_escaped, decode_pem, read_leaf
from authz_server.identity.svid import SvidVerifier, TrustBundle
from authz_server.model import Invalid
from tests.pki import DNS, NOW, URI, authority, leaf

ID = "spiffe://corp.example/ns/crm/sa/api"
ROOT = authority("corp root")
GOOD = leaf(ROOT, URI(ID), DNS("api.example"), subject="api")
EDITS = st.lists(
    st.tuples(st.integers(0, len(GOOD.der) - 1), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=4
)


def edit(der: bytes, edits: list[tuple[int, bytes, int]]) -> bytes:
    for position, insert, drop in edits:
        der = der[:position] + insert + der[position + drop :]
    return der


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=1500, deadline=None)
@given(EDITS)
def test_a_mutated_certificate_is_refused_and_never_raises(edits):
    """No change of a signed certificate gives another principal, and none makes the reader raise.

    The same one it may give: the count of unused bits in front of the signature is not signed, and openssl ignores it.
    """
    der = edit(GOOD.der, edits)
    verifier = SvidVerifier([TrustBundle("corp.example", (ROOT.certificate,))])
    read, result = read_leaf(der), verifier.verify_der(der, NOW)
    assert isinstance(read, Leaf | Invalid)
    assert isinstance(result, Invalid) or result.id == ID


@settings(max_examples=200, deadline=None)
@given(st.text() | st.text(alphabet="-BEGINCRTFA %0\n+/=Da").map(lambda t: f"-----BEGIN CERTIFICATE-----\n{t}"))
def test_arbitrary_text_decodes_to_bytes_or_a_reason(text):
    """Both decoders of text answer for every text."""
    assert isinstance(decode_pem(text), bytes | Invalid)
    assert isinstance(decode_escaped(text), bytes | Invalid)
