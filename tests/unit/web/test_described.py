"""A described step is the check that Envoy would send for it."""

from authz_server.envoy.decode import Decoder, DecodeSettings
from authz_server.model import BodyState
from authz_server.web.described import DescribedStep, encode_check
from tests.check_request import check_request
from tests.steps import KEYED
from tests.unit.web.world import AGENT

DECODER = Decoder(DecodeSettings(KEYED))


def test_the_decoder_reads_what_was_described():
    step = DescribedStep("POST", "crm.corp.example:8443", "/a?b=c", AGENT, headers=(("x", "1"), ("x", "2")), body=b"{}",
                         address="10.1.2.3", destination_principal="spiffe://corp.example/ns/crm/sa/api", service="crm")  # fmt: skip
    found = DECODER.decode(encode_check(step, "7"))
    assert (found.method, found.host, found.path, found.query, found.id) == (
        "POST",
        "crm.corp.example",
        "/a",
        "b=c",
        "7",
    )
    assert (found.source_principal, found.source_address) == (AGENT, "10.1.2.3")
    assert (found.body, found.body_state, found.repeated["x"]) == (b"{}", BodyState.COMPLETE, ("1", "2"))
    assert found.context == {"authz.service": "crm"}
    assert found.destination_principal == "spiffe://corp.example/ns/crm/sa/api"


def test_it_is_read_as_a_real_check_is():
    step = DescribedStep("GET", "api.corp.example", "/", AGENT, address="10.1.2.3")
    real = DECODER.decode(check_request(principal=AGENT, destination="", stream_id="7"))
    found = DECODER.decode(encode_check(step, "7"))
    assert found._replace(destination_address=real.destination_address) == real
    assert DECODER.decode(encode_check(step._replace(address=""), "7")).source_address == ""
