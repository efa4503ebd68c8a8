"""The files of the demonstration's site: certificates, configuration, policy."""

import stat
import time
from collections import defaultdict
from importlib import resources
from string import Template

import pytest
import yaml
from cryptography import x509

from authz_server.config import load_config
from authz_server.demo.agents import BENIGN, INTRUDER, STOLEN, benign_job, intrusion
from authz_server.demo.site import EDGE, HOSTS, Site, copy_policies, render, write_certificates
from authz_server.inspection import lint_policy


def test_certificates_are_for_their_owner_alone(tmp_path):
    """Keys in a directory that nobody else may enter; Envoy's names are those of the services."""
    write_certificates(tmp_path / "tls", time.time())
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").glob("*.key")} == {0o600}
    edge = x509.load_pem_x509_certificate((tmp_path / "tls/edge.pem").read_bytes())
    names = edge.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [EDGE]
    assert names.get_values_for_type(x509.DNSName) == [f"{host}.corp.example" for host in HOSTS]
    site = Site(tmp_path, 1, 2)
    for principal in (BENIGN, INTRUDER, STOLEN):
        assert site.tls(principal).verify_mode.name == "CERT_REQUIRED"


def test_the_configuration_is_one_that_the_server_takes(tmp_path):
    """Every placeholder is filled, and nothing in it is unknown."""
    values = {"socket": "/run/s", "state": "memory", "ca": "/ca", "decisions": "/log"}
    path = render("config.yaml", tmp_path / "config.yaml", values)
    config = load_config(str(path), path.read_bytes(), {})
    assert config.listen[0].address == "unix:/run/s"
    assert config.trust.identity_from == ("certificate", "principal")
    with pytest.raises(KeyError):
        render("config.yaml", tmp_path / "config.yaml", {"socket": "/run/s"})


def test_the_policy_is_sound_and_knows_every_benign_step(tmp_path):
    """No fault and no warning; what the agents do is for hosts that have a certificate."""
    copy_policies(tmp_path / "policies")
    assert not lint_policy(tmp_path / "policies").warnings
    hosts = {step.host.removesuffix(".corp.example") for step in (*benign_job(), *intrusion())}
    assert hosts <= set(HOSTS)


def test_envoy_and_server_agree_on_the_size_of_bodies():
    """What Envoy cuts, what it tells the server in the route, and what the server reads."""
    text = resources.files("authz_server.demo").joinpath("files", "envoy.yaml").read_text()
    document = yaml.safe_load(Template(text).substitute(defaultdict(int)))
    manager = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    (host,) = manager["route_config"]["virtual_hosts"]
    told = host["typed_per_filter_config"]["envoy.filters.http.ext_authz"]["check_settings"]["context_extensions"]
    cut = manager["http_filters"][0]["typed_config"]["with_request_body"]["max_request_bytes"]
    assert cut == int(told["authz.max_body"]) == load_config("", b"", {}).max_body
    assert [route["match"] for route in host["routes"]] == [{"prefix": "/"}]
    assert manager["http_filters"][0]["typed_config"]["failure_mode_allow"] is False
