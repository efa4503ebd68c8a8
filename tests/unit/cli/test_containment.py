"""`contain`, `release` and `contained`, against a real door."""

import json
import os
import time

import pytest
import typer
from typer.testing import CliRunner

from authz_server import doorway
from authz_server.cli import containment
from authz_server.control.control_listener import ControlListener
from authz_server.demo.pki import Authority
from authz_server.identity.svid import SvidVerifier, parse_bundle
from authz_server.listeners.doors import Door, ServerTls
from authz_server.model import Containment, Entity
from tests.listening import running, short_directory
from tests.operating import A13, ALICE, NOW, Office

pytestmark = pytest.mark.server

A13_ID = A13.parts[0]
APP = typer.Typer()
for command in (containment.contain, containment.release, containment.contained):
    APP.command()(command)


@pytest.fixture
def office():
    return Office()


@pytest.fixture
def directory():
    with short_directory() as path:
        yield path


@pytest.fixture
def run(monkeypatch):
    """Runs a command; its status, standard output and standard error."""
    for name in [name for name in os.environ if name.startswith("AUTHZ_")]:
        monkeypatch.delenv(name)

    def run(*arguments):
        found = CliRunner().invoke(APP, list(map(str, arguments)))
        return found.exit_code, found.stdout, found.stderr

    return run


@pytest.fixture
def local(run, directory, office, monkeypatch):
    """The same, for whoever is at the socket."""
    with running(ControlListener(Door(f"unix:{directory}/d/control"), [office.service])) as found:
        monkeypatch.setenv("AUTHZ_CONTROL", found.address)
        yield run


def test_an_operator_contains_looks_and_releases(local, office):
    """Each says what was done."""
    status, out, _ = local("contain", A13_ID, "--for", "1h", "--reason", "INC-1")
    assert (status, out) == (0, f"contained principal {A13_ID} until 2027-01-15 09:00:00Z (record {1:032x})\n")
    status, out, _ = local("contained")
    heading, row = out.splitlines()
    assert (status, heading.split()) == (0, ["entity", "until", "why", "who", "since"])
    assert row.split() == [*f"principal {A13_ID} 2027-01-15 09:00:00Z INC-1 local 2027-01-15 08:00:00Z".split()]
    assert local("release", "principal", A13_ID, "--reason", "over")[:2] == (
        0,
        f"released principal {A13_ID} (record {2:032x})\n",
    )
    assert local("contained")[:2] == (0, "nothing is contained\n")


def test_for_ever_is_until_it_is_released(local, office):
    """Of a critical one the listing says that it takes two, and who has asked."""
    arguments = ("source", "10.1.2.3", "--for", "forever", "--reason", "INC-2", "--critical", "--force")
    assert "source 10.1.2.3 until it is released" in local("contain", *arguments)[1]
    status, out, err = local("release", "10.1.2.3", "--reason", "over")
    assert (status, out) == (1, "")
    assert err.startswith("refused (second_person_needed): it is critical")
    assert "local asks for its release" in local("contained")[1]


def test_the_listing_as_json(local, office):
    """The first to end first; what nobody has signed yet among them."""
    office.contained.add(Containment(Entity("task", ("t1",)), NOW + 0.5, "too-fast"))
    local("contain", A13_ID, "--for", "forever", "--reason", "INC-1", "--critical")
    status, out, _ = local("contained", "--json")
    first, second = json.loads(out)
    assert status == 0
    assert first == {
        "id": "",
        "entity": {"type": "task", "parts": ["t1"]},
        "since": None,
        "until": NOW + 0.5,
        "reason": "",
        "rule": "too-fast",
        "author": "rules",
        "critical": False,
        "release_asked_by": "",
    }
    assert (second["until"], second["since"], second["critical"]) == (None, NOW, True)
    assert "rule too-fast" in local("contained")[1]


def test_what_others_wrote_cannot_write_to_the_terminal(local, office):
    """Neither in the table, nor as markup of it, nor in JSON."""
    nasty = "\x1b[2J\u202e[red]\nx"
    office.contained.add(Containment(Entity("task", (nasty,)), NOW + 1, nasty))
    _, table, _ = local("contained")
    _, dumped, _ = local("contained", "--json")
    for out in (table, dumped):
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert "[red]" in out
    assert json.loads(dumped)[0]["rule"] == nasty


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("contain", "a13", "--for", "1h", "--reason", "x"), "IPv4 address"),
        (("contain", "planet", "x", "--for", "1h", "--reason", "x"), "cannot be contained"),
        (("contain", "principal", "a13", "--for", "1h", "--reason", "x"), "SPIFFE ID"),
        (("contain", "source", "10.0.0.0/8", "--for", "1h", "--reason", "x"), "IPv4 address"),
        (("contain", A13_ID, "--for", "soon", "--reason", "x"), "forever"),
        (("contain", A13_ID, "--for", "1500ms", "--reason", "x"), "whole seconds"),
        (("contain", A13_ID, "--for", "1h", "--reason", "\udcff"), "not printable"),
        (("release", A13_ID, "--reason", "\udcff"), "not printable"),
        (("contained", "--control", "unix:/\udcff"), "not printable"),
        (("contain", A13_ID, "--reason", "x"), "--for"),
        (("contain", A13_ID, "--for", "1h"), "--reason"),
        (("release", "--reason", "x"), "ENTITY"),
        (("contained", "--control", "somewhere"), "HOST:PORT"),
        (("contained", "--control", "localhost:1"), "--mesh-sidecar"),
        (("contained", "--control", "localhost:1", "--cert", "c.pem"), "--mesh-sidecar"),
        (("contained", "--control", "localhost:1", "--cert", "c.pem", "--mesh-sidecar"), "instead"),
        (("contained", "--mesh-sidecar"), "Unix socket"),
    ],
    ids=lambda value: ascii(" ".join(value)[:60]) if isinstance(value, tuple) else None,
)
def test_a_question_that_cannot_be_read_is_status_2(local, arguments, expected):
    """Nothing is sent."""
    status, _, err = local(*arguments)
    assert status == 2
    assert expected in " ".join(err.replace("│", " ").split())


def test_without_a_server_nothing_was_done(run, directory):
    """And the command says so."""
    status, out, err = run("contained", "--control", f"unix:{directory}/nobody")
    assert (status, out) == (1, "")
    assert err.startswith("error: the control listener does not answer")
    assert "AUTHZ_CONTROL" in run("contained")[2]


def test_over_tls(run, directory, office):
    """By the operator's own certificate; a server that is not the one is not told anything."""
    authority = Authority("corp.example", time.time())
    authority.issue("spiffe://corp.example/ns/authz/sa/server", dns=["authz.internal"]).write(directory, "server")
    authority.issue(ALICE).write(directory, "alice")
    (directory / "ca.pem").write_bytes(authority.bundle_pem)
    verifier = SvidVerifier([parse_bundle("corp.example", authority.bundle_pem)])
    files = (str(directory / name) for name in ("server.pem", "server.key", "ca.pem"))
    door = Door("127.0.0.1:0", tls=ServerTls(*files, doorway.peer_caller(lambda: verifier)))
    with running(ControlListener(door, [office.service])) as found:
        options = ["--control", found.address, "--ca", directory / "ca.pem"]
        options += ["--cert", directory / "alice.pem", "--key", directory / "alice.key"]
        contain = ("contain", A13_ID, "--for", "15m", "--reason", "x", *options)
        assert run(*contain)[0] == 1
        assert not office.desk.listing()
        assert run(*contain, "--server-name", "authz.internal")[0] == 0
    assert office.registry.find(A13).author == ALICE
