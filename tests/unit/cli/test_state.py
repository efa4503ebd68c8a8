"""`state inspect`, `export`, `reset`, `backup` and `restore`, on a real store that an engine has filled."""

import json
import os
import re
import time
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from authz_server import assembly
from authz_server.cli.state import state_app
from authz_server.containment.backup import HEAD
from authz_server.containment.publisher import Publisher
from authz_server.containment.record import CONTAIN, FOREVER, RELEASE, Record
from authz_server.containment.registry import Registry
from authz_server.containment.seal import Opener, Signer, derived_keys
from authz_server.keyhash import KeyedHash
from authz_server.model import Entity
from authz_server.signals import Hit, Measurement
from authz_server.state.containment import ContainedSet
from authz_server.state.keys import Keys
from authz_server.state.open import open_store

SECRET = b"0123456789abcdef0123456789abcdef"
ALICE = "spiffe://corp.example/ns/agents/sa/alice"
BOB = "spiffe://corp.example/ns/agents/sa/bob"
POLICY = """\
version: 1
actions:
  - {name: doc.read, match: {method: GET, path: "/docs/{doc}"}, kind: read}
signals:
  calls: {count: steps, per: [principal], window: 1h}
  mine:  {count: steps, per: [lineage], window: 1h}
  spots: {count: steps, per: [source], window: 1h}
  parts: {count: steps, per: [task.id], window: 1h}
  where: {count: steps, per: [destination, action], window: 1h}
rules:
  - {name: all-read, match: {principal: "spiffe://**", action: doc.read}, then: allow}
  - {name: too-fast, when: signals.calls > 2, then: throttle}
  - {name: reads, when: signals.mine > 9 || signals.spots > 9 || signals.parts > 9 || signals.where > 9, then: observe}
"""


@pytest.fixture
def place(tmp_path, valkey_server):
    """A configured deployment whose store is empty."""
    with valkey_server.client() as client:
        client.flushall()
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICY)
    (tmp_path / "hash.key").write_bytes(SECRET)
    settings = {
        "policies": str(tmp_path / "policies"),
        "state": valkey_server.url,
        "secrets": {"hash_key": str(tmp_path / "hash.key")},
    }
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    keyed = KeyedHash(SECRET)
    store = open_store(valkey_server.url, keyed, clock_ms=lambda: time.time_ns() // 1_000_000, budget_ms=5000)
    yield SimpleNamespace(
        config=config, settings=settings, store=store, keyed=keyed, directory=tmp_path, server=valkey_server
    )
    store.close()


@pytest.fixture
def run(place, monkeypatch):
    """Runs a command; its status, standard output and standard error."""
    for name in [name for name in os.environ if name.startswith("AUTHZ_")]:
        monkeypatch.delenv(name)

    def run(*arguments):
        found = CliRunner().invoke(state_app, [*map(str, arguments), "--config", str(place.config)])
        assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
        return found.exit_code, found.stdout, found.stderr

    return run


def feed(place, **entities):
    """Feed signals by name, each for one entity."""
    settings = assembly.build_holder(SimpleNamespace(shared_sources=()), place.keyed)
    plans = settings.compile({"p.yaml": POLICY.encode()}).plans
    hits = tuple(
        Hit(plans[name].signal, entity, ("doc.read",) if len(plans[name].per) > 1 else ())
        for name, entity in entities.items()
    )
    for number in range(3):
        place.store.apply([Measurement(hits, number.to_bytes(16, "big"))])


def publish(place, *records):
    private, public = derived_keys(place.keyed)
    registry = Registry(ContainedSet())
    publisher = Publisher(
        place.store, Signer(private, place.keyed), Opener([public], place.keyed), Keys(place.keyed), registry,
        clock=time.time, new_id=lambda: os.urandom(16).hex(),
    )  # fmt: skip
    for record in records:
        assert publisher.publish(record)


def record(entity=ALICE, kind=CONTAIN, until=FOREVER, age_s=10.0, **more):
    now = time.time() - age_s
    common = {"rule": "", "reason": "INC-7\x1b", "author": "local", "since": round(now), "critical": True}
    return Record(
        os.urandom(16).hex(), kind, Entity("principal", (entity,)), until, int(now * 1000), **{**common, **more}
    )


def test_what_is_kept_is_said_in_words(run, place):
    """Of a principal its own lineage, too; the limits of rules, and when they are met again."""
    feed(place, calls=Entity("principal", (ALICE,)), mine=Entity("lineage", (ALICE,)))
    publish(place, record())
    status, out, _ = run("inspect", "--principal", ALICE)
    assert status == 0
    first, second = out.split("lineage ")
    assert first.startswith(f"principal {ALICE}   (tag ")
    assert "CONTAINED since " in first
    assert "until it is released by local: INC-7\\x1b; critical" in first
    assert "calls = 3" in first
    assert "3 steps in the last 1h" in first
    assert "ABOVE it, for " in first
    assert ": 2 (too-fast)" in first
    assert "without a further step it means nothing in 59m 5" in first
    assert "3 steps or outcomes just seen" in first
    assert "mine = 3" in second
    assert "not contained" in second
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("asked", "signal", "entity"),
    [
        ("--source=10.1.2.3", "spots", Entity("source", ("10.1.2.3",))),
        ("--source=2001:db8::1", "spots", Entity("source", ("2001:db8::/64",))),
        ("--task=t-1", "parts", Entity("task.id", ("t-1",))),
        (f"--lineage={ALICE} jane", "mine", Entity("lineage", (f"{ALICE} jane",))),
        ("--key=destination=crm", "where", Entity("destination", ("crm",))),
    ],
)
def test_whatever_signals_are_kept_by_can_be_asked_for(run, place, asked, signal, entity):
    """A further part of a key is a hash, which tells the instances apart."""
    feed(place, **{signal: entity})
    status, out, _ = run("inspect", asked)
    assert status == 0
    assert re.search(rf"  {signal}( \[[0-9a-f]{{16}}\])? = 3\n", out)


def test_nothing_is_kept_about_a_stranger(run):
    """Which is an answer, too."""
    status, out, _ = run("inspect", "--principal", BOB)
    assert status == 0
    assert out.splitlines()[1:] == ["  not contained", "  no signals"]
    assert json.loads(run("export", "--principal", BOB)[1]) == []


def test_an_export_is_json(run, place):
    """Of all spellings under which something is kept, with the containment."""
    feed(place, calls=Entity("principal", (ALICE,)), mine=Entity("lineage", (ALICE,)))
    publish(place, record(reason="INC-8"))
    first, second = json.loads(run("export", "--principal", ALICE)[1])
    assert [signal["signal"] for signal in first["signals"]] == ["calls"]
    assert first["containment"]["reason"] == "INC-8"
    assert first["contained_flag"].startswith("1|")
    assert (second["entity"]["type"], second["containment"]) == ("lineage", None)


def test_a_reset_forgets_signals_and_nothing_else(run, place):
    """It asks first; whoever is contained stays contained."""
    feed(place, calls=Entity("principal", (ALICE,)), mine=Entity("lineage", (ALICE,)))
    publish(place, record())
    status, _, err = run("reset", "--principal", ALICE)
    assert (status, err) == (2, "would delete calls, mine; say --yes to do it\n")
    assert run("reset", "--principal", ALICE, "--signal", "mine", "--yes")[:2] == (0, "deleted 1 values: mine\n")
    assert "calls = 3" in run("inspect", "--principal", ALICE)[1]
    assert run("reset", "--principal", ALICE, "--yes")[:2] == (0, "deleted 1 values: calls\n")
    out = run("inspect", "--principal", ALICE)[1]
    assert "no signals" in out
    assert "CONTAINED since" in out
    assert run("reset", "--principal", ALICE, "--yes")[:2] == (0, "nothing to delete\n")


def test_records_survive_the_loss_of_the_store(run, place):
    """Contained and released ones; what the store has that is newer stays."""
    publish(place, record(), record(BOB), record(BOB, RELEASE, time.time() + 9999, age_s=5))
    file = place.directory / "backup"
    assert run("backup", file)[:2] == (0, f"2 records written to {file}\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert ALICE.encode() not in file.read_bytes()
    with place.server.client() as client:
        client.flushall()
    assert run("restore", file)[0] == 2
    publish(place, record(ALICE, RELEASE, time.time() + 9999, age_s=1))
    assert run("restore", file, "--yes")[:2] == (0, "1 restored, 1 old\n")
    assert "not contained, released by local" in run("inspect", "--principal", ALICE)[1]
    assert "not contained, released by local" in run("inspect", "--principal", BOB)[1]
    assert run("restore", file, "--yes")[1] == "1 old, 1 same\n"


@pytest.mark.parametrize("text", ["", "x\n", f"{HEAD}\nAAAA\n", f"{HEAD}\n{'A' * 99_999}", f"{HEAD}\n\xff\n"])
def test_what_is_no_backup_is_refused(run, place, text):
    """And nothing of it is published."""
    file = place.directory / "backup"
    file.write_text(text)
    status, out, err = run("restore", file, "--yes")
    assert (status, out) == (1, "")
    assert err.endswith("nothing was published\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("inspect",), "name one of --principal"),
        (("inspect", "--principal", ALICE, "--task", "t"), "name one of --principal"),
        (("inspect", "--principal", "alice"), "SPIFFE ID"),
        (("inspect", "--credential", "secret"), "hexadecimal"),
        (("inspect", "--key", "destination"), "WORD=VALUE"),
        (("inspect", "--lineage", ""), "characters"),
    ],
    ids=str,
)
def test_a_question_that_cannot_be_read_is_status_2(run, arguments, expected):
    """Before the store is asked."""
    status, _, err = run(*arguments)
    assert status == 2
    assert expected in " ".join(err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"state": "memory"}, "there is nothing shared to look at"),
        ({"secrets": {}}, "secrets.hash_key is not set"),
        ({"state": "unix:///nowhere/s"}, "the store does not answer as it should: connection"),
    ],
    ids=["memory", "secret", "down"],
)
def test_where_there_is_nothing_to_look_at(run, place, change, expected):
    """The message says why."""
    place.config.write_text(yaml.safe_dump({**place.settings, **change}))
    for arguments in (("inspect", "--principal", ALICE), ("backup", place.directory / "b")):
        status, _, err = run(*arguments)
        assert status == 1
        assert expected in err
    assert not (place.directory / "b").exists()


def test_keys_of_the_configuration_verify(run, place):
    """A record by another key does not open, which the operator is told."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - of this test
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - as above

    public = Ed25519PrivateKey.generate().public_key()
    pem = place.directory / "records.pem"
    pem.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    secrets = {**place.settings["secrets"], "record_public_keys": [str(pem)]}
    place.config.write_text(yaml.safe_dump({**place.settings, "secrets": secrets}))
    publish(place, record())
    assert "CONTAINED by its flag; its record does not open" in run("inspect", "--principal", ALICE)[1]
    pem.write_text("nonsense")
    found = CliRunner().invoke(state_app, ["inspect", "--principal", ALICE, "--config", str(place.config)])
    assert "record_public_keys[0]" in str(found.exception)
