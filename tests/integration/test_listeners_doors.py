"""Every listener opens only to those whom its door admits."""

import os
import stat

import grpc
import pytest

from authz_server.errors import ConfigError
from authz_server.listeners.doors import Door, token_digest
from authz_server.model import Caller, CallerKind
from tests.listening import (
    FAILSAFE,
    KINDS,
    SERVING,
    Recorder,
    channel,
    check,
    echo,
    health_of,
    running,
    short_directory,
    watch_health,
)

TOKEN = "0123456789abcdef0123456789abcdef"

pytestmark = pytest.mark.server


@pytest.fixture(params=KINDS)
def kind(request):
    """The class of a listener."""
    return KINDS[request.param]


@pytest.fixture
def directory():
    """A short path."""
    with short_directory() as path:
        yield path


def test_a_caller_secret_is_asked_of_every_method(kind):
    """Without it, or with another one, Check and health are unauthenticated; each accepted secret opens both."""
    decide = Recorder()
    other = "f" * 40
    door = Door("127.0.0.1:0", caller_token_sha256=(token_digest(TOKEN), token_digest(other)))
    with running(kind(door, decide, FAILSAFE)) as listener:
        with channel(listener.address) as opened:
            for metadata in ((), (("authorization", f"Bearer {TOKEN}x"),), (("authorization", TOKEN),)):
                for call in (
                    lambda m=metadata: check(opened)(b"x", timeout=10, metadata=m),
                    lambda m=metadata: health_of(opened, metadata=m),
                    lambda m=metadata: next(watch_health(opened, metadata=m)),
                ):
                    with pytest.raises(grpc.RpcError) as refused:
                        call()
                    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert decide.calls == []
            for secret in (TOKEN, other):
                metadata = (("authorization", f"Bearer {secret}"),)
                assert check(opened)(b"x", timeout=10, metadata=metadata) == b"ok"
                assert health_of(opened, metadata=metadata) == SERVING
        assert {call.caller for call in decide.calls} == {Caller(CallerKind.TOKEN, listener.address)}
        assert not listener.address.endswith(":0")


def test_behind_its_sidecar_the_caller_is_what_the_xfcc_says(kind):
    """The header's text reaches the given function; none is an empty text, and a failure an invalid caller."""

    def identify(text):
        if text == "broken":
            raise ValueError(text)
        return Caller(CallerKind.SIDECAR, text, valid=bool(text), reason="" if text else "caller_absent")

    decide = Recorder()
    with running(kind(Door("127.0.0.1:0", sidecar_caller=identify), decide, FAILSAFE)) as listener:
        with channel(listener.address) as opened:
            for values in (["By=a;URI=b"], ["one", "two"], [], ["broken"]):
                check(opened)(b"x", timeout=10, metadata=[("x-forwarded-client-cert", value) for value in values])
        callers = [call.caller for call in decide.calls]
        assert [caller.id for caller in callers[:2]] == ["By=a;URI=b", "one,two"]
        assert callers[2] == Caller(CallerKind.SIDECAR, "", valid=False, reason="caller_absent")
        assert callers[3] == Caller(CallerKind.SIDECAR, "", valid=False, reason="caller_unreadable")


def test_an_open_port_has_to_be_wished_for(kind):
    """A plaintext address without any means of admission is refused, and served when asked for by name."""
    with pytest.raises(ConfigError, match=r"caller_token.*mesh_sidecar.*--insecure-plaintext"):
        kind(Door("127.0.0.1:0"), echo, FAILSAFE)
    decide = Recorder()
    with running(kind(Door("127.0.0.1:0", insecure=True), decide, FAILSAFE)) as listener:
        with channel(listener.address) as opened:
            check(opened)(b"x", timeout=10)
        assert decide.calls[0].caller.kind is CallerKind.INSECURE


def test_a_taken_port_is_an_error_of_the_configuration(kind):
    """Two listeners never share a port."""
    with running(kind(Door("127.0.0.1:0", insecure=True), echo, FAILSAFE)) as listener:
        second = kind(Door(listener.address, insecure=True), echo, FAILSAFE)
        with pytest.raises(ConfigError):
            second.start()
        second.stop(0.0)


def test_the_socket_is_for_its_group_and_goes_with_the_listener(kind, directory):
    """Directory 0750, socket 0660 with the group, nothing else beside them but the lock; gone after the stop."""
    group = os.getgid()
    listener = kind(Door(f"unix:{directory}/door/s", group=group), echo, FAILSAFE)
    with running(listener):
        made, place = (directory / "door/s").stat(), (directory / "door").stat()
        assert stat.S_ISSOCK(made.st_mode)
        assert (stat.S_IMODE(made.st_mode), made.st_gid) == (0o660, group)
        assert (stat.S_IMODE(place.st_mode), place.st_gid) == (0o750, group)
        assert sorted(path.name for path in (directory / "door").iterdir()) == ["s", "s.lock"]
    assert [path.name for path in (directory / "door").iterdir()] == ["s.lock"]


def test_a_served_path_is_not_taken_over(kind, directory):
    """A second listener on a live path is refused, the first goes on, and the path is free after its stop."""
    door = Door(f"unix:{directory}/door/s")
    with running(kind(door, echo, FAILSAFE)) as listener:
        with pytest.raises(ConfigError, match="another server listens"):
            kind(door, Recorder(), FAILSAFE).start()
        with channel(listener.address) as opened:
            assert check(opened)(b"x", timeout=10) == b"<x>"
    with running(kind(door, Recorder(), FAILSAFE)) as listener, channel(listener.address) as opened:
        assert check(opened)(b"x", timeout=10) == b"ok"
