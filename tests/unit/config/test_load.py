"""Reading the configuration: every fault at once, with its line; flags win."""

import pytest

from authz_server.config import Config, load_config
from authz_server.errors import ConfigError

FULL = b"""
listen: ["unix:/run/authz/check.sock", {address: "0.0.0.0:9001", mesh_sidecar: true}]
state: redis://valkey:6379/0
state_budget: 5ms
trust:
  domains:
    - {name: corp.example, bundle: /etc/authz/corp.pem}
  proxies: [spiffe://corp.example/ns/crm/sa/api]
  bind: any
  gateways: [spiffe://corp.example/ns/edge/sa/gateway]
  identity_from: [certificate, principal]
  max_connection_age: 2h
  xfcc: {mode: sanitize_set}
credential_sources:
  - {header: authorization, scheme: [bearer, basic]}
  - {header: x-api-key}
shared_sources: [10.0.0.0/24]
containment: {never: ["spiffe://corp.example/ns/istio-system/**"], max_auto: 20 per 10m, max_share: 2%}
secrets: {hash_key: /etc/authz/hash.key}
audit: {file: "-", on_full: block}
probes: 0.0.0.0:9002
drain: 10s
max_body: 64KiB
"""


def faults(data, **overrides):
    with pytest.raises(ConfigError) as caught:
        load_config("c.yaml", data, overrides)
    return [str(fault) for fault in caught.value.faults]


def test_the_documented_example_is_read():
    """Every setting of the manual has its value and unit."""
    config = load_config("c.yaml", FULL, {})
    assert [each.address for each in config.listen] == ["unix:/run/authz/check.sock", "0.0.0.0:9001"]
    assert config.listen[1].mesh_sidecar
    assert (config.state_budget, config.drain, config.max_body) == (0.005, 10.0, 65536)
    assert config.trust.max_connection_age == 7200.0
    assert config.containment.max_auto == (20, 600.0)
    assert config.containment.max_share == 0.02


def test_an_empty_file_is_the_one_machine_default():
    """A Unix socket, state in memory, nobody trusted but Envoy's word."""
    config = load_config("defaults", b"", {})
    assert config == Config()
    assert config.listen[0].address.startswith("unix:")
    assert config.state == "memory"


def test_flags_win_over_the_file():
    """And a flag that is not given changes nothing."""
    config = load_config("c.yaml", b"state: redis://a\ndrain: 9s\n", {"state": "memory", "drain": None})
    assert (config.state, config.drain) == ("memory", 9.0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"statee: memory\n", "c.yaml:1: statee: unknown setting; did you mean `state`?"),
        (b"\ntrust:\n  domain: 1\n", "c.yaml:3: trust.domain: unknown setting; did you mean `domains`?"),
        (
            b"max_body: 3GB\n",
            "c.yaml:1: max_body: a size is a number of bytes, or a number with KiB or MiB, such as 64KiB",
        ),
        (b"drain: soon\n", "c.yaml:1: drain: a duration is a number with ms, s, m, h or d, such as 10s"),
        (b"containment: {max_share: much}\n", "c.yaml:1: containment.max_share: expected a percentage from 0% to 100%"),
    ],
)
def test_a_fault_names_its_line_its_path_and_the_remedy(data, expected):
    """As `file:line: path: message`."""
    assert faults(data) == [expected]


def test_all_faults_are_listed_at_once():
    """One run shows everything that is wrong."""
    assert len(faults(b"statee: 1\ndrain: soon\ntrust: {proxies: [nobody]}\nreplicas: 0\n")) == 4


@pytest.mark.parametrize("pattern", ["spiffe://corp.example/ns/*/sa/*", "spiffe://corp.example/**", "spiffe://**"])
def test_proxies_that_are_every_workload_need_to_be_acknowledged(pattern):
    """A pattern that lets any workload ask in another's name is written on purpose or not at all."""
    data = f"trust: {{proxies: ['{pattern}']}}\n".encode()
    assert "acknowledge" in faults(data)[0]
    load_config("c.yaml", data.replace(b"}\n", b", acknowledge: every-workload}\n"), {})


def test_a_listener_has_one_door():
    """Several ways in at one address would be the weakest of them."""
    assert "choose one" in faults(b"listen: [{address: 'h:1', mesh_sidecar: true, insecure_plaintext: true}]\n")[0]
    assert "protected by its permissions" in faults(b"listen: [{address: 'unix:/a', mesh_sidecar: true}]\n")[0]


KEYS = b"secrets: {hash_key: h, record_key: k, record_public_keys: [p]}\n"


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        (b"role: data\n", "needs a store"),
        (b"role: control\nstate: memory\n", "needs a store"),
        (b"role: data\nstate: redis://a\n", "needs `secrets.hash_key`"),
        (b"role: data\nstate: redis://a\nsecrets: {hash_key: h}\n", "needs `secrets.record_public_keys`"),
        (b"role: control\nstate: redis://a\nsecrets: {hash_key: h}\n", "needs `secrets.record_key`"),
        (b"role: both\n", "'all', 'data' or 'control'"),
    ],
)
def test_a_role_has_what_it_shares_with_the_other(data, missing):
    """Two programs that could not hear each other would each do half of the work."""
    assert missing in faults(data)[0]


@pytest.mark.parametrize("role", ["data", "control"])
def test_both_roles_start_from_one_file(role):
    """`--role` tells them apart."""
    data = b"state: redis://a\ncontrol: {listen: ['unix:/c']}\n" + KEYS
    assert load_config("c.yaml", data, {"role": role}).role == role


def test_operators_are_patterns_and_the_socket():
    """And their rights are words of a closed list."""
    members = b"operators: {soc: {members: ['spiffe://corp.example/ns/soc/sa/*', local], may: [contain, release]}}\n"
    assert load_config("c.yaml", members, {}).operators["soc"].may == ("contain", "release")
    assert "c.yaml:1: operators.soc.members[0]" in faults(members.replace(b"spiffe://corp", b"spiffe:/corp"))[0]
    assert "operators.soc.may" in faults(members.replace(b"release", b"decide"))[0]
    assert faults(b"operators: {'So C': {members: [local], may: [contain]}}\n")


def test_yaml_that_is_not_plain_is_refused():
    """Duplicate keys and anchors are faults here as in policies."""
    assert "c.yaml:2" in faults(b"state: memory\nstate: memory\n")[0]
    assert faults(b"state: &a memory\n")


def test_a_flag_of_a_section_leaves_the_rest_of_it():
    """`--audit FILE` does not undo what the file says about a full queue."""
    config = load_config("c.yaml", b"audit: {file: a, on_full: block}\n", {"audit": {"file": "b"}})
    assert (config.audit.file, config.audit.on_full) == ("b", "block")


@pytest.mark.parametrize(
    "url", ["https://a.example", "https://a.example:9005/authz", "http://[::1]:9005", "https://a.example/t/v1.2"]
)
def test_the_urls_of_the_web(url):
    """As clients know them, with a path where a gateway puts one in front."""
    config = load_config("c.yaml", f"web: {{listen: ['unix:/x'], base: '{url}'}}".encode(), {})
    assert config.web.base == url


@pytest.mark.parametrize(
    "url", ["https://a.example?x", "https://a.example/#x", "https://a/{x}", "https://[x", "ftp://a", "https://u@a"]
)
def test_a_url_that_no_path_can_follow_is_refused(url):
    """Nor is it the name of an authorization server (RFC 8414 2)."""
    (fault,) = faults(f"web: {{listen: ['unix:/x'], base: '{url}'}}".encode())
    assert fault.startswith("c.yaml:1: web.base: expected a URL")
    (fault,) = faults(f"tasks: {{issuer: '{url}'}}".encode())
    assert fault.startswith("c.yaml:1: tasks.issuer: expected an https URL")
