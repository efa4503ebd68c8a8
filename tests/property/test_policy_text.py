"""No text makes the reader of policies fail otherwise than by faults."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from authz_server.policy.catalogue import Catalogue
from authz_server.policy.digest import digest_of
from authz_server.policy.schema import parse_policy
from authz_server.policy.sections import team_of
from authz_server.policy.words import ENVIRONMENT_SECTIONS, SECTIONS

_EXAMPLE = Path(__file__).parents[1] / "unit" / "policy" / "data" / "complete"
_PLATFORM = (_EXAMPLE / "platform.yaml").read_bytes()
_LINES = _PLATFORM.decode().splitlines()
_TEAM = "teams/billing/rules.yaml"
_TEAM_LINES = (_EXAMPLE / _TEAM).read_text().splitlines()
_ENVIRONMENT = (_EXAMPLE.parent / "complete-environment.yaml").read_text()
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


def _check(files: dict[str, bytes], environment: str = "") -> None:
    parsed = parse_policy(files, ("env.yaml", environment.encode()))
    for fault in (*parsed.faults, *parsed.warnings):
        assert fault.file in {*files, "policy", "env.yaml"}
        assert len(fault.message) < 1000
        assert fault.message.isprintable()
    Catalogue.compile(parsed.text.actions, parsed.text.defaults)
    digest_of(parsed.text)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data):
    """Random bytes."""
    _check({"a.yaml": data, "teams/billing/a.yaml": data})


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text(text):
    """Random text."""
    _check({"a.yaml": text.encode()}, text)


_PLAIN = [
    "a", "5%", "1h", "$(x)", "deny", "read", "/x", "spiffe://**", "*", "5/s", "group:a", "10.0.0.0/8", "2030-01-01T00:00:00Z", "https://a.example",
    "signals.x > 1", "shadow", "billing.*", "billing.corp.example",
]  # fmt: skip
_KEYS = [
    "name", "match", "exclude", "then", "when", "kind", "cases", "path", "host", "header", "method", "action", "principal", "count", "distinct",
    "sequence", "per", "each", "window", "contain", "pair", "enforce", "tags", "unclassified", "grpc.service", "upgrade", "source", "hours", "x",
    "task", "credential", "reason", "actions", "rate", "issuers", "agents", "budget", "steps", "ttl", "idle", "max_depth", "rules", "expires", "alert",
    "audience", "strip", "hosts", "billing", "score", "walk", "mark", "adds", "approval", "by", "step_up", "mcp.tool", "half_life", "learn",
]  # fmt: skip
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(_PLAIN)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4)),
    max_leaves=12,
)
_DOCUMENTS = st.dictionaries(st.sampled_from([*SECTIONS, *ENVIRONMENT_SECTIONS]), _VALUES)


def _flow(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    return f'"{value}"' if isinstance(value, str) else str(value)


def _text(document) -> str:
    return "".join(f"{key}: {_flow(value)}\n" for key, value in document.items())


@settings(deadline=None)
@given(_DOCUMENTS, _DOCUMENTS, _DOCUMENTS)
def test_any_structure(platform, team, environment):
    """Well-formed YAML whose values stand where they do not belong."""
    files = {"a.yaml": f"teams: {{billing: {{actions: billing.*, hosts: billing.corp.example}}}}\n{_text(platform)}"}
    files["teams/billing/b.yaml"] = _text(team)
    _check({name: text.encode() for name, text in files.items()}, _text(environment))


def _edited(data, lines):
    """The lines after some bad edits."""
    lines = list(lines)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(lines) - 1))
        line = lines[index]
        start = data.draw(st.integers(0, len(line)))
        end = data.draw(st.integers(start, min(len(line), start + 12)))
        lines[index] = line[:start] + data.draw(st.sampled_from(["", *_PIECES])) + line[end:]
    return "\n".join(lines).encode()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_example_with_pieces_cut_out_and_put_in(data):
    """A real policy after a bad edit."""
    _check({"a.yaml": _edited(data, _LINES)}, _ENVIRONMENT)


def _platform_faults(files):
    """Where the platform is faulty; the suggestions in the messages may know the names of teams."""
    parsed = parse_policy(files, ("env.yaml", _ENVIRONMENT.encode()))
    return [(fault.file, fault.line, fault.path) for fault in parsed.faults if not team_of(fault.file)]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_what_a_team_writes_never_makes_the_platform_faulty(data):
    """Nor hides what is: whoever may edit one folder cannot keep the others' changes from going live."""
    platform = _edited(data, _LINES) if data.draw(st.booleans()) else _PLATFORM
    team = _text(data.draw(_DOCUMENTS)).encode() if data.draw(st.booleans()) else _edited(data, _TEAM_LINES)
    alone = _platform_faults({"z.yaml": platform})
    assert _platform_faults({"z.yaml": platform, _TEAM: team, "teams/other/x.yaml": team}) == alone
