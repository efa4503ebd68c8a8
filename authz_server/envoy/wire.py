"""The generated messages of Envoy's data-plane API that this package uses, and the demand for a fast runtime.

Sources: envoy/service/auth/v3/external_auth.proto and attribute_context.proto, envoy/config/core/v3/base.proto and
address.proto, envoy/type/v3/http_status.proto, all as packaged by `xds-protos`.
"""

from envoy.config.core.v3.base_pb2 import HeaderValueOption
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse
from envoy.type.v3.http_status_pb2 import StatusCode
from google.protobuf.internal import api_implementation
from google.protobuf.message import DecodeError as MessageError
from google.protobuf.struct_pb2 import Struct

__all__ = [
    "CheckRequest",
    "CheckResponse",
    "DeniedHttpResponse",
    "HeaderValueOption",
    "MessageError",
    "OkHttpResponse",
    "StatusCode",
    "Struct",
]


def demand_compiled_runtime(kind: str) -> None:
    """Refuse protobuf's pure-Python runtime: it parses a check some fifty times slower, a denial of service by itself.

    Args:
        kind: what `google.protobuf.internal.api_implementation.Type()` answers: `upb`, `cpp` or `python`.

    Raises:
        ImportError: it is `python`.
    """
    if kind == "python":
        raise ImportError(
            "authz-server needs protobuf's compiled runtime (upb), and this interpreter loaded the pure-Python one; "
            "unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION or install a protobuf wheel for this platform"
        )


demand_compiled_runtime(api_implementation.Type())
