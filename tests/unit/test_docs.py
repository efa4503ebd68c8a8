"""The manual says what the code does: its examples load, its tables are complete, its links lead somewhere."""

import ast
import json
import re
from pathlib import Path
from typing import Annotated, NamedTuple, get_args, get_origin

import pytest
import typer
import yaml
from envoy.config.bootstrap.v3.bootstrap_pb2 import LayeredRuntime
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import ExtAuthz, ExtAuthzPerRoute
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from google.protobuf import json_format
from pydantic import BaseModel, TypeAdapter

from authz_server import record, verdict
from authz_server.cli import app
from authz_server.config import Config, load_config
from authz_server.config import load as config_load
from authz_server.content import json_strict
from authz_server.envoy import paths as envoy_paths
from authz_server.envoy import problem, shapes
from authz_server.envoy.encode import DENIED_503, Encoder
from authz_server.envoy.text import read_check_request
from authz_server.keyhash import KeyedHash
from authz_server.model import BodyState, Call, Caller, CallerKind, Containment, Credential, Entity
from authz_server.policy import action_entries, catalogue, cel, compiler, facts, paths, patterns, sections, words
from authz_server.policy import text as policy_text
from authz_server.policy.compiler import compile_policy
from authz_server.policy.vars import MAX_LIST
from authz_server.sources import files
from authz_server.state import guard
from authz_server.verdict import Decision, Effect, Match, Reading, Reason, Verdict
from tests.harness import Bench
from tests.steps import request

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "authz_server"
KEYED = KeyedHash(bytes(16))
ANY_TYPES = (ExtAuthzPerRoute, HttpProtocolOptions)
"""Known by name to whoever reads `@type` in the examples for Envoy."""


class Row(NamedTuple):
    """One row of a table: the heading it stands under and its cells by column."""

    heading: str
    first: str
    cells: dict[str, str]

    def words(self, column):
        return re.findall(r"`([^`]+)`", self.cells[column])


def blocks(name, language):
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / name).read_text(), re.MULTILINE | re.DOTALL)


def rows(name, first, heading=None):
    """The rows of the tables whose first column is called so."""
    found, title, columns = [], "", None
    for line in re.sub(r"^```.*?^```", "", (DOCS / name).read_text(), flags=re.MULTILINE | re.DOTALL).splitlines():
        if line.startswith("#"):
            title = line.lstrip("# ")
        if not line.startswith("|"):
            columns = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if columns is None:
            columns = cells
        elif not set(line) <= set("|-"):
            assert len(cells) == len(columns), f"{name}: {line}"
            found.append(Row(title, columns[0], dict(zip(columns, cells, strict=True))))
    return [row for row in found if row.first == first and heading in {None, row.heading}]


def codes(name, first, heading=None):
    """The words of the first column, none of them twice."""
    listed = [word for row in rows(name, first, heading) for word in row.words(first)]
    assert len(set(listed)) == len(listed), f"{name}: {heading or first}: listed twice"
    return set(listed)


# Policy


POLICIES = [
    pytest.param(block, id=f"{name}-{number}")
    for name in (*sorted(file.name for file in DOCS.glob("*.md")), "../README.md")
    for number, block in enumerate(blocks(name, "yaml"))
    if name == "policy.md" or re.findall(r"^version: 1$", block, re.MULTILINE)
]


@pytest.mark.parametrize("block", POLICIES)
def test_every_policy_example_compiles(block):
    """As it is printed, and without a warning."""
    assert compile_policy({"policy.yaml": block.encode()}, KEYED).warnings == ()


def fragment(row):
    """The example of a row set into a whole entry of its section."""
    example = yaml.safe_load(row.words("Example")[0])
    action = {"name": "extra", "match": {"path": "/extra/**"}, "kind": "write"}
    signal = {"count": "steps", "per": ["principal"], "window": "10s"}
    rule = {"name": "extra", "then": "deny"}
    if row.first == "Request key":
        return {"actions": [{**action, "match": example}]}
    if row.first == "Step key":
        return {"rules": [{**rule, "match": example}]}
    if row.heading == "Defaults":
        return {"defaults": example}
    if row.heading == "Actions":
        return {"actions": [{**action, **example}]}
    if row.heading == "Rules":
        return {"rules": [{**rule, **({"then": "quarantine"} if "contain" in example else {}), **example}]}
    if "half_life" in example:
        example["sequence"] = ["discovery", "collection"]
    replaced = {"count" if {"distinct", "sequence"} & set(example) else "", "per" if "each" in example else ""}
    return {"signals": {"extra": {**{key: value for key, value in signal.items() if key not in replaced}, **example}}}


FIELD_ROWS = [row for first in ("Field", "Key", "Request key", "Step key") for row in rows("policy.md", first)]


@pytest.mark.parametrize("row", FIELD_ROWS, ids=lambda row: f"{row.heading}:{row.cells[row.first]}")
def test_every_field_example_compiles(row):
    """And is an example of the field that it stands beside."""
    assert row.words(row.first)[0] in yaml.safe_load(row.words("Example")[0])
    example = {"complete.yaml": blocks("policy.md", "yaml")[0].encode()}
    compile_policy({**example, "more.yaml": json.dumps(fragment(row)).encode()}, KEYED)


@pytest.mark.parametrize(
    ("first", "heading", "expected"),
    [
        ("Section", None, words.SECTIONS),
        ("Key", "Defaults", ("on_state_error", "max_policy_age", "unclassified")),
        ("Field", "Actions", words.ACTION_FIELDS),
        ("Request key", None, words.REQUEST_KEYS),
        ("Step key", None, words.STEP_KEYS),
        ("Field", "Signals", words.SIGNAL_FIELDS),
        ("Field", "Rules", words.RULE_FIELDS),
        ("Effect", None, words.EFFECTS),
        ("Scope", None, words.SCOPES),
        ("`on_state_error`", None, words.STATE_ERROR_MODES),
    ],
)
def test_the_words_of_the_language_are_complete(first, heading, expected):
    """Nothing is missing, nothing is made up."""
    assert codes("policy.md", first, heading) == set(expected)


def test_the_closed_vocabularies_are_complete():
    """Kinds, sensitivities, stages, and the fields of a case."""
    listed = {row.cells["Words"]: set(row.words("")) for row in rows("policy.md", "Words")}
    expected = {"kinds": facts.KINDS, "sensitivities": facts.SENSITIVITIES, "stages": facts.STAGES}
    assert listed == {name: set(found) for name, found in expected.items()}
    case = (DOCS / "policy.md").read_text().partition("A case has")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([^`]+)`", case)) == set(words.CASE_FIELDS)


def test_the_table_of_facts_is_complete():
    """With the type of each."""
    listed = {row.words("Fact")[0]: row.cells["Type"] for row in rows("policy.md", "Fact")}
    assert listed == {name: kind for name, (kind, _) in facts.FACTS.items()}


def test_the_table_of_limits_is_right():
    """Each is the constant that the code holds."""
    expected = [
        ("files of a policy", min(sections.MAX_FILES, files.MAX_FILES)),
        ("bytes of a file", min(policy_text.MAX_FILE_BYTES, files.MAX_FILE_BYTES)),
        ("bytes of a policy", min(sections.MAX_TOTAL_BYTES, files.MAX_TOTAL_BYTES)),
        *((name, sections.MAX_ENTRIES[name]) for name in ("vars", "facts", "actions", "signals", "rules")),
        ("routes of the catalogue (host, path, upgrade)", catalogue.MAX_ROUTES),
        ("entries that share host and path", catalogue.MAX_ROUTES_PER_PATH),
        ("cases of one action", action_entries.MAX_CASES),
        ("characters of a condition", cel.MAX_EXPRESSION_CHARS),
        ("characters of a pattern", patterns.MAX_PATTERN),
        ("segments of a path pattern", paths.MAX_SEGMENTS),
        ("items of a list", MAX_LIST),
        ("members of a distinct signal", compiler.MAX_DISTINCT_CAP),
        ("bytes of a JSON body", json_strict.MAX_BYTES),
        ("levels of a JSON body", json_strict.MAX_DEPTH),
        ("values in a JSON body", json_strict.MAX_NODES),
        ("items of one JSON array or object", json_strict.MAX_ITEMS),
    ]
    listed = {row.cells["Limit"]: row.cells["Value"].replace(" ", "") for row in rows("policy.md", "Limit")}
    assert listed == {name: str(limit) for name, limit in expected}


def test_the_words_that_are_not_supported_yet_are_complete():
    """Place by place, as the loader refuses them."""
    listed = {row.cells["Where"]: set(row.words("Words")) for row in rows("policy.md", "Where", "Not yet supported")}
    assert listed == {place.value: set(refused) for place, refused in words.NOT_YET.items()}


def test_the_printed_request_is_allowed_by_the_printed_policy():
    """Both as they stand in the manual."""
    bench = Bench(blocks("policy.md", "yaml")[0])
    (payload,) = map(read_check_request, (text.encode() for text in blocks("policy.md", "json")))
    bench.decide(payload)
    assert (bench.events[-1].verdict.decision, bench.events[-1].verdict.rule) == (Decision.ALLOW, "agents-read")


# Configuration


@pytest.mark.parametrize("block", blocks("configuration.md", "yaml"))
def test_every_configuration_example_loads(block):
    """As it is printed."""
    assert load_config("config.yaml", block.encode(), {}) != Config()


def settings(model=Config, prefix=""):
    """Every setting by its path, with its field."""
    for name, field in model.model_fields.items():
        inner = next((kind for kind in _kinds(field.annotation) if issubclass(kind, BaseModel)), None)
        listed = get_origin(field.annotation) is tuple
        if inner is None or name == "listen":
            yield f"{prefix}{name}", field
        if inner is not None:
            yield from settings(inner, f"{prefix}{name}[]." if listed else f"{prefix}{name}.")


def _kinds(annotation):
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


def test_the_table_of_settings_is_complete():
    """Every key of the file, and none that the file has not."""
    assert codes("configuration.md", "Setting") == {path for path, _ in settings()}


@pytest.mark.parametrize("row", rows("configuration.md", "Setting"), ids=lambda row: row.cells["Setting"])
def test_every_printed_default_is_the_real_one(row):
    """In the notation of the file."""
    field = dict(settings())[row.words("Setting")[0]]
    if row.cells["Default"] == "required":
        assert field.is_required()
    elif row.cells["Default"] == "none":
        assert field.get_default() in {None, "", ()}
    else:
        plain = yaml.safe_load(row.words("Default")[0])
        kind = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        value = TypeAdapter(kind).validate_python(tuple(plain) if isinstance(plain, list) else plain)
        assert value == field.get_default()


def test_every_flag_and_variable_is_documented_and_exists():
    """Those of `serve`, each beside its own variable, and the one in front of it."""
    group = typer.main.get_command(app)
    options = [*group.params, *group.commands["serve"].params]
    expected = {(option.opts[0], option.envvar) for option in options if option.envvar}
    text = (DOCS / "configuration.md").read_text()
    listed = set(re.findall(r"`(--[a-z-]+)`[^`]{1,3}`(AUTHZ_[A-Z_]+)", text))
    assert listed == expected
    names = {name for option in options for name in option.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= names


def test_every_flag_of_the_other_manuals_exists():
    """Of any command."""
    group = typer.main.get_command(app)
    commands = [*group.commands.values(), *group.commands["policy"].commands.values(), group]
    names = {name for command in commands for option in command.params for name in option.opts}
    for manual in ("policy.md", "envoy.md", "decisions.md"):
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", (DOCS / manual).read_text())) <= names


def test_the_settings_that_are_not_supported_yet_are_complete():
    """As the loader refuses them by name."""
    text = (DOCS / "configuration.md").read_text().partition("## Not yet supported")[2]
    assert set(re.findall(r"`([^`]+)`", text)) == set(config_load._LATER)


# Envoy


def test_the_envoy_examples_are_what_envoy_reads():
    """Each block is a message of its type, with no unknown field."""
    filter_, manager, host, cluster, runtime, log = map(yaml.safe_load, blocks("envoy.md", "yaml"))
    typed = {key: value for key, value in filter_["typed_config"].items() if key != "@type"}
    for message, value in (
        (ExtAuthz(), typed),
        (HttpConnectionManager(), manager),
        (VirtualHost(), host),
        (Cluster(), cluster),
        (LayeredRuntime(), runtime),
    ):
        json_format.ParseDict(value, message)
    assert "decision_id" in log["json_format"]


def _lines(node, known, prefix=""):
    """The dotted keys of a mapping, down to those that the tables explain."""
    for key, value in node.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and any(name.startswith(f"{path}.") for name in known):
            yield from _lines(value, known, f"{path}.")
        elif key != "@type":
            yield path


@pytest.mark.parametrize(("heading", "place"), [("The filter", 0), ("The connection manager", 1)])
def test_every_line_of_the_envoy_examples_has_its_reason(heading, place):
    """And no reason is given for a line that is not there."""
    block = yaml.safe_load(blocks("envoy.md", "yaml")[place])
    known = codes("envoy.md", "Line", heading)
    assert set(_lines(block.get("typed_config", block), known)) == known


def test_the_filter_is_the_one_of_the_demo():
    """Whatever both set, they set alike."""
    shipped = yaml.safe_load(re.sub(r"\$\{\w+\}", "1", (PACKAGE / "demo/files/envoy.yaml").read_text()))
    listener = shipped["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    demo = listener["http_filters"][0]["typed_config"]
    printed = yaml.safe_load(blocks("envoy.md", "yaml")[0])["typed_config"]
    assert set(demo) <= set(printed)
    assert {key: printed[key] for key in demo} == demo
    assert yaml.safe_load(blocks("envoy.md", "yaml")[4]) == shipped["layered_runtime"]


def test_the_table_of_metadata_is_complete():
    """All keys that the server can send, with their types."""
    full = Verdict(Decision.DENY, Reason.DENIED, "r", "d", "a", "spiffe://a.b/c", shadow=True)
    fields = CheckResponse.FromString(Encoder().encode(full, "0" * 32, "digest", None)).dynamic_metadata.fields
    kinds = {"string_value": "string", "number_value": "number", "bool_value": "bool"}
    listed = {row.words("Key")[0]: row.cells["Type"] for row in rows("envoy.md", "Key")}
    assert listed == {name: kinds[value.WhichOneof("kind")] for name, value in fields.items()}


# Decisions


def test_the_table_of_reasons_is_complete():
    """Code, statuses, public code and sentence."""
    listed = {
        row.words("Code")[0]: (row.cells["HTTP"], row.cells["gRPC"], row.words("Caller sees")[0], row.cells["Sentence"])
        for row in rows("decisions.md", "Code", "Reason codes")
    }
    assert listed == {
        reason.value: (str(spec.http), str(spec.grpc), spec.public, spec.text)
        for reason, spec in verdict.REASONS.items()
    }


def test_the_printed_refusal_is_what_a_caller_reads():
    """Member by member."""
    (printed,) = map(json.loads, blocks("decisions.md", "json"))
    refused = Verdict(
        Decision.DENY, Reason.DENIED, public_reason=printed["detail"], remedy=printed["remedy"], rule="internal"
    )
    built = problem.problem_body(refused, verdict.REASONS[Reason.DENIED], printed["decision_id"], "")
    assert json.loads(built) == printed


def _fields(value, prefix=""):
    """The paths of a record's fields; `*` stands for the names of signals."""
    for name, inner in value.items():
        yield f"{prefix}{name}"
        if name == "readings":
            yield from _fields(next(iter(inner.values())), f"{prefix}{name}.*.")
        elif isinstance(inner, dict):
            yield from _fields(inner, f"{prefix}{name}.")
        elif isinstance(inner, list) and isinstance(inner[0], dict):
            yield from _fields(inner[0], f"{prefix}{name}[].")


def test_the_table_of_record_fields_is_complete():
    """Of a record in which everything is there."""
    match = Match("r", Effect.DENY, "evaluation_error")
    full = Verdict(
        Decision.QUARANTINE,
        Reason.CONTAINED,
        matched=(match,),
        would_have=(match,),
        readings=(Reading("s", 1, 2),),
        contain=(Containment(Entity("pair", ("a", "b")), 1.0, "r"),),
        alert="high",
        tags=("t",),
        shadow=True,
        degraded=True,
    )
    asked = request(credentials=(Credential("bearer", "00"),))
    event = record.DecisionEvent(
        "0", 1.0, "d", Caller(CallerKind.SOCKET, "unix:", valid=False, reason="why"), asked, full, 1
    )
    shadowed = {f"would_have[].{name}" for name in ("rule", "effect", "error")}  # as in `matched`
    assert codes("decisions.md", "Field") == set(_fields(record.build(event))) - shadowed


def _trees(*places):
    for place in places:
        found = sorted((PACKAGE / place).rglob("*.py")) if (PACKAGE / place).is_dir() else [PACKAGE / place]
        yield from ((file.name, node) for file in found for node in ast.walk(ast.parse(file.read_text())))


def _texts(node):
    """The texts that an expression can be, and the source of what is no literal."""
    if isinstance(node, ast.IfExp):
        return _texts(node.body) | _texts(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) else {f"={ast.unparse(node)}"}


def raised(name, *places):
    """What is given to a constructor as its code: literals, and (file, source) of the others."""
    literal, indirect = set(), set()
    for file, node in _trees(*places):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name and node.args:
            for text in _texts(node.args[0]):
                indirect.add((file, text[1:])) if text.startswith("=") else literal.add(text)
    return literal, indirect


def returned(*places):
    """The codes that functions return as texts."""
    texts = set()
    for _, node in _trees(*places):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant | ast.IfExp):
            texts |= {text for text in _texts(node.value) if isinstance(text, str) and not text.startswith("=")}
    return {text for text in texts if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", text)}


BODY_CODES = {f"body_{state.value}" for state in BodyState if state is not BodyState.COMPLETE}


def test_the_details_of_malformed_requests_are_complete():
    """Every code of a DecodeError and of a body that cannot be relied on."""
    literal, indirect = raised("DecodeError", "envoy", "content")
    # Two places look their code up; a third one has to be added here together with its table.
    assert indirect == {("paths.py", "code"), ("shapes.py", "_OVERRIDES[folded]")}
    looked_up = {envoy_paths._refusal(octet) for octet in range(256)} - {""} | set(shapes._OVERRIDES.values())
    bodies = BODY_CODES | {code for code in returned("pdp.py") if code.startswith("body_")}
    assert codes("decisions.md", "Code", "Details of malformed requests") == literal | looked_up | bodies


def test_the_details_of_identities_are_complete():
    """Every reason of an Invalid, and the absence of an identity."""
    literal, indirect = raised("Invalid", "identity")
    assert indirect == {
        ("forwarded.py", "error.code"),
        ("forwarded.py", "found"),
        ("leaf.py", "reason"),
        ("peer.py", "f'{authenticated_by}_not_spiffe'"),
        ("peer.py", "f'{authenticated_by}_untrusted_domain'"),
    }
    named = {f"{by}_{what}" for by in ("principal", "xfcc") for what in ("not_spiffe", "untrusted_domain")}
    header, others = raised("XfccError", "identity")
    assert not others
    expected = literal | named | header | returned("identity/leaf.py", "identity/xfcc.py") | {"identity_absent"}
    assert codes("decisions.md", "Code", "Details of identities") == expected


def test_the_details_of_the_asking_proxy_are_complete():
    """Whatever `check_caller` refuses."""
    assert codes("decisions.md", "Code", "Details of the asking proxy") == returned("identity/caller.py")


def test_the_details_of_the_catalogue_are_complete():
    """Whatever `classify` refuses and the decoder has not refused before."""
    refused = {
        text
        for _, node in _trees("policy/catalogue.py", "policy/routes.py")
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Classified"
        for text in _texts(node.args[2])
    }
    decoded = codes("decisions.md", "Code", "Details of malformed requests")
    assert codes("decisions.md", "Code", "Details of the catalogue") == refused - decoded - {""}


def test_the_other_details_are_complete():
    """Every `detail` that decision point, engine and encoder write by themselves."""
    places = ("pdp.py", "combine.py", "engine", "envoy/answers.py")
    written = {
        text
        for _, node in _trees(*places)
        if isinstance(node, ast.keyword) and node.arg == "detail"
        for text in _texts(node.value)
    }
    concluded = {
        node.elts[2].value
        for _, node in _trees("combine.py")
        if isinstance(node, ast.Tuple) and len(node.elts) == 3 and isinstance(node.elts[2], ast.Constant)
    }
    failed = {
        node.args[1].value
        for _, node in _trees("policy/evaluate.py")
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Outcome" and len(node.args) > 1
    }
    expected = {text for text in written if not text.startswith("=")} | concluded | failed
    expected |= {guard.NEVER, guard.RATE, guard.SHARE}
    assert codes("decisions.md", "Code", "Other details") == expected - {"identity_absent", ""}


def test_the_details_of_the_last_resort_are_documented():
    """The answer that is sent when no other can be built."""
    fields = CheckResponse.FromString(DENIED_503).dynamic_metadata.fields
    assert fields["detail"].string_value in codes("decisions.md", "Code", "Other details")
    assert fields["reason"].string_value in codes("decisions.md", "Code", "Reason codes")


def test_an_unreadable_check_is_answered_as_documented():
    """With the detail that the table explains."""
    bench = Bench(blocks("policy.md", "yaml")[0])
    bench.engine.decide([Call(b"\xff", Caller(CallerKind.SOCKET, "unix"), None)])
    assert bench.events[-1].verdict.detail == "message_malformed"


# Links


def slug(title):
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("file", [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"], ids=lambda file: file.name)
def test_every_relative_link_leads_somewhere(file):
    """To a file of the repository, and to a heading that is there."""
    text = re.sub(r"^```.*?^```", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (file.parent / path).resolve() if path else file
        assert place.exists(), f"{file.name}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", place.read_text(), re.MULTILINE)
            assert anchor in map(slug, titles), f"{file.name}: {target}"
