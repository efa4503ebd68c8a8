"""The third door: plaintext on a port, with the caller secret that Envoy sends on checks and on health checks."""

import grpc
import pytest

from authz_server.demo.site import EDGE
from tests.check_request import check_request
from tests.envoy_site import HOST, decision_of, site
from tests.site_pki import agent

pytestmark = [pytest.mark.e2e, pytest.mark.server]


def test_envoy_is_admitted_by_its_secret_and_others_are_not(plain_policy):
    """With the secret decisions are made and health is known; without it or with another one nothing is decided."""
    payload = check_request(path="/v1/things/7", host=HOST, principal=agent("p"), destination_principal=EDGE)
    with site("token", plain_policy) as found:
        answer = found.get(agent("reader"), "/v1/things/7")
        assert answer.status_code == 200
        assert found.get(agent("reader"), "/admin/x").status_code == 403
        assert found.record(decision_of(answer))["caller"]["kind"] == "token"
        admitted = found.server.check(payload, metadata=(("authorization", f"Bearer {found.token}"),))
        assert admitted.status.code == 0
        for metadata in ((), (("authorization", f"Bearer {'0' * 64}"),), (("authorization", found.token),)):
            with pytest.raises(grpc.RpcError) as refused:
                found.server.check(payload, metadata=metadata)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert found.token not in found.server.log() + found.server.decisions.read_text()
