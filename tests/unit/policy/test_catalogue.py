"""authz_server/policy/catalogue.py, catalogue_faults.py, route_index.py, routes.py and request_test.py, without calls."""

import pytest

from authz_server.model import Action, BodyState, Request
from authz_server.policy.catalogue import Catalogue
from authz_server.policy.entries import Defaults
from authz_server.policy.schema import parse_policy


def _request(method="GET", path="/", host="crm.example", **other) -> Request:
    request = Request(
        protocol="http", method=method, path=path, raw_path=path, query="", host=host, headers={}, repeated={}, body=b"",
        body_state=BodyState.ABSENT, upgrade="", source_address="10.1.2.3", source_principal="", source_certificate="",
        destination_address="", destination_principal="", destination_service="", context={}, metadata={}, credentials=(),
        spoofed=(), id="",
    )  # fmt: skip
    return request._replace(**other)


def _compile(*entries: str):
    lines = "".join(f"  - {{{entry}}}\n" for entry in entries)
    parsed = parse_policy({"a.yaml": f"version: 1\nactions:\n{lines}".encode()})
    assert not parsed.faults, parsed.faults
    return Catalogue.compile(parsed.text.actions, parsed.text.defaults)


def _catalogue(*entries: str) -> Catalogue:
    catalogue, faults = _compile(*entries)
    assert not faults
    return catalogue


def _name(catalogue: Catalogue, *args, **kwargs) -> str:
    return catalogue.classify(_request(*args, **kwargs)).action.name


def test_an_entry_gives_action_and_captures():
    """The whole answer for a request that an entry fits."""
    catalogue = _catalogue(
        'name: crm.read, match: {host: crm.example, method: GET, path: "/v1/{a}/x/{b}"}, kind: read, service: crm, body: json'
    )
    classified = catalogue.classify(_request(path="/v1/7%20/x/ü"))
    assert classified.action == Action("crm.read", "read", "", "medium", "crm", "json")
    assert classified.captures == {"a": "7%20", "b": "ü"}
    assert classified.refused == ""


def test_what_no_entry_fits_is_unclassified():
    """It counts as what the defaults say, and no rule is kept from speaking about it."""
    parsed = parse_policy({"a.yaml": b"version: 1"})
    catalogue, faults = Catalogue.compile(parsed.text.actions, Defaults("deny", 60, "flag", "admin", "critical"))
    assert not faults
    classified = catalogue.classify(_request())
    assert classified == (Action("unclassified", "admin", "", "critical"), {}, "", None)


def test_hosts_are_exact_before_pattern_before_none():
    """Whatever the paths say."""
    catalogue = _catalogue(
        "name: any, match: {path: /a/b}, kind: read",
        'name: pattern, match: {host: "*.example", path: "/a/*"}, kind: read',
        'name: exact, match: {host: crm.example, path: "/**"}, kind: read',
    )
    assert _name(catalogue, path="/a/b") == "exact"
    assert _name(catalogue, path="/a/b", host="hr.example") == "pattern"
    assert _name(catalogue, path="/a/b", host="other.test") == "any"
    assert _name(catalogue, path="/b", host="hr.example") == "unclassified"


def test_a_host_that_knows_nothing_of_the_path_does_not_hide_the_others():
    """The next best host is asked."""
    catalogue = _catalogue(
        "name: exact, match: {host: crm.example, path: /x}, kind: read", "name: any, match: {path: /y}, kind: read"
    )
    assert _name(catalogue, path="/y") == "any"


def test_paths_are_compared_segment_by_segment_from_the_left():
    """A literal before a capture before `*` before `**`, and the first difference decides."""
    catalogue = _catalogue(
        "name: literal, match: {path: /v1/users/me}, kind: read",
        'name: capture, match: {path: "/v1/users/{id}"}, kind: read',
        'name: star, match: {path: "/v1/*/me"}, kind: read',
        'name: rest, match: {path: "/v1/**"}, kind: read',
        'name: left, match: {path: "/v1/{x}/**"}, kind: read',
        "name: anything, match: {method: GET}, kind: read",
    )
    names = {
        path: _name(catalogue, path=path)
        for path in ("/v1/users/me", "/v1/users/7", "/v1/x/me", "/v1/x/y", "/v1", "/v2", "/v1/users/me/x")
    }
    assert names == {
        "/v1/users/me": "literal", "/v1/users/7": "capture", "/v1/x/me": "left", "/v1/x/y": "left", "/v1": "rest", "/v2": "anything",
        "/v1/users/me/x": "left",
    }  # fmt: skip


def test_a_branch_that_leads_nowhere_is_left_again():
    """A literal that fits so far does not hide a capture that fits to the end."""
    catalogue = _catalogue(
        "name: a, match: {path: /users/me/keys}, kind: read",
        'name: b, match: {path: "/users/{id}/mail"}, kind: read',
        'name: c, match: {path: "/*/me/**"}, kind: read',
    )
    assert catalogue.classify(_request(path="/users/me/mail"))[:2] == (Action("b", "read", "", "medium"), {"id": "me"})
    assert _name(catalogue, path="/users/me/other") == "c"


def test_the_rest_may_be_nothing_and_a_star_may_not():
    """`/v1/prod/` and `/v1/prod` are one request, so `/v1/prod/**` is about both."""
    catalogue = _catalogue(
        'name: rest, match: {path: "/a/**"}, kind: read', 'name: star, match: {path: "/b/*"}, kind: read'
    )
    assert [_name(catalogue, path=path) for path in ("/a", "/a/x", "/a/x/y", "/b", "/b/x", "/b/x/y", "/ab")] == [
        "rest", "rest", "rest", "unclassified", "star", "unclassified", "unclassified",
    ]  # fmt: skip


def test_the_root_is_a_path_of_its_own():
    """`/` matches `/` and `/**`, and nothing else does."""
    catalogue = _catalogue(
        "name: root, match: {host: a.example, path: /}, kind: read",
        'name: all, match: {host: b.example, path: "/**"}, kind: read',
    )
    assert [_name(catalogue, host=host, path=path) for host in ("a.example", "b.example") for path in ("/", "/x")] == [
        "root",
        "unclassified",
        "all",
        "all",
    ]


@pytest.mark.parametrize("path", ["*", "", "x"])
def test_what_is_no_path_is_matched_by_entries_without_a_path_only(path):
    """OPTIONS * has no segments."""
    catalogue = _catalogue(
        'name: all, match: {path: "/**"}, kind: read',
        "name: host, match: {host: crm.example, method: OPTIONS}, kind: discovery",
    )
    assert _name(catalogue, "OPTIONS", path) == "host"
    assert _name(catalogue, "GET", path) == "unclassified"


def test_a_named_method_is_before_none_and_get_includes_head():
    """On one path the method decides next."""
    catalogue = _catalogue(
        "name: read, match: {path: /x, method: GET}, kind: read", "name: change, match: {path: /x}, kind: write"
    )
    assert [_name(catalogue, method, "/x") for method in ("GET", "HEAD", "POST", "DELETE")] == [
        "read",
        "read",
        "change",
        "change",
    ]


def test_more_conditions_are_before_fewer():
    """Headers and source count each."""
    catalogue = _catalogue(
        "name: none, match: {path: /x, method: GET}, kind: read",
        "name: one, match: {path: /x, method: GET, header: {x-a: '*'}}, kind: read",
        "name: two, match: {path: /x, method: GET, header: {x-a: '1'}, source: 10.0.0.0/8}, kind: read",
        "name: without-method, match: {path: /x, header: {x-a: '*', x-b: '*'}, source: 10.0.0.0/8}, kind: read",
    )
    assert _name(catalogue, path="/x") == "none"
    assert _name(catalogue, path="/x", headers={"x-a": "2", "x-b": "1"}) == "one"
    assert _name(catalogue, path="/x", headers={"x-a": "1"}) == "two"
    assert _name(catalogue, path="/x", headers={"x-a": "1"}, source_address="192.0.2.1") == "one"
    assert _name(catalogue, "POST", "/x", headers={"x-a": "1", "x-b": "1"}) == "without-method"
    assert _name(catalogue, path="/x", headers={"x-a": ""}) == "none"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("match: {path: /x}", "match: {path: /x}"),
        ("match: {path: /x, method: GET}", "match: {path: [/x, /y], method: [POST, HEAD]}"),
        ('match: {path: "/{a}"}', 'match: {path: "/{b}"}'),
        ("match: {path: /x, header: {x-a: a}}", "match: {path: /x, header: {x-b: b}}"),
        ("match: {path: /x, header: {x-a: 'a*'}}", "match: {path: /x, header: {x-a: '*b'}}"),
        ("match: {path: /x, header: {x-a: a}}", "match: {path: /x, source: 10.0.0.0/8}"),
        ("match: {path: /x, source: 10.0.0.0/8}", "match: {path: /x, source: 10.1.0.0/16}"),
        ('match: {host: "*.example", path: /x}', 'match: {host: "crm.*", path: /x}'),
        ("match: {host: a.example}", "match: {host: [b.example, a.example]}"),
        ("match: {grpc.service: a.B}", "match: {grpc.service: a.B}"),
        ("match: {grpc.service: a.*, grpc.method: Get}", "match: {grpc.service: '*.B', grpc.method: [Get, List]}"),
        ("match: {upgrade: websocket}", "match: {upgrade: [websocket, h2c]}"),
        ("match: {upgrade: tcp, host: a.example}", "match: {upgrade: tcp, host: a.example}"),
    ],
)
def test_a_tie_that_can_overlap_is_a_fault_that_names_both(one, two):
    """No order of files decides."""
    _, faults = _compile(f"name: one, {one}, kind: read", f"name: two, {two}, kind: write")
    assert [str(fault) for fault in faults] == [
        "a.yaml:4: actions[1].match: `two` and `one` (a.yaml:3) fit the same requests equally well; make one of them more specific"
    ]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("match: {path: /x, method: GET}", "match: {path: /x, method: POST}"),
        ("match: {path: /x}", "match: {path: /y}"),
        ("match: {path: /x}", "match: {path: /x/y}"),
        ('match: {path: "/{a}/x"}', 'match: {path: "/{a}/y"}'),
        ('match: {path: "/{a}"}', 'match: {path: "/*"}'),
        ("match: {path: /x, header: {x-a: a}}", "match: {path: /x, header: {x-a: b}}"),
        ("match: {path: /x, header: {x-a: 'a*'}}", "match: {path: /x, header: {x-a: 'b*'}}"),
        ("match: {path: /x, source: 10.0.0.0/8}", "match: {path: /x, source: 192.0.2.0/24}"),
        ('match: {host: "*.a.example", path: /x}', 'match: {host: "*.b.example", path: /x}'),
        ("match: {grpc.service: a.B, grpc.method: Get}", "match: {grpc.service: a.B, grpc.method: List}"),
        ("match: {grpc.service: a.B}", "match: {grpc.service: a.B, grpc.method: Get}"),
        ("match: {grpc.method: Get}", "match: {grpc.service: 'a.*', grpc.method: Get}"),
        ("match: {upgrade: websocket}", "match: {host: '*'}"),
        ("match: {upgrade: tcp}", "match: {upgrade: connect}"),
    ],
)
def test_entries_that_cannot_meet_or_differ_in_rank_are_no_tie(one, two):
    """Only what some request would have to choose between is refused."""
    assert not _compile(f"name: one, {one}, kind: read", f"name: two, {two}, kind: write")[1]


def test_one_entry_with_the_same_path_twice_needs_the_same_names():
    """Otherwise it would be open which of them the segment gets."""
    _, faults = _compile('name: a, match: {path: ["/{x}", "/{y}"]}, kind: read')
    assert "`a` has the same path twice with different names" in faults[0].message
    assert not _compile('name: a, match: {path: ["/{x}", "/{x}/"]}, kind: read')[1]


def test_cases_refine_in_order():
    """The first that matches, and only what it names."""
    catalogue = _catalogue(
        "name: files, match: {path: /f}, kind: write, sensitivity: high, stage: impact, cases:"
        " [{method: DELETE, kind: delete, sensitivity: critical}, {method: [GET, DELETE], kind: read, stage: collection}]"
    )
    found = {
        method: catalogue.classify(_request(method, "/f")).action[1:4] for method in ("DELETE", "GET", "HEAD", "PUT")
    }
    assert found == {
        "DELETE": ("delete", "impact", "critical"),
        "GET": ("read", "collection", "high"),
        "HEAD": ("read", "collection", "high"),
        "PUT": ("write", "impact", "high"),
    }


def test_cases_keep_captures():
    """A refined answer still has the path's segments."""
    catalogue = _catalogue('name: f, match: {path: "/{x}"}, kind: write, cases: [{method: GET, kind: read}]')
    assert catalogue.classify(_request(path="/a"))[:2] == (Action("f", "read", "", "medium"), {"x": "a"})


_GRPC = {"content-type": "application/grpc+proto"}


def test_grpc_entries_match_calls_of_their_service_and_method():
    """POST, a gRPC content type, and the two segments of the path."""
    catalogue = _catalogue(
        "name: read, match: {grpc.service: billing.v1.Invoices, grpc.method: [Get, 'List*']}, kind: read",
        "name: change, match: {grpc.service: billing.v1.Invoices}, kind: write",
        "name: probe, match: {grpc.method: Check}, kind: discovery",
        "name: inner, match: {grpc.service: internal.*}, kind: admin",
    )

    def name(path, method="POST", headers=_GRPC):
        return _name(catalogue, method, path, headers=headers)

    assert name("/billing.v1.Invoices/Get") == "read"
    assert name("/billing.v1.Invoices/ListAll") == "read"
    assert name("/billing.v1.Invoices/Delete") == "change"
    assert name("/grpc.health.v1.Health/Check") == "probe"
    assert name("/internal.Admin/Drop") == "inner"
    assert name("/internal.Admin/Check") == "probe"
    assert name("/billing.v1.Invoices/Get", headers={"content-type": "Application/GRPC"}) == "read"
    assert name("/billing.v1.Invoices/Get", method="GET") == "unclassified"
    assert name("/billing.v1.Invoices/Get/x") == "unclassified"
    assert name("/billing.v1.Invoices") == "unclassified"


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}, {"content-type": "text/plain"}])
@pytest.mark.parametrize(
    "entry",
    [
        "name: delete, match: {host: crm.example, grpc.service: a.S, grpc.method: Delete}, kind: delete",
        "name: s, match: {host: crm.example, path: /a.S/*}, kind: read, cases: [{grpc.method: 'Delete*', kind: delete}]",
    ],
)
def test_a_call_that_hides_its_content_type_is_nothing_less_specific(entry, headers):
    """Servers on gRPC's C core answer any content type; another path or method is no such call."""
    catalogue = _catalogue(entry, "name: rest, match: {host: crm.example}, kind: read")
    assert catalogue.classify(_request("POST", "/a.S/Delete", headers=headers))[::2] == (
        catalogue.unclassified,
        "grpc_content_type",
    )
    assert catalogue.calls_of(_request("POST", "/a.S/Delete", headers=headers)) == ()
    for method, path in (("GET", "/a.S/Delete"), ("POST", "/a.S/Delete/x"), ("POST", "/a.S")):
        assert catalogue.classify(_request(method, path, headers=headers)).action.kind == "read"


def test_grpc_methods_refine_in_cases():
    """One entry for a service, its methods in cases."""
    catalogue = _catalogue(
        "name: s, match: {grpc.service: a.S}, kind: write, cases: [{grpc.method: 'Get*', kind: read}]"
    )
    kinds = [catalogue.classify(_request("POST", f"/a.S/{rpc}", headers=_GRPC)).action.kind for rpc in ("GetX", "SetX")]
    assert kinds == ["read", "write"]


def test_upgrades_are_refused_unless_an_entry_names_them():
    """A request that opens a long connection is no ordinary request."""
    catalogue = _catalogue(
        'name: all, match: {path: "/**"}, kind: read',
        "name: stream, match: {upgrade: websocket, path: /stream}, kind: read",
    )
    assert catalogue.classify(_request(path="/stream", upgrade="websocket"))[::2] == (
        Action("stream", "read", "", "medium"),
        "",
    )
    assert _name(catalogue, path="/stream") == "all"
    for path, upgrade in (("/other", "websocket"), ("/stream", "h2c"), ("/stream", "tcp"), ("/stream", "connect")):
        classified = catalogue.classify(_request(path=path, upgrade=upgrade))
        assert (classified.action.name, classified.refused) == ("unclassified", "upgrade_unclassified")


def test_connect_is_refused_unless_an_entry_names_it():
    """And neither an Upgrade header nor a decoder's slip makes one out of something else."""
    catalogue = _catalogue(
        "name: tunnel, match: {upgrade: connect, host: db.example}, kind: admin",
        "name: host, match: {host: db.example}, kind: read",
    )
    assert _name(catalogue, "CONNECT", "", "db.example", upgrade="connect") == "tunnel"
    assert (
        catalogue.classify(_request("CONNECT", "", "other.example", upgrade="connect")).refused
        == "upgrade_unclassified"
    )
    assert catalogue.classify(_request("GET", "/", "db.example", upgrade="connect")).refused == "upgrade_unclassified"
    assert catalogue.classify(_request("CONNECT", "", "db.example", upgrade="")).refused == "upgrade_unclassified"


def test_connections_without_http_are_classified_by_sni_and_source_only():
    """An entry that was written for requests never admits a whole connection."""
    catalogue = _catalogue(
        "name: http, match: {host: db.example}, kind: read",
        "name: session, match: {host: db.example, upgrade: tcp, source: 10.0.0.0/8}, kind: write",
        "name: inner, match: {host: '*.inner.example', upgrade: tcp}, kind: write",
    )

    def tcp(sni, source="10.1.2.3"):
        return catalogue.classify(_request("", "", "", protocol="tcp", destination_service=sni, source_address=source))

    assert tcp("db.example").action.name == "session"
    assert tcp("DB.Example.").action.name == "session"
    assert tcp("a.inner.example").action.name == "inner"
    for sni, source in (("db.example", "192.0.2.1"), ("other.example", "10.1.2.3"), ("", "10.1.2.3")):
        assert tcp(sni, source)[::2] == (catalogue.unclassified, "tcp_unclassified")
    assert _name(catalogue, host="db.example") == "http"


@pytest.mark.parametrize("header", ["x-http-method-override", "x-http-method", "x-method-override"])
def test_a_request_that_asks_for_another_method_is_refused(header):
    """The upstream might do something else than what was classified."""
    catalogue = _catalogue("name: read, match: {method: POST}, kind: read")
    classified = catalogue.classify(_request("POST", headers={header: "DELETE"}))
    assert (classified.action.name, classified.refused) == ("unclassified", "method_override")


def _lines(*lines, **other):
    return _request(headers={"x-mode": ",".join(lines)}, repeated={"x-mode": lines}, **other)


@pytest.mark.parametrize(
    "entry",
    [
        "name: live, match: {host: crm.example, header: {x-mode: live}}, kind: admin",
        'name: live, match: {host: crm.example, path: "/**"}, kind: read, cases: [{header: {x-mode: live}, kind: admin}]',
        "name: live, match: {host: crm.example, upgrade: websocket, header: {x-mode: live}}, kind: admin",
    ],
)
def test_a_header_whose_lines_disagree_about_an_entry_refuses_the_request(entry):
    """Behind this server it may be the first line that counts, the last, or all of them."""
    rest = "name: rest, match: {upgrade: websocket}, kind: read"
    catalogue = _catalogue(entry, rest, "name: any, match: {method: GET}, kind: read")
    more = {"upgrade": "websocket"} if "upgrade" in entry else {}
    for lines in (("live", "test"), ("test", "live"), ("live", "live")):
        classified = catalogue.classify(_lines(*lines, **more))
        assert classified[::2] == (catalogue.unclassified, "header_repeated")
    assert catalogue.classify(_lines("test", "demo", **more))[0].kind == "read"
    if not more:
        assert catalogue.classify(_lines("live", "test", host="other.example"))[::2] == (catalogue.actions["any"], "")


def test_lines_that_agree_are_one_header():
    """Where each of them fits, and all together."""
    catalogue = _catalogue('name: marked, match: {header: {x-mode: "*"}}, kind: write')
    assert catalogue.classify(_lines("live", "test"))[0].name == "marked"


def test_the_catalogue_tells_what_its_actions_can_be():
    """One action per name, all of its variants, and the captures that it always or sometimes has."""
    catalogue = _catalogue(
        'name: a, match: {path: ["/1/{x}/{y}", "/2/{x}"]}, kind: write, cases: [{method: GET, kind: read}]',
        'name: a, match: {path: "/3/{x}/{z}"}, kind: admin',
        "name: b, match: {path: /4}, kind: read",
    )
    assert set(catalogue.actions) == {"a", "b"}
    assert {action.kind for action in catalogue.variants_of("a")} == {"write", "read", "admin"}
    assert catalogue.actions["a"] in catalogue.variants_of("a")
    assert catalogue.captures_of("a") == {"x"}
    assert catalogue.some_captures_of("a") == {"x", "y", "z"}
    assert catalogue.captures_of("b") == catalogue.some_captures_of("none") == frozenset()
    assert catalogue.variants_of("none") == ()
    assert catalogue.capture_names == {"x", "y", "z"}


def test_answers_without_captures_are_shared_and_cannot_be_changed():
    """A caller that wrote into one would change all others."""
    catalogue = _catalogue("name: a, match: {path: /x}, kind: read")
    classified = catalogue.classify(_request(path="/x"))
    assert classified is catalogue.classify(_request(path="/x"))
    with pytest.raises(TypeError):
        classified.captures["x"] = "y"  # type: ignore[index]


def test_too_many_entries_on_one_path_and_too_many_routes_are_faults(monkeypatch):
    """What a request can cost is bounded."""
    _, faults = _compile(*(f"name: a{i}, match: {{path: /x, header: {{x-op: v{i}}}}}, kind: read" for i in range(257)))
    assert [fault.message for fault in faults] == ["more than 256 entries share this host and path"]
    monkeypatch.setattr("authz_server.policy.catalogue.MAX_ROUTES", 3)
    catalogue, faults = _compile("name: a, match: {host: [a.example, b.example], path: [/x, /y]}, kind: read")
    assert "more than 3 combinations" in faults[0].message
    assert not catalogue.actions


def test_a_path_of_thousands_of_segments_is_not_taken_apart():
    """Only as many pieces as the longest pattern has."""
    catalogue = _catalogue(
        'name: a, match: {path: "/a/{x}"}, kind: read', 'name: rest, match: {path: "/a/**"}, kind: read'
    )
    assert _name(catalogue, path="/a" * 4000) == "rest"
    assert _name(catalogue, path="/b" * 4000) == "unclassified"
