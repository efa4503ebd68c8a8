"""The server's configuration: whom it trusts, where it listens, where it keeps state. Not policy; see `policy/`.

Read from one YAML file and laid over by flags and `AUTHZ_…` variables. Every fault of the file is reported at once, as
`file:line: path: message`.
"""

from authz_server.config.load import load_config
from authz_server.config.model import Config, Listen

__all__ = ["Config", "Listen", "load_config"]
