"""The manual of Envoy: its examples are what Envoy reads, and each of their lines has its reason."""

import re

import pytest
import yaml
from envoy.config.bootstrap.v3.bootstrap_pb2 import LayeredRuntime
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.extensions.access_loggers.grpc.v3.als_pb2 import HttpGrpcAccessLogConfig
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import ExtAuthz, ExtAuthzPerRoute
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from google.protobuf import json_format

from authz_server.envoy.body import LIMIT_KEY
from authz_server.policy.callers import LEGACY_ROUTE
from tests.manual.markdown import PACKAGE, blocks, codes

ANY_TYPES = (ExtAuthzPerRoute, HttpProtocolOptions, PreviousHostsPredicate)
"""Known by name to whoever reads `@type` in the examples for Envoy."""


def test_the_examples_are_what_envoy_reads():
    """Each block is a message of its type, with no unknown field."""
    filter_, manager, host, cluster, runtime, log, logger = map(yaml.safe_load, blocks("envoy.md", "yaml"))
    for message, value in (
        (ExtAuthz(), _typed(filter_)),
        (HttpGrpcAccessLogConfig(), _typed(logger)),
        (HttpConnectionManager(), manager),
        (VirtualHost(), host),
        (Cluster(), cluster),
        (LayeredRuntime(), runtime),
    ):
        json_format.ParseDict(value, message)
    assert "decision_id" in log["json_format"]


def _typed(block):
    return {key: value for key, value in block["typed_config"].items() if key != "@type"}


def test_the_context_extensions_are_those_that_the_server_reads():
    """And each has its reason."""
    host = yaml.safe_load(blocks("envoy.md", "yaml")[2])
    (route,) = host["typed_per_filter_config"].values()
    named = set(route["check_settings"]["context_extensions"])
    assert named == {LIMIT_KEY, LEGACY_ROUTE, "authz.service"}
    assert named <= codes("envoy.md", "Line", "Routes")


def _lines(node, known, prefix=""):
    """The dotted keys of a mapping, down to those that the tables explain."""
    for key, value in node.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and any(name.startswith(f"{path}.") for name in known):
            yield from _lines(value, known, f"{path}.")
        elif key != "@type":
            yield path


EXPLAINED = [("The filter", 0), ("The connection manager", 1), ("Outcomes", 6)]


@pytest.mark.parametrize(("heading", "place"), EXPLAINED)
def test_every_line_of_the_examples_has_its_reason(heading, place):
    """And no reason is given for a line that is not there."""
    block = yaml.safe_load(blocks("envoy.md", "yaml")[place])
    known = codes("envoy.md", "Line", heading)
    assert set(_lines(block.get("typed_config", block), known)) == known


def test_the_filter_is_the_one_of_the_demo():
    """Whatever both set, they set alike."""
    shipped = yaml.safe_load(re.sub(r"\$\{\w+\}", "1", (PACKAGE / "demo/files/envoy.yaml").read_text()))
    listener = shipped["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    demo = listener["http_filters"][0]["typed_config"]
    loggers = {logger["name"]: logger for logger in listener["access_log"]}
    assert yaml.safe_load(blocks("envoy.md", "yaml")[6]) == loggers["envoy.access_loggers.http_grpc"]
    printed = yaml.safe_load(blocks("envoy.md", "yaml")[0])["typed_config"]
    assert set(demo) <= set(printed)
    assert {key: printed[key] for key in demo} == demo
    assert yaml.safe_load(blocks("envoy.md", "yaml")[4]) == shipped["layered_runtime"]
