"""A policy directory is read as of one moment, within bounds, and nothing outside of it is."""

import os

import pytest

from authz_server.errors import PolicyError
from authz_server.sources import files
from authz_server.sources.files import content_digest, fingerprint, read_directory, read_file


@pytest.fixture
def root(tmp_path):
    """An empty policy directory beside other things."""
    directory = tmp_path / "policies"
    directory.mkdir()
    return directory


def write(root, name, content=b"x"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def config_map(root, version, contents):
    """Mount `contents` as the kubelet does, or exchange them."""
    data = root / f"..{version}"
    for name, content in contents.items():
        write(data, name, content)
    (root / "..data_tmp").symlink_to(data.name)
    (root / "..data_tmp").rename(root / "..data")
    for name in {name.partition("/")[0] for name in contents}:
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"..data/{name}")


def faults(root, **options):
    with pytest.raises(PolicyError) as error:
        read_directory(root, sleep=lambda seconds: None, **options)
    return [(fault.file, fault.message) for fault in error.value.faults]


def test_policy_files_of_all_folders_are_read_and_nothing_else(root):
    """`*.yaml` and `*.yml`, by path, in order; no hidden names, no other suffixes, no environments."""
    for name in (
        "b.yaml",
        "a.yml",
        "teams/x/r.yaml",
        "README.md",
        ".b.yaml",
        ".git/c.yaml",
        "env/prod.yaml",
        "d.yaml~",
    ):
        write(root, name, name.encode())
    write(root, "teams/env/r.yaml", b"a team named env")
    found = read_directory(root)
    assert list(found) == ["a.yml", "b.yaml", "teams/env/r.yaml", "teams/x/r.yaml"]
    assert found["teams/x/r.yaml"] == b"teams/x/r.yaml"
    assert "env/prod.yaml" in read_directory(root, exclude=frozenset())


def test_a_mounted_config_map_is_read_once(root):
    """Links through `..data` are followed; the versions themselves are hidden."""
    config_map(root, "v1", {"a.yaml": b"1", "teams/x/r.yaml": b"2"})
    assert read_directory(root) == {"a.yaml": b"1", "teams/x/r.yaml": b"2"}


def test_the_directory_itself_may_be_a_link(tmp_path):
    """git-sync exchanges the whole directory."""
    write(tmp_path / "rev1", "a.yaml", b"1")
    (tmp_path / "current").symlink_to("rev1")
    assert read_directory(tmp_path / "current") == {"a.yaml": b"1"}


def test_an_exchange_during_the_read_is_noticed(root, monkeypatch):
    """Whatever was read before the exchange is thrown away; the result is of one version."""
    config_map(root, "v1", {"a.yaml": b"1a", "b.yaml": b"1b"})
    content, reads = files._content, []

    def exchanging(found, *rest):
        reads.append(found.name)
        if len(reads) == 2:
            config_map(root, "v2", {"a.yaml": b"2a", "b.yaml": b"2b"})
        return content(found, *rest)

    monkeypatch.setattr(files, "_content", exchanging)
    assert read_directory(root, sleep=lambda seconds: None) == {"a.yaml": b"2a", "b.yaml": b"2b"}
    assert len(reads) == 4


def test_a_link_to_nothing_within_an_exchange_is_waited_out(root):
    """The kubelet removes the links of removed files after the exchange, which is no fault of the policy."""
    config_map(root, "v1", {"a.yaml": b"1", "old.yaml": b"1"})
    config_map(root, "v2", {"a.yaml": b"2"})
    assert (root / "old.yaml").is_symlink()
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        (root / "old.yaml").unlink()

    assert read_directory(root, sleep=sleep) == {"a.yaml": b"2"}
    assert len(pauses) == 1


def test_a_directory_that_never_rests_is_a_fault(root, monkeypatch):
    """After some tries the reader gives up instead of mixing versions."""
    write(root, "a.yaml")
    content, count = files._content, iter(range(100))

    def changing(found, *rest):
        write(root, "a.yaml", b"x" * next(count))
        return content(found, *rest)

    monkeypatch.setattr(files, "_content", changing)
    assert faults(root) == [(str(root), "changed during each of 5 readings")]


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret.yaml", "../policies-other/r.yaml"])
def test_links_to_places_outside_are_refused(root, tmp_path, target):
    """Also to a neighbour whose path begins the same."""
    write(tmp_path, "secret.yaml")
    write(tmp_path, "policies-other/r.yaml")
    (root / "a.yaml").symlink_to(target)
    assert faults(root) == [("a.yaml", "is a link to a place outside of the policy directory")]


def test_folders_outside_are_refused_and_loops_end(root, tmp_path):
    """A folder link out of the directory, one to the directory itself, and one to its own folder."""
    write(tmp_path, "other/r.yaml")
    (root / "teams").symlink_to("../other")
    assert faults(root) == [("teams", "is a link to a place outside of the policy directory")]
    (root / "teams").unlink()
    (root / "loop").symlink_to(".")
    assert faults(root)[0][0] == "loop"
    (root / "loop").unlink()
    write(root, "teams/r.yaml")
    (root / "teams/loop").symlink_to("../teams")
    assert faults(root)[0][1] == "more than 8 folders deep"


def test_special_files_are_refused_without_being_opened(root):
    """A named pipe would hang the reader."""
    os.mkfifo(root / "a.yaml")
    assert faults(root) == [("a.yaml", "is no regular file")]
    with pytest.raises(PolicyError, match="no regular"):
        read_file(root / "a.yaml")


def test_a_file_that_becomes_a_pipe_does_not_hang_the_reader(root, monkeypatch):
    """The kind is checked again on what was really opened."""
    path = write(root, "a.yaml")
    content = files._content

    def replacing(found, *rest):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        try:
            return content(found, *rest)
        finally:
            path.unlink()
            write(root, "a.yaml")

    monkeypatch.setattr(files, "_content", replacing)
    assert faults(root) == [("a.yaml", "is no regular file")]


@pytest.mark.parametrize(
    ("bound", "value", "message"),
    [
        ("MAX_FILES", 1, "more than 1 policy files"),
        ("MAX_TOTAL_BYTES", 5, "more than 5 bytes of policy"),
        ("MAX_ENTRIES", 2, "more than 2 names; is this a policy directory?"),
    ],
)
def test_bounds_on_the_directory(root, monkeypatch, bound, value, message):
    """Numbers of files, of bytes and of names; each bound itself is still admitted."""
    for name in ("a.yaml", "b.yaml", "c.txt"):
        write(root, name, b"xxx")
    monkeypatch.setattr(files, bound, value)
    assert [text for _, text in faults(root)] == [message]
    monkeypatch.setattr(files, bound, {"MAX_FILES": 2, "MAX_TOTAL_BYTES": 6, "MAX_ENTRIES": 3}[bound])
    assert len(read_directory(root)) == 2


def test_bounds_on_a_file_and_on_depth(root, monkeypatch):
    """A file of the largest size and the deepest folder are admitted, one more is not."""
    write(root, "a.yaml", b"x" * 4)
    monkeypatch.setattr(files, "_content", lambda found, content=files._content: content(found, 4))
    assert read_directory(root) == {"a.yaml": b"xxxx"}
    write(root, "a.yaml", b"x" * 5)
    assert faults(root) == [("a.yaml", "larger than 4 bytes")]
    write(root, "a.yaml", b"")
    write(root, "1/2/3/4/5/6/7/8/a.yaml")
    assert len(read_directory(root)) == 2
    write(root, "1/2/3/4/5/6/7/8/9/a.yaml")
    assert faults(root) == [("1/2/3/4/5/6/7/8/9", "more than 8 folders deep")]


def test_the_bound_of_a_single_file(root):
    """The largest size is admitted, one byte more is not."""
    path = write(root, "b", b"four")
    assert read_file(path, 4) == b"four"
    with pytest.raises(PolicyError, match="larger than 3 bytes"):
        read_file(path, 3)


@pytest.mark.parametrize("name", [b"a\x1b[2J.yaml", b"a\xff.yaml", "a\u202e.yaml".encode()])
def test_names_that_cannot_be_shown_are_refused(root, name):
    """They would go to an operator's terminal; the message escapes them."""
    (root / os.fsdecode(name)).write_bytes(b"x")
    [(file, message)] = faults(root)
    assert file.isascii()
    assert file.isprintable()
    assert "cannot be shown" in message


def test_a_missing_directory_is_a_fault(root):
    """So is a file in its place."""
    assert faults(root / "none") == [(str(root / "none"), "No such file or directory")]
    assert faults(write(root, "file"))[0][1] == "Not a directory"
    with pytest.raises(PolicyError, match="No such file"):
        read_file(root / "none")


def test_the_fingerprint_sees_every_change(root):
    """Contents, names, links, exchanged versions of equal content, appearing and vanishing."""
    seen = {fingerprint(root)}

    def changed():
        now = fingerprint(root)
        fresh = now not in seen
        seen.add(now)
        return fresh and now == fingerprint(root)

    config_map(root, "v1", {"a.yaml": b"1"})
    assert changed()
    config_map(root, "v2", {"a.yaml": b"1"})
    assert changed()
    path = write(root, "b.yaml", b"1")
    assert changed()
    stamp = path.stat()
    path.write_bytes(b"2")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert changed()
    path.rename(root / "c.yaml")
    assert changed()
    os.mkfifo(root / "d.yaml")
    assert changed()
    write(root, "notes.txt")
    assert not changed()


def test_the_fingerprint_of_single_files(root):
    """A file, and a file that is not there yet."""
    path = root / "cert.pem"
    before = fingerprint(path)
    assert before == fingerprint(path)
    path.write_bytes(b"1")
    first = fingerprint(path)
    assert first != before
    (root / "new").write_bytes(b"1")
    (root / "new").rename(path)
    assert fingerprint(path) != first
    assert fingerprint(path, root) != fingerprint(root, path)


def test_the_digest_is_of_names_and_contents(root):
    """Not of their order, and no two sets run into one another."""
    assert content_digest({"a": b"1", "b": b"2"}) == content_digest({"b": b"2", "a": b"1"})
    different = [{"a": b"1"}, {"a": b"2"}, {"b": b"1"}, {"a1": b""}, {"a": b"", "1": b""}, {}]
    assert len({content_digest(contents) for contents in different}) == len(different)
