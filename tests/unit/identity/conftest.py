"""Requests and callers for the tests of identities."""

import pytest

from authz_server.model import BodyState, Request

_BLANK = Request(
    protocol="http", method="GET", path="/", raw_path="/", query="", host="api.example", headers={}, repeated={}, body=b"",
    body_state=BodyState.ABSENT, upgrade="", source_address="192.0.2.1", source_principal="", source_certificate="",
    destination_address="192.0.2.2", destination_principal="", destination_service="", context={}, metadata={},
    credentials=(), spoofed=(), id="1",
)  # fmt: skip


@pytest.fixture(scope="session")
def make_request():
    """A plain request with the given fields; `xfcc` becomes the header."""

    def make(xfcc: str | None = None, **fields) -> Request:
        if xfcc is not None:
            fields["headers"] = {"x-forwarded-client-cert": xfcc}
        return _BLANK._replace(**fields)

    return make
