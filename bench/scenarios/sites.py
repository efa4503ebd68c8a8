"""Five sites that have nothing in common but what their services are for.

| site | asked by | style | identities | catalogue |
|---|---|---|---|---|
| meridian | sidecars | REST, MCP | ns/sa | rich, with stages |
| kestrel | a gateway | REST behind one host, MCP behind another | ns/sa | rich, with stages |
| tidewater | sidecars | gRPC, a little REST and MCP; IPv6 | two segments, no namespaces | rich, with stages |
| fenwick | a gateway | POST for everything, MCP | ns/sa | five actions, no stages |
| orchard | sidecars | REST with tenants in the path, MCP | ns/sa, agents federated | rich, without stages |
"""

from bench.scenarios.site import Service, Site

_MERIDIAN = """
crm crm api rest customers | files files store mcp files | wiki wiki wiki mcp pages | tickets desk api rest tickets
calendar calendar api mcp events | warehouse dwh query rest datasets | billing billing billing rest invoices
logs logs store rest streams | search search api rest indexes | mail mail relay rest mailboxes | vault vault vault rest areas
deploy ci runner rest pipelines | platform iam api rest bindings | login login login rest accounts | agents bus broker a2a agents
"""
_KESTREL = """
crm contacts contacts rest people | files drive drive mcp documents | wiki notes notes mcp notes
tickets helpdesk helpdesk rest cases | calendar agenda agenda mcp meetings | warehouse lake lake rest tables
billing ledger ledger rest entries | logs trails trails rest trails | search finder finder mcp corpora
mail courier courier rest threads | vault strongbox strongbox rest leases | deploy shipyard shipyard rest releases
platform control control rest members | login gate gate rest sessions | agents switchboard switchboard a2a peers
"""
_TIDEWATER = """
crm registry svc grpc parties | files blobs svc grpc blobs | wiki handbook svc mcp articles | tickets incidents svc grpc incidents
calendar shifts svc grpc shifts | warehouse marts svc grpc cubes | billing charges svc grpc charges | logs journal svc grpc journals
search lookup svc grpc lookups | mail outbound svc rest letters | vault seals svc grpc seals | deploy fleet svc grpc rollouts
platform access svc grpc grants | login door svc rest logins | agents relay svc a2a relays
"""
_FENWICK = """
crm member-db app rest members | files share app rest items | wiki kb app mcp topics | tickets queue app rest requests
calendar rota app rest slots | warehouse stats app rest cubes | billing cash app rest bills | logs trace app rest lines
search grep app rest hits | mail post app rest letters | vault safe app rest boxes | deploy push app rest builds
platform root app rest rights | login hello app rest logins | agents chat app a2a bots
"""
_ORCHARD = """
crm growers backend rest growers | files depot backend rest parcels | wiki almanac backend mcp entries
tickets requests backend rest requests | calendar seasons backend rest seasons | warehouse yields backend rest harvests
billing market backend rest sales | logs diary backend rest diaries | search catalog backend mcp varieties
mail post backend rest posts | vault cellar backend rest jars | deploy tractor backend rest runs
platform council backend rest seats | login porch backend rest visits | agents hive backend a2a bees
"""

_MERIDIAN_PATHS = {
    "list": ("GET", "/v1/{noun}?page={page}"),
    "read": ("GET", "/v1/{noun}/{id}"),
    "write": ("PUT", "/v1/{noun}/{id}"),
    "delete": ("DELETE", "/v1/{noun}/{id}"),
    "export": ("POST", "/v1/{noun}/{id}/export?format=csv"),
    "secret": ("GET", "/v1/secret/prod/{id}"),
    "login": ("POST", "/v1/login"),
    "enroll": ("POST", "/v1/nodes"),
    "grant": ("PUT", "/v1/{noun}/{id}/admins"),
    "exec": ("POST", "/v1/{noun}/{id}/run"),
    "send": ("POST", "/v1/messages"),
    "message": ("POST", "/a2a"),
}
_KESTREL_PATHS = {
    "list": ("GET", "/{name}/api/{noun}?after={page}"),
    "read": ("GET", "/{name}/api/{noun}/{id}?view=full"),
    "write": ("PATCH", "/{name}/api/{noun}/{id}"),
    "delete": ("DELETE", "/{name}/api/{noun}/{id}"),
    "export": ("GET", "/{name}/api/{noun}/{id}/dump"),
    "secret": ("POST", "/{name}/api/{noun}/{id}"),
    "login": ("POST", "/{name}/{noun}"),
    "enroll": ("PUT", "/{name}/devices/{id}"),
    "grant": ("POST", "/{name}/api/roles/{id}/{noun}"),
    "exec": ("POST", "/{name}/api/{noun}/{id}/start"),
    "send": ("POST", "/{name}/outbox"),
    "message": ("POST", "/{name}/rpc"),
}
_TIDEWATER_PATHS = {
    "list": ("GET", "/x/{noun}"),
    "read": ("GET", "/x/{noun}/{id}"),
    "send": ("POST", "/x/{noun}:send"),
    "login": ("POST", "/x/{noun}:password"),
    "enroll": ("POST", "/x/enrolments/{id}"),
    "message": ("POST", "/x/{noun}"),
}
_FENWICK_PATHS = {
    op: ("POST", f"/rpc/{{name}}.{word}")
    for op, word in {
        "list": "all", "read": "one", "write": "put", "delete": "drop", "export": "dump", "secret": "open", "login": "in",
        "enroll": "join", "grant": "allow", "exec": "go", "send": "out", "message": "say",
    }.items()
}  # fmt: skip
_ORCHARD_PATHS = {
    "list": ("GET", "/tenants/{tenant}/eu/{noun}?p={page}"),
    "read": ("GET", "/tenants/{tenant}/eu/{noun}/{id}"),
    "write": ("POST", "/tenants/{tenant}/eu/{noun}/{id}"),
    "delete": ("POST", "/tenants/{tenant}/eu/{noun}/{id}/archive"),
    "export": ("GET", "/tenants/{tenant}/eu/{noun}/{id}/all.parquet"),
    "secret": ("GET", "/tenants/{tenant}/{noun}/{id}/value"),
    "login": ("GET", "/tenants/{tenant}/whoami"),
    "enroll": ("POST", "/tenants/{tenant}/keys/{id}"),
    "grant": ("PUT", "/tenants/{tenant}/{noun}/{id}"),
    "exec": ("POST", "/tenants/{tenant}/{noun}"),
    "send": ("POST", "/hooks/{id}"),
    "message": ("POST", "/tenants/{tenant}/{noun}"),
}


def _services(table, identity):
    rows = (row.split() for line in table.strip().splitlines() for row in line.split("|"))
    return {
        role: Service(role, name, identity.format(space=name, account=account), style, noun)
        for role, name, account, style, noun in rows
    }


_KUBERNETES = "ns/{space}/sa/{account}"

SITES = {
    site.name: site
    for site in (
        Site(
            name="meridian", domain="meridian.example", trust="meridian.example", agents_trust="meridian.example",
            spiffe=_KUBERNETES, gateway="", host="{name}.{domain}", mcp=("{name}.{domain}", "/mcp"),
            mcp_version="2026-07-28", paths=_MERIDIAN_PATHS, network="10.20.{node}.{pod}", credential="bearer",
            services=_services(_MERIDIAN, f"spiffe://meridian.example/{_KUBERNETES}"), login="body", ids="number",
            action="{name}.{noun}.{op}", template="{task}", stages=True,
        ),
        Site(
            name="kestrel", domain="kestrel.test", trust="mesh.kestrel.test", agents_trust="mesh.kestrel.test",
            spiffe=_KUBERNETES, gateway="spiffe://mesh.kestrel.test/ns/edge/sa/front-door", host="api.{domain}",
            mcp=("tools.{domain}", "/servers/{name}/mcp"), mcp_version="2025-11-25", paths=_KESTREL_PATHS,
            network="172.18.{node}.{pod}", credential="jwt",
            services=_services(_KESTREL, f"spiffe://mesh.kestrel.test/{_KUBERNETES}"), login="body", ids="hex",
            action="{op}-{name}", template="std.{task}", stages=True,
        ),
        Site(
            name="tidewater", domain="svc.tidewater.internal", trust="tidewater.example", agents_trust="tidewater.example",
            spiffe="{space}/{account}", gateway="", host="{name}.{domain}", mcp=("{name}.{domain}", "/"),
            mcp_version="2026-07-28", paths=_TIDEWATER_PATHS, network="fd12:77:{node}::{pod}", credential="bearer",
            services=_services(_TIDEWATER, "spiffe://tidewater.example/{space}/{account}"), login="body", ids="slug",
            action="{name}.{op}", template="tw-{task}", stages=True,
        ),
        Site(
            name="fenwick", domain="fenwick.example", trust="fenwick.example", agents_trust="fenwick.example",
            spiffe=_KUBERNETES, gateway="spiffe://fenwick.example/ns/ingress/sa/envoy", host="app.{domain}",
            mcp=("app.{domain}", "/mcp/{name}"), mcp_version="2025-06-18", paths=_FENWICK_PATHS,
            network="192.168.{node}.{pod}", credential="x-api-key",
            services=_services(_FENWICK, f"spiffe://fenwick.example/{_KUBERNETES}"), login="body", ids="number",
            action="{name}-{op}", template="{task}-work", stages=False,
            known=frozenset({"crm.export", "warehouse.export", "vault.secret", "tickets.list", "tickets.read"}),
        ),
        Site(
            name="orchard", domain="orchard.example", trust="orchard.example", agents_trust="bots.grove.example",
            spiffe=_KUBERNETES, gateway="", host="{name}.eu.{domain}", mcp=("{name}.eu.{domain}", "/rpc/mcp"),
            mcp_version="2025-11-25", paths=_ORCHARD_PATHS, network="10.96.{node}.{pod}", credential="bearer",
            services=_services(_ORCHARD, f"spiffe://orchard.example/{_KUBERNETES}"), login="basic", ids="slug",
            action="{noun}.{op}", template="{task}", stages=False,
        ),
    )
}  # fmt: skip
