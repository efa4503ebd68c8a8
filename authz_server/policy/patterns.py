"""Patterns of the policy language outside of paths and SPIFFE IDs: globs over whole values, and networks.

In a glob `*` stands for any run of characters and everything else for itself, case-sensitively. Matching walks the value
once, without backtracking: a caller cannot make it slow. An absent value (`""`) is matched by no pattern, not even by
`*`, so that a rule on "any credential" never means "none".
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import product
from typing import Final

MAX_PATTERN: Final = 512
"""Characters of one pattern; a SPIFFE ID has at most 2 048, names and hosts at most 253."""
_MAX_KNOWN_ADDRESSES: Final = 4096
"""Addresses whose answer is kept; when full all are dropped, so that a flood of sources costs no memory."""


class Glob:
    """One pattern with at least one `*`."""

    __slots__ = ("_least", "middle", "prefix", "suffix", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.prefix, *middle, self.suffix = text.split("*")
        self.middle = tuple(part for part in middle if part)
        self._least = len(text) - text.count("*")

    def matches(self, value: str) -> bool:
        """Whether the pattern covers the whole value."""
        if len(value) < self._least or not value.startswith(self.prefix) or not value.endswith(self.suffix):
            return False
        at, end = len(self.prefix), len(value) - len(self.suffix)
        # The leftmost place for each part leaves the most room for the rest, so no place is ever tried twice.
        for part in self.middle:
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    def overlaps(self, other: "Glob") -> bool:
        """Whether some value is covered by both."""
        if not (self.prefix.startswith(other.prefix) or other.prefix.startswith(self.prefix)):
            return False
        if not (self.suffix.endswith(other.suffix) or other.suffix.endswith(self.suffix)):
            return False
        # With one `*` each, the longer prefix and the longer suffix make such a value.
        return not (self.middle or other.middle) or _meet(self.text, other.text)


def _meet(one: str, two: str) -> bool:
    """Whether two globs have a value in common: which pairs of positions can be reached together, row by row."""
    row = [True] + [False] * len(two)
    for at in range(len(one) + 1):
        following = [False] * (len(two) + 1)
        for other, reached in enumerate(row):
            if not reached:
                continue
            inside, inside_other = at < len(one), other < len(two)
            # A `*` ends, or swallows what stands in the other pattern.
            star = (inside and one[at] == "*") or (inside_other and two[other] == "*")
            if inside_other and star:
                row[other + 1] = True
            if inside and star:
                following[other] = True
            elif inside and inside_other and one[at] == two[other]:
                following[other + 1] = True
        if at == len(one):
            break
        row = following
    return row[-1]


class Globs:
    """A list of patterns, of which one must cover the value."""

    __slots__ = ("globs", "literals")

    def __init__(self, literals: frozenset[str], globs: tuple[Glob, ...]) -> None:
        self.literals = literals
        self.globs = globs

    def matches(self, value: str) -> bool:
        """Whether one of the patterns covers the whole value; false for `""`."""
        if value in self.literals:
            return True
        if value:
            for glob in self.globs:
                if glob.matches(value):
                    return True
        return False

    def overlaps(self, other: "Globs") -> bool:
        """Whether some value is covered by both lists."""
        if not self.literals.isdisjoint(other.literals):
            return True
        return (
            any(map(self.matches, other.literals))
            or any(map(other.matches, self.literals))
            or any(one.overlaps(two) for one, two in product(self.globs, other.globs))
        )


def compile_globs(patterns: Iterable[str]) -> Globs:
    """Compile a list of patterns.

    Raises:
        ValueError: a pattern is empty or longer than 512 characters.
    """
    literals: set[str] = set()
    globs: dict[str, Glob] = {}
    for pattern in patterns:
        if not 0 < len(pattern) <= MAX_PATTERN:
            raise ValueError(f"a pattern has 1 to {MAX_PATTERN} characters")
        if "*" in pattern:
            globs[pattern] = Glob(pattern)
        else:
            literals.add(pattern)
    return Globs(frozenset(literals), tuple(globs.values()))


class Networks:
    """A list of IP networks, of which one must contain the address."""

    __slots__ = ("_known", "_prefixes", "ranges")

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network]) -> None:
        self._known: dict[str, bool] = {}
        prefixes: dict[tuple[int, int], set[int]] = {}
        ranges: list[tuple[int, int, int]] = []
        for network in networks:
            shift = network.max_prefixlen - network.prefixlen
            first = int(network.network_address)
            prefixes.setdefault((network.version, shift), set()).add(first >> shift)
            ranges.append((network.version, first, int(network.broadcast_address)))
        self._prefixes = tuple((version, shift, frozenset(found)) for (version, shift), found in prefixes.items())
        self.ranges = tuple(ranges)

    def matches(self, address: str) -> bool:
        """Whether the address lies in one of the networks; false for `""` and for what is no address.

        Args:
            address: as in `Request.source_address`: no port, IPv4-mapped IPv6 unfolded.
        """
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _MAX_KNOWN_ADDRESSES:
                self._known = {}
            known = self._known[address] = self._contains(address)
        return known

    def _contains(self, address: str) -> bool:
        try:
            parsed: IPv4Address | IPv6Address = ip_address(address)
        except ValueError:
            return False
        number = int(parsed)
        return any(version == parsed.version and number >> shift in found for version, shift, found in self._prefixes)

    def overlaps(self, other: "Networks") -> bool:
        """Whether some address lies in both lists."""
        return any(
            one[0] == two[0] and one[1] <= two[2] and two[1] <= one[2]
            for one, two in product(self.ranges, other.ranges)
        )


def compile_networks(patterns: Iterable[str]) -> Networks:
    """Compile a list of CIDR networks and single addresses (RFC 4632, RFC 4291).

    Raises:
        ValueError: one is malformed, has bits set behind its prefix, or is an IPv4-mapped IPv6 network.
    """
    return Networks([_network(pattern) for pattern in patterns])


def _network(pattern: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(pattern, strict=False)
    except ValueError:
        raise ValueError("this is no address and no network such as 10.4.2.0/24") from None
    if "%" in pattern or ("/" in pattern and not pattern.partition("/")[2].isdigit()):
        raise ValueError("a network is an address and the length of its prefix, such as 10.4.2.0/24")
    if str(ip_address(pattern.partition("/")[0])) != str(network.network_address):
        raise ValueError(f"the address has bits behind its prefix; the network is {network}")
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise ValueError("IPv4-mapped addresses are compared as IPv4: write the IPv4 network")
    return network
