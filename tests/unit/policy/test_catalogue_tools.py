"""authz_server/policy/catalogue.py, action_table.py, catalogue_faults.py: names with `{tool}`."""

import pytest

from authz_server.content.mcp import MAX_TOOL
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.outcomes import MAX_MADE_NAMES
from authz_server.policy.schema import parse_policy
from tests.calls import body_of, post, tool_body
from tests.steps import policy

FILES = (
    'name: "files.{tool}", match: {host: files.example, mcp.method: tools/call, mcp.tool: [stat, "read_*", "delete_*"]},'
    " kind: write, sensitivity: high, cases: [{mcp.tool: 'delete_*', kind: delete}, {mcp.tool: [stat, 'read_*'], kind: read}]"
)


def _compile(*entries: str):
    lines = "".join(f"  - {{{entry}}}\n" for entry in entries)
    parsed = parse_policy({"a.yaml": f"version: 1\nactions:\n{lines}".encode()})
    assert not parsed.faults, parsed.faults
    return Catalogue.compile(parsed.text.actions, parsed.text.defaults)


def _catalogue(*entries: str) -> Catalogue:
    catalogue, faults = _compile(*entries)
    assert not faults, faults
    return catalogue


def _call(catalogue: Catalogue, tool: str, **other):
    return catalogue.classify(post(tool_body(tool), **other)).action


def test_listed_tools_have_names_of_their_own_and_all_others_share_one():
    """Whoever invents a tool makes no name."""
    catalogue = _catalogue(FILES)
    found = {
        tool: _call(catalogue, tool)[:4:3]
        for tool in ("stat", "read_a", "read_", "delete_a", "shell_exec", "other", "Stat")
    }
    assert found == {
        "stat": ("files.stat", "high"), "read_a": ("files.read_a", "high"), "read_": ("files.read_", "high"),
        "delete_a": ("files.delete_a", "high"), "shell_exec": ("files.other", "high"), "other": ("files.other", "high"),
        "Stat": ("files.other", "high"),
    }  # fmt: skip
    kinds = {tool: _call(catalogue, tool).kind for tool in ("stat", "read_a", "delete_a", "shell_exec")}
    assert kinds == {"stat": "read", "read_a": "read", "delete_a": "delete", "shell_exec": "write"}


def test_other_methods_are_not_the_entrys():
    """It is about calls of tools."""
    catalogue = _catalogue(
        FILES, "name: files.protocol, match: {host: files.example, mcp.method: [tools/list, ping]}, kind: read"
    )
    assert catalogue.classify(post(body_of("tools/list"))).action.name == "files.protocol"
    assert catalogue.classify(post(body_of("prompts/list"))).action.name == "unclassified"


def test_an_entry_that_lists_a_tool_comes_before_the_others_of_a_template():
    """Wherever it stands: `other` is less specific than any list of tools."""
    export = "name: dwh.export, match: {host: files.example, mcp.tool: export_rows}, kind: bulk-read"
    for entries in ((FILES, export), (export, FILES)):
        catalogue = _catalogue(*entries)
        assert _call(catalogue, "export_rows").name == "dwh.export"
        assert _call(catalogue, "export_all").name == "files.other"
    _, faults = _compile(FILES, "name: x, match: {host: files.example, mcp.tool: 'read_a*'}, kind: read")
    assert "`x` and `files.{tool}` (a.yaml:3) fit the same requests equally well" in faults[0].message
    _, faults = _compile(FILES, "name: x, match: {host: files.example, mcp.method: 'tools/*'}, kind: read")
    assert "`x` and `files.{tool}` (a.yaml:3) fit the same requests equally well" in faults[0].message


def test_known_names_are_told_and_the_others_come_as_families():
    """What rules can speak about is known at load."""
    catalogue = _catalogue(FILES, "name: health, match: {path: /healthz}, kind: read")
    assert set(catalogue.actions) == {"files.stat", "files.other", "health"}
    assert catalogue.families == ("files.delete_*", "files.read_*")
    assert set(catalogue.names) == {*catalogue.actions, *catalogue.families}
    assert catalogue.actions["files.other"].kind == "write"


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("files.stat", True), ("files.other", True), ("files.*", True), ("*", True), ("health", True), ("files.read_a", True),
        ("files.read_*", True), ("files.re*", True), ("*.delete_all", True), ("files.read_*_x", True), ("files.delete_*", True),
        ("files.shell_exec", False), ("files.rea", False), ("file.*", False), ("files.write_*", False), ("unclassified", False),
        ("files.{tool}", False), ("heal", False),
    ],
)  # fmt: skip
def test_which_patterns_of_rules_fit_anything(pattern, fits):
    """A rule on a tool that is not listed would never touch anything."""
    catalogue = _catalogue(FILES, "name: health, match: {path: /healthz}, kind: read")
    assert catalogue.fits(pattern) is fits


def test_what_a_made_name_can_be_is_known():
    """The kinds of its entry, and its captures, as for every other name."""
    catalogue = _catalogue(
        FILES.replace("host: files.example", "host: files.example, path: '/{server}/mcp'"),
        "name: 'files.{tool}', match: {host: b.example, mcp.tool: [read_all]}, kind: exec",
        "name: health, match: {path: /healthz}, kind: read",
    )
    kinds = {name: {action.kind for action in catalogue.variants_of(name)} for name in
             ("files.stat", "files.read_x", "files.read_*", "files.other", "files.read_all", "files.none", "health")}  # fmt: skip
    refined = {"write", "delete", "read"}
    assert kinds == {
        "files.stat": refined, "files.read_x": refined, "files.read_*": refined, "files.other": refined | {"exec"},
        "files.read_all": refined | {"exec"}, "files.none": set(), "health": {"read"},
    }  # fmt: skip
    assert {action.name for action in catalogue.variants_of("files.read_x")} == {"files.read_x"}
    assert catalogue.captures_of("files.read_x") == catalogue.captures_of("files.read_*") == {"server"}
    assert catalogue.captures_of("files.read_all") == catalogue.captures_of("files.other") == set()
    assert catalogue.some_captures_of("files.read_all") == {"server"}
    assert catalogue.capture_names == {"server"}
    assert catalogue.reads_call("files.read_x")
    assert catalogue.reads_call("files.read_*")
    assert not catalogue.reads_call("health")


def test_callers_make_a_bounded_number_of_names_and_nobody_gets_out_of_a_family():
    """Later names are the family's own, which every pattern fits that fits all of the family."""
    catalogue = _catalogue(FILES)
    made = {_call(catalogue, f"read_{number}").name for number in range(MAX_MADE_NAMES + 50)}
    assert len(made) == MAX_MADE_NAMES + 1
    assert "files.read_*" in made
    late = _call(catalogue, "delete_all")
    assert (late.name, late.kind) == ("files.delete_*", "delete")
    assert late in catalogue.variants_of("files.delete_*")
    assert _call(catalogue, "stat").name == "files.stat"
    assert _call(catalogue, "read_7").name == "files.read_7"
    assert _call(catalogue, "shell_exec").name == "files.other"


def test_a_name_that_the_policy_says_is_there_however_many_are_invented():
    """Else whoever is denied everything takes from others what they are granted."""
    parsed = parse_policy({"a.yaml": f"version: 1\nactions:\n  - {{{FILES}}}\n".encode()})
    said = ("files.read_report", "files.shell_exec", "files.stat", "other.read_a", "files.", "files.read_*")
    catalogue, faults = Catalogue.compile(parsed.text.actions, parsed.text.defaults, said)
    assert not faults
    made = {_call(catalogue, f"read_{number}").name for number in range(MAX_MADE_NAMES + 50)}
    assert len(made) == MAX_MADE_NAMES + 1
    assert _call(catalogue, "read_report").name == "files.read_report"
    assert _call(catalogue, "read_other").name == "files.read_*"
    assert _call(catalogue, "shell_exec").name == "files.other"
    assert set(catalogue.actions) == {"files.stat", "files.other"}


def test_the_longest_tool_has_a_name_that_rules_can_say():
    """Of an entry whose own name is as long as any."""
    entry, tool = f"{'f' * 57}.{{tool}}", "t" * MAX_TOOL
    action = f"{'f' * 57}.{tool}"
    snapshot = policy(f"""
        version: 1
        actions: [{{name: "{entry}", match: {{path: /mcp, mcp.tool: "*"}}, kind: read}}]
        rules: [{{name: one, match: {{principal: "spiffe://**", action: {action}}}, then: allow}}]
    """)
    assert _call(snapshot.catalogue, tool).name == action


def test_the_same_call_gives_the_same_action():
    """Whatever was called before, as long as there is room."""
    catalogue = _catalogue(FILES)
    assert _call(catalogue, "read_a") is _call(catalogue, "read_a")


@pytest.mark.parametrize(
    ("entry", "name", "other"),
    [
        ("name: files.read_secret, match: {path: /s}, kind: read", "files.read_secret", "files.read_secret"),
        ("name: files.other, match: {path: /s}, kind: read", "files.other", "files.other"),
        ('name: "files.read_{tool}", match: {path: /s, mcp.tool: x}, kind: read', "files.read_x", "files.read_{tool}"),
        ('name: "files.re{tool}", match: {path: /s, mcp.tool: "a*"}, kind: read', "files.rea*", "files.re{tool}"),
    ],
)
def test_a_name_that_callers_could_make_belongs_to_one_entry(entry, name, other):
    """Otherwise a tool's name would choose another action's rules."""
    for entries in ((FILES, entry), (entry, FILES)):
        _, faults = _compile(*entries)
        assert faults
        assert all("rename one of them" in fault.message for fault in faults)
        assert any(f"`{name}`" in fault.message or f"`{other}`" in fault.message for fault in faults)


def test_names_that_are_listed_may_be_shared():
    """A tool and a path can be one action, as the author says."""
    assert not _compile(FILES, "name: files.stat, match: {path: /stat}, kind: read")[1]
    assert not _compile(FILES, FILES.replace("files.example", "b.example").replace("read_*", "read_a*"))[1]


def test_too_many_families_are_a_fault(monkeypatch):
    """Each costs all rules something."""
    monkeypatch.setattr("authz_server.policy.catalogue_faults.MAX_FAMILIES", 1)
    _, faults = _compile(FILES)
    assert [str(fault) for fault in faults] == [
        "a.yaml:3: actions[0].name: more than 1 patterns of tools in names with `{tool}`"
    ]
