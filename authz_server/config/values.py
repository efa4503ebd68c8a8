"""The small languages of configuration values: durations, sizes, rates, shares, patterns."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

from authz_server.spiffe import compile_spiffe_pattern, parse_spiffe_id

_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE: Final = re.compile(r"([0-9]{1,9})(KiB|MiB)?")
_BYTES: Final = {None: 1, "KiB": 1 << 10, "MiB": 1 << 20}
_RATE: Final = re.compile(r"([0-9]{1,6}) per ([0-9]{1,6}(?:s|m|h))")
_SHARE: Final = re.compile(r"([0-9]{1,2}|100)%")

_URL: Final = re.compile(
    r"https?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*/?"
)
"""Without what would end a path that follows it: neither query nor fragment (RFC 8414 2)."""

LOCAL: Final = "local"
"""Stands for whoever may use a Unix socket of `control`."""


def duration(text: object) -> float:
    """Parse `250ms`, `10s`, `5m`, `1h` or `7d` to seconds.

    Raises:
        ValueError: it is none of these.
    """
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("a duration is a number with ms, s, m, h or d, such as 10s")
    return int(found[1]) * _SECONDS[found[2]]


def size(text: object) -> int:
    """Parse `65536`, `64KiB` or `1MiB` to bytes.

    Raises:
        ValueError: it is none of these.
    """
    found = _SIZE.fullmatch(str(text)) if isinstance(text, str | int) and not isinstance(text, bool) else None
    if found is None:
        raise ValueError("a size is a number of bytes, or a number with KiB or MiB, such as 64KiB")
    return int(found[1]) * _BYTES[found[2]]


def _rate(text: object) -> tuple[int, float]:
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("expected a number and a time, such as: 20 per 10m")
    return int(found[1]), duration(found[2])


def _share(text: object) -> float:
    found = _SHARE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("expected a percentage from 0% to 100%")
    return int(found[1]) / 100


def _pattern(text: str) -> str:
    compile_spiffe_pattern(text)
    return text


def _member(text: str) -> str:
    if text != LOCAL:
        compile_spiffe_pattern(text)
    return text


def _spiffe_id(text: str) -> str:
    parsed = parse_spiffe_id(text)
    if parsed is None or not parsed.path:
        raise ValueError("expected one exact SPIFFE ID, such as spiffe://corp.example/ns/edge/sa/gateway")
    return text


def is_wide(text: str) -> bool:
    """Whether a SPIFFE pattern fits workloads of any namespace, and so lets every workload act in the role it is listed for."""
    pattern = compile_spiffe_pattern(text)
    domain = text.removeprefix("spiffe://").partition("/")[0]
    trust_domain = "probe.example" if domain == "**" else domain
    probes = ("ns/any-namespace/sa/any-account", "any-workload", "any/workload", "any/thing/else")
    return any(pattern.matches(f"spiffe://{trust_domain}/{probe}") for probe in probes)


def _base(text: str) -> str:
    if _URL.fullmatch(text) is None or text.endswith("/"):
        raise ValueError(
            "expected a URL without query, fragment and slash at its end, such as https://authz.corp.example"
        )
    return text


def _issuer(text: str) -> str:
    if text and (_URL.fullmatch(text) is None or not text.startswith("https://")):
        raise ValueError("expected an https URL without query and fragment, such as https://authz.corp.example")
    return text


def _network(text: str) -> str:
    ip_network(text, strict=True)
    return text


Duration = Annotated[float, BeforeValidator(duration)]
Size = Annotated[int, BeforeValidator(size)]
Member = Annotated[str, AfterValidator(_member)]
SpiffePattern = Annotated[str, AfterValidator(_pattern)]
ExactSpiffeId = Annotated[str, AfterValidator(_spiffe_id)]
BaseUrl = Annotated[str, AfterValidator(_base)]
IssuerUrl = Annotated[str, AfterValidator(_issuer)]
Network = Annotated[str, AfterValidator(_network)]
Rate = Annotated[tuple[int, float], BeforeValidator(_rate)]
Share = Annotated[float, BeforeValidator(_share)]
FilePath = Annotated[Path, BeforeValidator(lambda text: Path(text) if isinstance(text, str) and text else text)]
