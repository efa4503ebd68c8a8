"""No text makes the reader of policies fail otherwise than by faults."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.policy.catalogue import Catalogue
from authz_server.policy.schema import parse_policy

_EXAMPLE = Path(__file__).parents[1] / "unit" / "policy" / "data" / "example"
_LINES = [line for path in sorted(_EXAMPLE.iterdir()) for line in path.read_text().splitlines()]
_PIECES = [
    "{",
    "}",
    "[",
    "]",
    "*",
    "&a",
    "*a",
    "!x",
    "$(domain)",
    "$(",
    "null",
    "5",
    "true",
    "''",
    "\t",
    ": ",
    "- ",
    "#",
    "\x00",
    "é",
    "<<: {}",
    "---",
    "|",
    "1e9",
]


def _check(files: dict[str, bytes]) -> None:
    parsed = parse_policy(files)
    for fault in (*parsed.faults, *parsed.warnings):
        assert fault.file in {*files, "policy"}
        assert len(fault.message) < 1000
        assert fault.message.isprintable()
    Catalogue.compile(parsed.text.actions, parsed.text.defaults)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data):
    """Random bytes."""
    _check({"a.yaml": data})


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text(text):
    """Random text."""
    _check({"a.yaml": text.encode()})


_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(["a", "5%", "1h", "$(x)", "deny", "read", "/x", "spiffe://**", "*"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([
        "name", "match", "exclude", "then", "when", "kind", "cases", "path", "host", "header", "method", "action", "principal", "count", "distinct",
        "sequence", "per", "each", "window", "contain", "pair", "enforce", "tags", "unclassified", "grpc.service", "upgrade", "source", "hours", "x",
    ]), inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


def _flow(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    return f'"{value}"' if isinstance(value, str) else str(value)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["version", "vars", "facts", "actions", "signals", "rules", "defaults", "tasks"]), _VALUES
    )
)
def test_any_structure(document):
    """Well-formed YAML whose values stand where they do not belong."""
    _check({"a.yaml": "".join(f"{key}: {_flow(value)}\n" for key, value in document.items()).encode()})


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_example_with_pieces_cut_out_and_put_in(data):
    """A real policy after a bad edit."""
    lines = list(_LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(lines) - 1))
        line = lines[index]
        start = data.draw(st.integers(0, len(line)))
        end = data.draw(st.integers(start, min(len(line), start + 12)))
        lines[index] = line[:start] + data.draw(st.sampled_from(["", *_PIECES])) + line[end:]
    _check({"a.yaml": "\n".join(lines).encode()})
