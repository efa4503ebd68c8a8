"""Entities as operators write them, checked and brought into the one form in which steps carry them."""

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from authz_server.model import Entity
from authz_server.spiffe import parse_spiffe_id

MAX_NAME: Final = 256
"""Characters of a task's id and of an originator: issuers keep theirs far shorter."""
SOURCE_PREFIX: Final = 64
"""Bits of an IPv6 address that make a place: a host has as many addresses of one network as it likes."""

_LEGACY: Final = re.compile(r"legacy:[A-Za-z0-9_./-]{1,64}")
"""How the policy names a caller without an SVID."""
_GROUP: Final = re.compile(r"group:[A-Za-z0-9_./-]{1,64}")
_CREDENTIAL: Final = re.compile(r"[0-9a-f]{32}")
_NAME: Final = re.compile(rf"[!-~]{{1,{MAX_NAME}}}")


def canonical_entity(entity: Entity) -> Entity:
    """Check an entity that an operator names.

    Returns:
        It, with an address as the place that it stands for: IPv4 as it is, IPv6 as its /64.

    Raises:
        ValueError: no step could ever carry it; the message says what is expected.
    """
    readers = _READERS.get(entity.type)
    if readers is None:
        raise ValueError(f"`{entity.type[:32]}` cannot be contained; what can is {', '.join(sorted(_READERS))}")
    if len(entity.parts) != len(readers):
        raise ValueError(f"a {entity.type} is made of {len(readers)} parts, not of {len(entity.parts)}")
    return Entity(entity.type, tuple(read(part) for read, part in zip(readers, entity.parts, strict=True)))


def _principal(text: str) -> str:
    if _LEGACY.fullmatch(text):
        return text
    return _workload(text)


def _workload(text: str) -> str:
    found = parse_spiffe_id(text)
    if found is None or not found.path:
        raise ValueError("a principal is a SPIFFE ID with a path, such as spiffe://corp.example/ns/agents/sa/a13")
    return text


def _issuer(text: str) -> str:
    return text if _GROUP.fullmatch(text) else _workload(text)


def _originator(text: str) -> str:
    return text if parse_spiffe_id(text) is not None else _name(text)


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError(f"a name has 1 to {MAX_NAME} visible ASCII characters and no space")
    return text


def _credential(text: str) -> str:
    if _CREDENTIAL.fullmatch(text) is None:
        raise ValueError("a credential is known by 32 lower-case hexadecimal digits, as the decision log shows them")
    return text


def _source(text: str) -> str:
    try:
        if text.endswith(f"/{SOURCE_PREFIX}"):
            return str(IPv6Network(text))
        address = ip_address(text)
        unfolded = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        if isinstance(address, IPv4Address) or unfolded is not None:
            return str(unfolded or address)
        if not address.scope_id:
            return str(IPv6Network((int(address) >> SOURCE_PREFIX << SOURCE_PREFIX, SOURCE_PREFIX)))
    except ValueError:
        pass
    raise ValueError(f"a source is an IPv4 address, an IPv6 address, or an IPv6 network of {SOURCE_PREFIX} bits")


_READERS: Final[Mapping[str, tuple[Callable[[str], str], ...]]] = {
    "principal": (_principal,),
    "instance": (_principal, _source),
    "pair": (_principal, _credential),
    "destination": (_principal, _workload),
    "task": (_name,),
    "lineage": (_issuer, _originator),
    "credential": (_credential,),
    "source": (_source,),
}
