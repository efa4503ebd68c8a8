"""What is shown of a credential; the rest of the declared work is tested on a real site (tests/e2e/test_demo_work.py)."""

import pytest

from authz_server.demo.work import _claims
from authz_server.task.jws import encode_part


def test_the_claims_of_a_token():
    """As they are, whoever signed them."""
    claims = encode_part(b'{"aud": "a", "exp": 7}')
    assert _claims(f"e30.{claims}.c2ln") == {"aud": "a", "exp": 7}


@pytest.mark.parametrize("token", ["", "a", "..", "a.b.c", "a.\u00e9.c", f"a.{encode_part(b'[1]')}.c", "a.e30"])
def test_what_is_none_has_no_claims(token):
    """Nor does an object without any."""
    assert _claims(token) == {}
