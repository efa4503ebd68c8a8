"""The commands about tasks and approvals against a real door, over its Unix socket and over mutual TLS; for tests."""

import time
from contextlib import contextmanager

import typer
from typer.testing import CliRunner

from authz_server import doorway
from authz_server.cli import approvals
from authz_server.cli.task import task_app
from authz_server.control.approval_service import ApprovalPorts, approval_service
from authz_server.control.control_listener import ControlListener
from authz_server.control.operators import Group, Operators, Right
from authz_server.control.task_service import TaskPorts, task_service
from authz_server.demo.pki import Authority
from authz_server.identity.svid import SvidVerifier, parse_bundle
from authz_server.listeners.doors import Door, ServerTls
from tests.listening import running
from tests.unit.approvals import world as asking
from tests.unit.taskbook import world as working
from tests.unit.taskbook.world import ANALYST

APP = typer.Typer()
APP.add_typer(task_app, name="task")
for command in (approvals.approvals, approvals.approve, approvals.deny):
    APP.command()(command)
SOC = "spiffe://corp.example/ns/soc/sa/s"
GROUPS = [
    Group("analysts", (ANALYST, "local"), frozenset({Right.CONTAIN, Right.APPROVE})),
    Group("soc", (SOC, "local"), frozenset({Right.APPROVE})),
]


class Work(working.World):
    """Tasks that the Unix socket's caller may open, as a member of a group."""

    def __init__(self):
        super().__init__()
        self.desk._ports = self.desk._ports._replace(
            groups=lambda caller: frozenset({"analysts"}) if caller in {ANALYST, "local"} else frozenset()
        )


class Desks:
    """A desk of tasks and one of approvals, behind doors in a directory."""

    def __init__(self, directory):
        self.directory = directory
        self.work, self.asked = Work(), asking.World()
        operators = Operators(GROUPS)
        self._services = [
            task_service(TaskPorts(self.work.desk, lambda: operators)),
            approval_service(ApprovalPorts(self.asked.desk, lambda: operators)),
        ]

    @contextmanager
    def local(self):
        """Give what runs a command as whoever is at the socket."""
        with running(ControlListener(Door(f"unix:{self.directory}/d/control"), self._services)) as found:
            yield lambda *arguments, given=None: run(*arguments, given=given, control=found.address)

    @contextmanager
    def remote(self):
        """Give what runs a command over mutual TLS, as whoever its first argument names."""
        directory, authority = self.directory, Authority("corp.example", time.time())
        authority.issue("spiffe://corp.example/ns/authz/sa/server", dns=["localhost"]).write(directory, "server")
        (directory / "ca.pem").write_bytes(authority.bundle_pem)
        verifier = SvidVerifier([parse_bundle("corp.example", authority.bundle_pem)])
        files = (str(directory / name) for name in ("server.pem", "server.key", "ca.pem"))
        door = Door("localhost:0", tls=ServerTls(*files, doorway.peer_caller(lambda: verifier)))
        with running(ControlListener(door, self._services)) as found:

            def by(name, *arguments, given=None):
                certificate, key = authority.issue(name).write(directory, name.rpartition("/")[2])
                options = ("--ca", directory / "ca.pem", "--cert", certificate, "--key", key)
                return run(*arguments, *options, given=given, control=found.address)

            yield by


def run(*arguments, given=None, control=""):
    """Run a command; its status, standard output and standard error."""
    found = CliRunner().invoke(APP, list(map(str, arguments)), input=given, env={"AUTHZ_CONTROL": control})
    return found.exit_code, found.stdout, found.stderr
