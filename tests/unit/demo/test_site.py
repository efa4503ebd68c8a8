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
from authz_server.control.operators import build_operators
from authz_server.demo.agents import ANALYST, BENIGN, DANA, INTRUDER, PLANNER, SCRAPER, STOLEN, benign_job, intrusion
from authz_server.demo.site import EDGE, HOSTS, SERVER_NAME, Site, copy_policies, render, write_certificates
from authz_server.demo.work import HOST
from authz_server.inspection import lint_policy
from authz_server.model import Caller, CallerKind


def test_certificates_are_for_their_owner_alone(tmp_path):
    """Keys in a directory that nobody else may enter; Envoy's names are those of the services."""
    write_certificates(tmp_path / "tls", time.time())
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").glob("*.key")} == {0o600}
    edge = x509.load_pem_x509_certificate((tmp_path / "tls/edge.pem").read_bytes())
    names = edge.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [EDGE]
    assert names.get_values_for_type(x509.DNSName) == [f"{host}.corp.example" for host in HOSTS]
    site = Site(tmp_path, 1, 2, 3)
    for principal in (BENIGN, INTRUDER, STOLEN, ANALYST, SCRAPER):
        assert site.tls(principal).verify_mode.name == "CERT_REQUIRED"
    for principal in (PLANNER, DANA):
        target = site.target(principal)
        (found,) = (
            x509.load_pem_x509_certificate(target.certificate)
            .extensions.get_extension_for_class(x509.SubjectAlternativeName)
            .value
        )
        assert (found.value, target.address, target.server_name) == (principal, "127.0.0.1:3", SERVER_NAME)


def test_the_configuration_is_one_that_the_server_takes(tmp_path):
    """Every placeholder is filled, and nothing in it is unknown."""
    values = {"socket": "/run/s", "control": "/control/s", "control_port": 7, "tls": "/tls", "decisions": "/log"}
    values["state"] = "memory"
    path = render("config.yaml", tmp_path / "config.yaml", values)
    config = load_config(str(path), path.read_bytes(), {})
    assert config.listen[0].address == "unix:/run/s"
    assert config.trust.identity_from == ("certificate", "principal")
    assert [each.address for each in config.control.listen] == ["unix:/control/s", "127.0.0.1:7"]
    operators = build_operators(config.operators)
    assert operators.find(Caller(CallerKind.MTLS, DANA)).groups == ("data-owners",)
    assert operators.find(Caller(CallerKind.SOCKET, "s")).groups == ("oncall",)
    assert operators.find(Caller(CallerKind.MTLS, ANALYST)) is None
    with pytest.raises(KeyError):
        render("config.yaml", tmp_path / "config.yaml", {"socket": "/run/s"})


def test_the_policy_is_sound_and_knows_every_benign_step(tmp_path):
    """No fault and no warning; what the agents do is for hosts that have a certificate."""
    copy_policies(tmp_path / "policies")
    assert not lint_policy(tmp_path / "policies").warnings
    hosts = {step.host.removesuffix(".corp.example") for step in (*benign_job(), *intrusion())}
    hosts.add(HOST.removesuffix(".corp.example"))
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
