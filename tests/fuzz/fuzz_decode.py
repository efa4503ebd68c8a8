"""Invariant: `Decoder.decode` raises nothing but DecodeError, never `decoder_fault`, and decides alike twice.

Mutates recorded and built checks for a while: `python -m tests.fuzz.fuzz_decode [SECONDS] [SEED]`. Prints the seed, and the
offending bytes in hexadecimal when the invariant breaks. Not collected by pytest: the property tests run in its place.
"""

import random
import sys
from pathlib import Path
from time import monotonic

from authz_server.envoy.credentials import CredentialSource
from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.errors import DecodeError
from authz_server.keyhash import KeyedHash
from tests.check_request import check_request, tcp_check_request

DATA = Path(__file__).parent.parent / "unit" / "envoy" / "data"
TOKENS = (
    b"//",
    b"%2f",
    b"%25",
    b"..;",
    b"\x00",
    b"\r\n",
    b",",
    b"\xff",
    b"\xc0\xaf",
    b"x-authz-",
    b"\x0a\x00",
    b"true",
)
SETTINGS = DecodeSettings(
    KeyedHash(b"0123456789abcdef"),
    (CredentialSource("authorization", ("bearer", "basic")), CredentialSource("x-api-key")),
)


def corpus():
    """Recorded and built checks."""
    built = [
        check_request("POST", "/a?b", {"authorization": "Basic YTpi", "x-api-key": "k"}, b"{}", raw_headers=raw)
        for raw in (True, False)
    ]
    metadata = {"jwt": {"list": [1, None, {"a": "b"}]}}
    return [
        *(path.read_bytes() for path in sorted(DATA.glob("*.bin"))),
        *built,
        check_request(metadata=metadata, context={"authz.max_body": "10"}, certificate="x", principal="y", source=""),
        tcp_check_request("spiffe://a/b", "a.example"),
    ]


def mutate(rng, seeds):
    """One mutant: splices, flips, insertions and cuts."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0 and place < len(data):
            data[place] = rng.randrange(256)
        elif kind == 1:
            data[place:place] = rng.choice(TOKENS)
        elif kind == 2:
            del data[place : place + rng.randint(1, 8)]
        elif kind == 3:
            token = rng.choice(TOKENS)
            data[place : place + len(token)] = token  # keeps lengths, so the message stays parseable
        else:
            other = rng.choice(seeds)
            start = rng.randrange(len(other))
            data[place:place] = other[start : start + rng.randint(1, 64)]
    return bytes(data)


def verdict(decoder, payload):
    """The request or the code of its refusal."""
    try:
        return decoder.decode(payload)
    except DecodeError as error:
        return error.code


def main(seconds=30.0, seed=None):
    """Run for so many seconds; the exit status is 1 when the invariant broke."""
    seed = random.randrange(2**32) if seed is None else seed
    rng, seeds, decoder = random.Random(seed), corpus(), Decoder(SETTINGS)
    end, count, decoded = monotonic() + seconds, 0, 0
    while monotonic() < end:
        payload = mutate(rng, seeds)
        first = verdict(decoder, payload)
        if first == "decoder_fault" or first != verdict(Decoder(SETTINGS), payload):
            sys.stderr.write(f"seed {seed}: {first!r} for {payload.hex()}\n")
            return 1
        count += 1
        decoded += not isinstance(first, str)
    sys.stdout.write(f"seed {seed}: {count} mutants, {decoded} decoded, the others refused\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*(convert(argument) for convert, argument in zip((float, int), sys.argv[1:], strict=False))))
