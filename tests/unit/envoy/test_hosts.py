"""One spelling for each authority, or a refusal."""

import pytest

from authz_server.envoy import hosts
from authz_server.envoy.hosts import canonical_host
from authz_server.errors import DecodeError


@pytest.mark.parametrize(
    ("raw", "host"),
    [
        ("crm.corp.example", "crm.corp.example"),
        ("CRM.Corp.Example", "crm.corp.example"),
        ("crm.corp.example:8443", "crm.corp.example"),
        ("crm.corp.example.", "crm.corp.example"),
        ("crm.corp.example.:80", "crm.corp.example"),
        ("localhost", "localhost"),
        ("my_service.ns", "my_service.ns"),
        ("_dmarc.corp.example", "_dmarc.corp.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("10.1.2.3:80", "10.1.2.3"),
        ("[::1]", "[::1]"),
        ("[2001:DB8:0:0::1]:443", "[2001:db8::1]"),
        (".".join(["a" * 63] * 3 + ["b" * 61]) + ".:65535", ".".join(["a" * 63] * 3 + ["b" * 61])),
    ],
)
def test_accepted(raw, host):
    """Lower-case, no port, no trailing dot."""
    assert canonical_host(raw) == host


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("", "host_missing"),
        ("user@crm.corp.example", "host_invalid"),
        ("crm.corp.example@evil.example", "host_invalid"),
        ("crm corp", "host_invalid"),
        (" crm", "host_invalid"),
        ("crm\t", "host_invalid"),
        ("crm\n", "host_invalid"),
        ("a,b", "host_invalid"),
        ("a..b", "host_invalid"),
        (".a", "host_invalid"),
        (".", "host_invalid"),
        ("a.b..", "host_invalid"),
        (":80", "host_invalid"),
        ("a/b", "host_invalid"),
        ("a%2eb", "host_invalid"),
        ("-a.example", "host_invalid"),
        ("a-.example", "host_invalid"),
        ("b\u00fccher.example", "host_invalid"),
        ("\u212a.example", "host_invalid"),
        ("a" * 64 + ".example", "host_invalid"),
        (".".join(["a" * 63] * 4), "host_invalid"),
        ("1.2.3", "host_invalid"),
        ("1.2.3.4.5", "host_invalid"),
        ("010.1.2.3", "host_invalid"),
        ("2130706433", "host_invalid"),
        ("0x7f.0.0.0x1", "host_invalid"),
        ("0x7f000001", "host_invalid"),
        ("a.example:", "host_bad_port"),
        ("a.example:x", "host_bad_port"),
        ("a.example:80:80", "host_bad_port"),
        ("a.example:65536", "host_bad_port"),
        ("a.example:000080", "host_bad_port"),
        ("a.example:-1", "host_bad_port"),
        ("a.example:\u0661", "host_invalid"),
        ("::1", "host_bad_port"),
        ("[::1", "host_invalid"),
        ("[::1]x", "host_invalid"),
        ("[::1]:", "host_bad_port"),
        ("[::1%25eth0]", "host_invalid"),
        ("[1.2.3.4]", "host_invalid"),
        ("[a.example]", "host_invalid"),
        ("a" * 300, "host_too_long"),
    ],
)
def test_refused(raw, code):
    """Userinfo, blanks, commas, empty labels, odd numbers and odd ports are refused."""
    with pytest.raises(DecodeError) as caught:
        canonical_host(raw)
    assert caught.value.code == code


def test_memory_is_bounded():
    """Invented names do not fill memory."""
    for number in range(3000):
        canonical_host(f"h{number}.example")
    assert len(hosts._memo) <= hosts._MEMO_SIZE
