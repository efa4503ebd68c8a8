"""The door for operators: in a directory of its own, and in the roles that act on what is asked there."""

import pytest

from authz_server.config import load_config
from authz_server.control.operators import build_operators
from authz_server.control_door import build_control, check_addresses
from authz_server.errors import ConfigError


def configure(text):
    return load_config("c.yaml", text.encode(), {})


@pytest.mark.parametrize(
    "text",
    [
        "listen: ['unix:/run/a/check.sock']\ncontrol: {listen: ['unix:/run/a/control.sock']}\n",
        "access_logs: {listen: ['unix:/run/b/logs']}\ncontrol: {listen: ['unix:/run/c/ok', 'unix:/run/b/control']}\n",
    ],
)
def test_a_control_socket_lies_beside_none_of_a_proxy(text):
    """Who may open the directory of the one could open the other."""
    with pytest.raises(ConfigError, match=r"control\.listen.*a directory of its own"):
        check_addresses(configure(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "control: {listen: ['unix:/run/control/s']}\n",
        "listen: ['unix:/run/a/s']\ncontrol: {listen: ['unix:/run/control/s']}\n",
    ],
)
def test_addresses_that_are_apart(text):
    check_addresses(configure(text))


def test_nothing_is_served_where_nobody_acts():
    config = configure("control: {listen: ['unix:/run/control/s']}\n")
    assert build_control(config, None, build_operators({}), lambda: None) == []
    assert build_control(configure(""), None, build_operators({}), lambda: None) == []
