"""Both roles as the manifests run them, with the files that their pods mount and a real store: who contains, and who cannot."""

import json
import subprocess
import textwrap
import time

import grpc
import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from redis import Redis

from authz_server.demo.pki import Authority
from authz_server.keyhash import KeyedHash
from authz_server.listeners.base import CHECK_METHOD
from authz_server.model import Entity
from authz_server.state.keys import Keys
from tests.check_request import check_request
from tests.envoy_site import await_value
from tests.integration.k8s.cluster import commands
from tests.integration.k8s.kubelet import Node, run
from tests.integration.k8s.layouts import SCRIPTS, render
from tests.integration.k8s.store_pod import run_store
from tests.listening import short_directory
from tests.log_messages import entry, message, report

pytestmark = pytest.mark.server

API = "spiffe://cluster.local/ns/shop/sa/api"
READER = "spiffe://cluster.local/ns/agents/sa/reader"
TRAPPED = "spiffe://cluster.local/ns/agents/sa/trapped"
SOC = "spiffe://cluster.local/ns/soc/sa/alice"
LEAD = "spiffe://cluster.local/ns/soc-leads/sa/bob"
POLICY = """\
version: 1
signals:
  refused: {count: outcomes, per: [principal, destination], window: 10m, when: "outcome.status == 404"}
tasks:
  - {name: export, issuers: ["spiffe://cluster.local/ns/soc/sa/alice"], agents: $(agents), actions: ["crm.*"], max_sensitivity: high, ttl: 15m}
rules:
  - {name: under-a-task, match: {task: export, action: crm.customer.export}, when: task.covers, then: allow}
  - {name: trap, match: {action: vault.read}, when: signals.calls > 0, then: quarantine, contain: {principal: 1h}}
  - {name: probes, match: {action: crm.customer.read}, when: signals.refused > 0, then: deny}
"""
"""Beside the shipped policy: rules that contain, learn, and let a task do what its agent may not."""
ADDED, CHANGED = (
    "   openssl genpkey -algorithm ed25519 |",
    "   kubectl -n authz-system delete secret authz-record-key-next",
)
"""Lines of the manual's first two steps."""


class Site:
    """Both roles of one layout, a proxy and operators."""

    def __init__(self, layout, node, authority):
        self.node = node
        self._authority = authority
        self.served = {served.role: served for served in layout.served()}
        self.layout = layout
        self.data = self.control = None

    def channel(self, container, port):
        """As the proxy of the API."""
        svid = self._authority.issue(API)
        credentials = grpc.ssl_channel_credentials(self._authority.bundle_pem, svid.key_pem, svid.chain_pem)
        name = "authz-server" if container is self.data else "authz-control"
        named = [("grpc.ssl_target_name_override", f"{name}.authz-system")]
        return grpc.secure_channel(container.address(port), credentials, named)

    def ask(self, principal, path="/v1/customers", token=""):
        """What the proxy of the API is answered for a step of a caller."""
        headers = {"txn-token": token} if token else {}
        number = str(time.monotonic_ns())
        asked = check_request("GET", path, headers, principal=principal, destination_principal=API, stream_id=number)
        with self.channel(self.data, 9001) as channel:
            return CheckResponse.FromString(channel.unary_unary(CHECK_METHOD)(asked, timeout=10))

    def check(self, principal, path="/v1/customers", token=""):
        """The HTTP status of that."""
        answer = self.ask(principal, path, token)
        return answer.denied_response.status.code if answer.status.code else 200

    def operate(self, name, *words):
        """Run a command of an operator: over mutual TLS with the SVID of a name, or `local` through the socket."""
        target = ["--control", f"unix:{self.control.root}/run/authz-control/control.sock"]
        if name != "local":
            files = self._authority.issue(name).write(self.node.folder, "operator")
            (self.node.folder / "ca.pem").write_bytes(self._authority.bundle_pem)
            target = ["--control", self.control.address(9003), "--server-name", "authz-control.authz-system"]
            target += ["--cert", *files[:1], "--key", *files[1:], "--ca", self.node.folder / "ca.pem"]
        command = [SCRIPTS / "authz-server", *words, *target]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def contained(self):
        """Principals that the control role lists."""
        return [item["entity"]["parts"][0] for item in json.loads(self.operate("local", "contained", "--json").stdout)]


@pytest.fixture
def node(cluster, tmp_path):
    acl = cluster.files("secret", "authz-valkey-acl")["users.acl"]
    # Who reads what was denied; the shipped users may not.
    cluster.put("secret", "authz-valkey-acl", {"users.acl": acl + b"user onlooker on nopass -@all +acl|log\n"})
    with short_directory() as folder, run_store(cluster, tmp_path) as port:
        yield Node(cluster, folder, port)


@pytest.fixture
def pki(node):
    """The authority, and the SVIDs of both roles in the cluster."""
    authority = Authority("cluster.local", time.time())
    for account, secret in (("authz-server", "authz-svid"), ("authz-control", "authz-control-svid")):
        svid = authority.issue(f"spiffe://cluster.local/ns/authz-system/sa/{account}", dns=[f"{account}.authz-system"])
        node.cluster.put("secret", secret, {"tls.crt": svid.chain_pem, "tls.key": svid.key_pem})
    node.cluster.put("configmap", "authz-trust", {"bundle.pem": authority.bundle_pem})
    return authority


@pytest.fixture
def site(node, pki):
    """Both roles of k8s/base, ready."""
    site = Site(render("base"), node, pki)
    with (
        run(site.layout, site.served["control"], node, POLICY) as site.control,
        run(site.layout, site.served["data"], node, POLICY) as site.data,
    ):
        yield site


def test_one_role_does_both(node, pki):
    """With the component one pod decides and signs, with the files that it mounts then."""
    site = Site(render("base, one role"), node, pki)
    with run(site.layout, site.served["all"], node) as site.data:
        site.control = site.data
        assert site.check(READER) == 200
        assert site.operate("local", "contain", READER, "--for", "1h", "--reason", "INC-1").returncode == 0
        await_value(lambda: site.check(READER) == 403)


def test_operators_contain_and_release_over_the_control_role(site):
    """What the one role signs the other one enforces; operators have the rights of their group and no other."""
    assert site.check(READER) == 200
    assert site.operate(SOC, "contain", READER, "--for", "1h", "--reason", "INC-1").returncode == 0
    await_value(lambda: site.check(READER) == 403)
    assert site.contained() == [READER]
    refused = site.operate(SOC, "release", READER, "--reason", "over")
    assert (refused.returncode, "permission_denied" in refused.stderr) == (1, True)
    stranger = site.operate(READER, "release", READER, "--reason", "over")
    assert (stranger.returncode, "permission_denied" in stranger.stderr) == (1, True)
    assert site.check(READER) == 403
    assert site.operate(LEAD, "release", READER, "--reason", "over").returncode == 0
    await_value(lambda: site.check(READER) == 200)


def test_a_rule_of_the_data_role_contains_by_way_of_the_control_role(site):
    """The replica enforces it at once and asks; the control role admits it and signs."""
    assert site.check(TRAPPED) == 200
    assert site.check(TRAPPED, path="/v1/secret/db") == 403
    assert site.check(TRAPPED) == 403
    await_value(lambda: site.contained() == [TRAPPED])
    assert site.check(READER) == 200


def test_outcomes_reach_the_data_role_by_way_of_the_control_role(site):
    """The proxy reports to what signs; what that learns the replica that decided reads in the store."""
    answer = site.ask(READER, "/v1/customers/7")
    fields = answer.dynamic_metadata.fields
    told = entry(fields["decision_id"].string_value, fields["join"].string_value, status=404)
    with site.channel(site.control, 9004) as channel:
        report(channel, message(told))
    await_value(lambda: site.check(READER, "/v1/customers/8") == 403)
    assert site.check(TRAPPED, "/v1/customers/8") == 200


def test_tasks_are_opened_at_the_control_role_and_hold_at_the_data_role(site):
    """An issuer opens one with the key of the control role; the data role, which has none, knows its token until it is ended."""
    path = "/v1/customers/7/export"
    assert site.check(READER, path) == 403
    opened = site.operate(SOC, "task", "open", "--template", "export", "--agent", READER, "--token-only")
    assert opened.returncode == 0, opened.stderr
    token = opened.stdout.strip()
    await_value(lambda: site.check(READER, path, token) == 200)
    assert site.check(TRAPPED, path, token) == 403
    (task,) = json.loads(site.operate(SOC, "task", "list", "--json").stdout)
    assert site.operate(SOC, "task", "end", task["id"], "--reason", "done").returncode == 0
    await_value(lambda: site.check(READER, path, token) == 403)


def test_record_keys_are_changed_with_an_overlap(site):
    """By the manual's commands: what either key signed is believed while both are, and no containment is lost."""
    assert site.operate("local", "contain", READER, "--for", "1h", "--reason", "INC-1").returncode == 0
    site.data.process.kill()
    former = site.node.cluster.files("secret", "authz-record-key")
    for number, step in enumerate((ADDED, CHANGED)):
        site.node.cluster.run(textwrap.dedent(commands(step)))
        site.control.process.kill()
        with (
            run(site.layout, site.served["control"], site.node, name=f"control-{number}") as site.control,
            run(site.layout, site.served["data"], site.node, name=f"data-{number}") as site.data,
        ):
            assert site.contained() == [READER]
            assert site.check(READER) == 403
            if step == CHANGED:
                assert site.node.cluster.files("secret", "authz-record-key") != former
                assert site.operate("local", "contain", TRAPPED, "--for", "1h", "--reason", "INC-2").returncode == 0
                await_value(lambda: site.check(TRAPPED) == 403)
                assert site.operate("local", "release", READER, "--reason", "over").returncode == 0
                await_value(lambda: site.check(READER) == 200)
            assert "refused" not in site.data.log()


def test_containments_hold_without_the_control_role(site):
    """What was signed is enforced while nobody signs, after a restart of the deciding replica too."""
    assert site.operate("local", "contain", READER, "--for", "1h", "--reason", "INC-1").returncode == 0
    await_value(lambda: site.check(READER) == 403)
    site.control.process.kill()
    with run(site.layout, site.served["data"], site.node, name="again") as site.data:
        assert site.check(READER) == 403
        assert site.check(TRAPPED) == 200


def test_flags_of_the_former_layout_hold(site):
    """They are not listed; containing anew and releasing lifts them."""
    keyed = KeyedHash(site.node.cluster.files("secret", "authz-hash-key")["hash.key"].strip())
    url = site.node.cluster.files("secret", "authz-control-state")["url"].decode()
    with Redis.from_url(url.replace("authz-valkey:6379", f"127.0.0.1:{site.node.store_port}")) as store:
        store.set(Keys(keyed).flag(Entity("principal", (READER,))), b"1|test|1", px=3_600_000)
    await_value(lambda: site.check(READER) == 403)
    assert site.contained() == []
    assert site.operate("local", "contain", READER, "--for", "1h", "--reason", "anew").returncode == 0
    assert site.operate("local", "release", READER, "--reason", "over").returncode == 0
    await_value(lambda: site.check(READER) == 200)


def test_nobody_asked_for_more_than_its_line_gives(site):
    """Deciding, containing, asking and upkeep, and the store has denied neither role anything."""
    assert site.check(TRAPPED, path="/v1/secret/db") == 403
    site.operate("local", "contain", READER, "--for", "1h", "--reason", "INC-1")
    await_value(lambda: sorted(site.contained()) == [READER, TRAPPED])
    site.operate("local", "release", READER, "--reason", "over")
    await_value(lambda: site.check(READER) == 200)
    with Redis("127.0.0.1", site.node.store_port, username="onlooker", password="x") as onlooker:
        assert not [each for each in onlooker.acl_log() if each["username"] != "onlooker"]
