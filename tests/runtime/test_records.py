"""What is kept of containers: whole documents, a lock that tells who lives, names that stand once."""

import fcntl
import json
import os

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.errors import CannotWrite, InvalidUsage, NotFound
from wherry.runtime.records import (
    ContainerRecord,
    Containers,
    boot_id,
    check_name,
    default_name,
    new_id,
    status_text,
)


def record(name: str = "api", **values: object) -> ContainerRecord:
    """Make a record."""
    usual = ContainerRecord(
        id=new_id(), name=name, image="api:dev", digest="sha256:0", platform="linux/amd64", argv=("/api",),
        created=1.0, boot=boot_id(), supervisor=os.getpid(), detached=True, removes=False,
    )  # fmt: skip
    return msgspec.structs.replace(usual, **values)


def let_go(own: object) -> None:
    """Drop the lock without a word, as the kernel does for a process that is killed."""
    own._lock.release()
    own._lock = None


def test_a_life(tmp_path):
    """Made, found by name and ID, changed, ended, removed."""
    place = Containers(tmp_path)
    own = place.create(record())
    known = place.find("api")
    assert (known.alive, known.running, known.state.status) == (True, False, "starting")
    assert oct(place.folder.stat().st_mode & 0o777) == "0o700"

    own.change(status="running", pid=4711, started=10.0, health="healthy")
    assert place.find(own.record.id[:4]).running
    assert status_text(place.find("api"), 100.0) == "up 1 min (healthy)"
    with pytest.raises(InvalidUsage):
        place.remove(place.find("api"))

    own.change(status="exited", code=3, finished=100.0)
    own.close()
    assert status_text(place.find("api"), 200_000.0) == "exited (3) 2 d ago"
    place.remove(place.find("api"))
    with pytest.raises(NotFound):
        place.find("api")


def test_a_name_stands_once(tmp_path):
    """Also of one that ended; not of one of which nothing was to be kept."""
    place = Containers(tmp_path)
    own = place.create(record())
    with pytest.raises(InvalidUsage):
        place.create(record())
    let_go(own)
    with pytest.raises(InvalidUsage):
        place.create(record())

    gone = place.create(record("gone", removes=True))
    let_go(gone)
    assert [one.record.name for one in place.all()] == ["api"]
    again = place.create(record("gone"))
    assert not gone.folder.exists()
    again.close()


def test_who_is_lost(tmp_path):
    """A supervisor that was killed, or of before a restart, has no lock, whatever the document says."""
    place = Containers(tmp_path)
    killed, before = place.create(record()), place.create(record("before", boot="another"))
    for own in (killed, before):
        own.change(status="running", pid=1)
        let_go(own)

    assert [place.find(name).lost for name in ("api", "before")] == ["supervisor killed", "machine restarted"]
    assert not place.find("api").running
    assert "supervisor killed" in status_text(place.find("api"))


def test_a_full_disk(tmp_path, monkeypatch):
    """A state that can't be written is no reason to end a container."""
    own = Containers(tmp_path).create(record())
    monkeypatch.setattr("wherry.runtime.records.STATE", "none/state.json")
    own.change(status="running")

    assert own.state.status == "running"
    own.close()


def test_no_place(tmp_path):
    """A store that can't be written is named."""
    (tmp_path / "containers").write_text("a file")
    with pytest.raises(CannotWrite) as caught:
        Containers(tmp_path).create(record())
    assert str(tmp_path) in str(caught.value)
    assert Containers(tmp_path).all() == ()


@settings(max_examples=25)
@given(st.binary(max_size=200), st.sampled_from(["container.json", "state.json"]))
def test_any_document(tmp_path_factory, content, name):
    """A damaged one is left out and named; the others are listed."""
    place = Containers(tmp_path_factory.mktemp("store"))
    good, bad = place.create(record()), place.create(record("bad"))
    (bad.folder / name).write_bytes(content)

    assert [one.record.name for one in place.all()] == ["api"]
    assert len(place.damaged()) == 1
    good.close()


def test_documents_of_others(tmp_path):
    """A newer version, another's ID, a name with escapes, a link: none is believed."""
    place = Containers(tmp_path)
    for change in ({"version": 2}, {"id": "0" * 12}, {"name": "a\x1b[2J"}, {"name": "../x"}):
        own = place.create(record("x" + os.urandom(3).hex()))
        file = own.folder / "container.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    link = place.create(record("link"))
    (link.folder / "state.json").unlink()
    (link.folder / "state.json").symlink_to("/etc/passwd")

    assert place.all() == ()
    assert len(place.damaged()) == 5
    with pytest.raises(NotFound) as caught:
        place.find("a\x1b[2J")
    assert "\x1b" not in str(caught.value)


def test_a_lock_of_another_process(tmp_path):
    """A reader that looks holds the lock for a moment, and keeps nobody from removing."""
    place = Containers(tmp_path)
    own = place.create(record())
    own.change(status="exited", code=0)
    own.close()
    with (own.folder / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        place.remove(place.find("api"))
    assert place.all() == ()


def test_names():
    """Names of images become names; what a user chooses is checked."""
    assert default_name("registry.example/team/api:v1@sha256:00", "3f2a99") == "api-3f2a"
    assert default_name("./_odd name/", "3f2a99") == "oddname-3f2a"
    assert default_name("sha256:00", "3f2a99") == "sha256-3f2a"
    assert check_name("a.b_c-1") == "a.b_c-1"
    for name in ("", "-a", "a/b", "a b", "a\n", "x" * 64):
        with pytest.raises(InvalidUsage):
            check_name(name)
