"""Bad luck of a machine: clocks that jump, disks that lack things, two versions of wherry on one cache."""

import errno
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

import wherry
from cli_shell import Shell
from containers import file, folder, hard, make_image
from faults import failing
from needs import need_root
from wherry.build.file_hashes import FileHashes
from wherry.cli.main import run
from wherry.cli.world import World
from wherry.source.inputs import CHANGED_WHILE_BUILDING, InputKind, InputReader, record
from wherry.store.disk import DiskStore
from wherry.store.results import RESULTS, Results, StepRecord, forget_other_formats

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="containers need Linux")
DAY = 86400
SAME = ("-o", "type=image,name=a:1,rewrite-timestamp=true")
"""Without it, folders that COPY makes have the time at which it made them."""
DOCKERFILE = """FROM scratch AS base
COPY d /d
WORKDIR /w
FROM base
COPY --from=base /d /d2
"""


def context(root: Path) -> Path:
    """Lay out a context."""
    place = root / "context"
    (place / "d").mkdir(parents=True)
    (place / "Dockerfile").write_text(DOCKERFILE)
    (place / "d" / "file").write_text("one")
    return place


class TestClock:
    """What was recorded when the clock was ahead, or is stamped with a time to come, is never believed."""

    def build(self, shell: Shell, ahead: float) -> str:
        """Build with a clock that is so many seconds ahead; give the digest."""
        out, err = io.StringIO(), io.StringIO()
        world = World(out, err, shell.environment, shell.root, lambda: time.time() + ahead)
        assert run(["build", "-q", "-t", "c:1", "context"], world) == 0, err.getvalue()
        return out.getvalue()

    @pytest.mark.slow
    def test_builds_before_and_after_a_jump(self, tmp_path: Path):
        """Records of a day to come are the last used; another file of the same size is built all the same."""
        shell = Shell(tmp_path / "home")
        shell.environment["SOURCE_DATE_EPOCH"] = "0"
        changed = context(shell.root) / "d" / "file"
        status = changed.stat()

        def put(text: str) -> None:
            changed.write_text(text)
            os.utime(changed, ns=(status.st_mtime_ns, status.st_mtime_ns))

        first = {self.build(shell, DAY) for _ in range(3)}
        put("two")
        second = {self.build(shell, ahead) for ahead in (0, 0, -DAY)}
        put("one")
        again = {self.build(shell, ahead) for ahead in (0, -DAY)}

        assert first == again
        assert len(first) == len(second) == 1
        assert first != second

    def test_a_file_of_a_time_to_come(self, tmp_path: Path):
        """Its stamp is not settled by any clock, so that another content under the same stamp is read."""
        path = tmp_path / "file"
        path.write_bytes(b"x")
        found = path.stat()
        times = {"st_mtime_ns": found.st_mtime_ns, "st_ctime_ns": found.st_ctime_ns + DAY * 10**9}
        ahead = os.stat_result(tuple(found), times)
        assert ahead.st_ctime_ns == found.st_ctime_ns + DAY * 10**9
        for content in (b"a" * 32, b"b" * 32):
            hashes = FileHashes(tmp_path / "kept.sqlite")
            assert hashes.content("", "file", ahead, lambda content=content: content) == content
            hashes.close()

    def test_a_jump_while_a_compiler_works(self, tmp_path: Path):
        """Times can't tell what was changed since it began, so what it read is unknown: the compiler runs again."""
        path = tmp_path / "main.go"
        path.write_text("package main")

        ended = time.time_ns()
        (known,) = record([(str(path), InputKind.FILE)], (), started=ended + DAY * 10**9, ended=ended)

        assert known.content == CHANGED_WHILE_BUILDING
        assert InputReader(time.time_ns()).observe([known]).changed

    @pytest.mark.slow
    def test_a_jump_while_a_build_works(self, tmp_path: Path):
        """Its call is not remembered; one under a steady clock is."""
        shell = Shell(tmp_path / "home")
        context(shell.root)
        calls = shell.root / "cache" / "calls"
        for back, remembered in ((3600, 0), (0, 1)):
            for _ in range(2):
                hours = count()
                world = World(
                    io.StringIO(), io.StringIO(), shell.environment, shell.root,
                    lambda back=back, hours=hours: time.time() + DAY - back * next(hours), call=("build", "context"),
                )  # fmt: skip
                assert run(["build", "context"], world) == 0
            assert len(list(calls.glob("*"))) == remembered

    def test_nothing_is_collected_by_a_clock_that_is_behind(self, tmp_path: Path):
        """Ages below zero are no ages."""
        shell = Shell(tmp_path / "home")
        shell.store.tag("kept:1", make_image(shell.store, [[file("a", b"a")]]))
        results = Results(shell.root / "cache")
        kept = StepRecord("d", "c", "s", time.time(), b"", b"", b"r")
        results.put(kept)
        world = World(io.StringIO(), io.StringIO(), shell.environment, shell.root, lambda: time.time() - 400 * DAY)

        assert run(["gc"], world) == 0

        assert results.find("d", "c") == kept
        shell("verify-store")
        results.close()


def called(
    root: Path, *words: str, faults: Mapping[str, int] | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Call wherry with a store and a cache in a folder, on a disk that lacks something."""
    environment = {
        **os.environ, "WHERRY_STORE": str(root / "store"), "WHERRY_CACHE": str(root / "cache"), "HOME": str(root),
        "SOURCE_DATE_EPOCH": "0", **more,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "wherry", *words], cwd=root, env=environment, check=False, capture_output=True,
        text=True, preexec_fn=failing(faults) if faults else None,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    return done


@contextmanager
def mounted(place: Path, kind: str) -> Iterator[Path]:
    """Mount a file system of memory."""
    place.mkdir()
    subprocess.run(["mount", "-t", kind, "wherry-test", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.slow
class TestDisks:
    """A store and a cache on disks without hard links, extended attributes, locks, or a size."""

    @pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
    def test_a_file_system_of_memory(self, tmp_path: Path, kind: str):
        """No reflinks; ramfs has no extended attributes of users and does not say how much is free."""
        need_root()
        plain = tmp_path / "plain"
        context(plain)
        expected = called(plain, "build", "-q", "-t", "a:1", *SAME, "context").stdout
        with mounted(tmp_path / "disk", kind) as disk:
            shutil.copytree(plain / "context", disk / "context")
            for _ in range(2):
                done = called(disk, "build", "-q", "-t", "a:1", *SAME, "context")
                assert (done.returncode, done.stdout) == (0, expected), done.stderr
            assert called(disk, "save", "a:1", "-o", "a.tar").returncode == 0
            assert called(disk, "gc").returncode == 0
            assert called(disk, "verify-store").returncode == 0

    @pytest.mark.parametrize("faults", [{"link": errno.EPERM}, {"link": errno.EOPNOTSUPP}])
    def test_no_hard_links(self, tmp_path: Path, faults: dict[str, int]):
        """What has none is built; a layer or context that has some ends in a message about the disk, not the layer."""
        need_root()
        place = context(tmp_path)
        assert called(tmp_path, "build", "-q", "-t", "a:1", "context", faults=faults).returncode == 0
        assert called(tmp_path, "save", "a:1", "-o", "a.tar", faults=faults).returncode == 0
        (place / "d" / "other").hardlink_to(place / "d" / "file")
        store = DiskStore(tmp_path / "store")
        store.tag("hard:1", make_image(store, [[file("a", b"a"), hard("b", "a")]]))

        for words in (["build", "context"], ["run", "hard:1", "/a"]):
            done = called(tmp_path, *words, faults=faults)
            assert done.returncode == 73
            assert "the file system of the cache does not support hard links" in done.stderr
            assert "--cache" in done.stderr
        assert called(tmp_path, "verify-store").returncode == 0

    def test_no_extended_attributes(self, tmp_path: Path):
        """They are left out; only a folder that hides another needs one, and the message says so."""
        need_root()
        faults = {"setxattr": errno.EOPNOTSUPP}
        context(tmp_path)
        assert called(tmp_path, "build", "-q", "-t", "a:1", "context", faults=faults).returncode == 0
        store = DiskStore(tmp_path / "store")
        hiding = [[folder("d"), file("d/a", b"a")], [folder("d"), file("d/.wh..wh..opq", b""), file("d/c", b"c")]]
        store.tag("hiding:1", make_image(store, hiding))

        done = called(tmp_path, "run", "hiding:1", "/c", faults=faults)

        assert done.returncode == 73
        assert "does not support user extended attributes, needed for deleted directories" in done.stderr
        assert "--cache" in done.stderr

    def test_no_locks(self, tmp_path: Path):
        """Nothing is written without one; what was there is read all the same."""
        context(tmp_path)
        assert called(tmp_path, "build", "-q", "-t", "a:1", "context").returncode == 0
        before = sorted(str(path) for path in (tmp_path / "store" / "blobs").rglob("*"))
        (tmp_path / "context" / "d" / "file").write_text("changed")

        done = called(tmp_path, "build", "-t", "b:1", "context", faults={"flock": errno.ENOLCK})

        assert done.returncode == 73
        assert "cannot lock: No locks available" in done.stderr
        assert "a file system that supports locks" in done.stderr
        assert called(tmp_path, "inspect", "a:1", faults={"flock": errno.ENOLCK}).returncode == 0
        assert sorted(str(path) for path in (tmp_path / "store" / "blobs").rglob("*")) == before


def other_version(place: Path) -> str:
    """Copy wherry's code, with the formats of a version to come; give its PYTHONPATH."""
    shutil.copytree(Path(wherry.__file__).parent, place / "wherry", ignore=shutil.ignore_patterns("__pycache__"))
    for name, before in {
        "store/results.py": "_FORMAT = 3\n", "build/file_hashes.py": "_FORMAT = 2\n", "cli/replay.py": "\nFORMAT = 7\n",
        "snapshots/snapshots.py": "\nFORMAT = 2\n",
    }.items():  # fmt: skip
        path = place / "wherry" / name
        text = path.read_text()
        assert text.count(before) == 1, name
        path.write_text(text.replace(before, f"{before.rstrip()[:-1]}9\n"))
    return str(place)


@pytest.mark.slow
def test_two_versions_on_one_cache(tmp_path: Path):
    """Neither deletes what the other has, even where it collects: after both built, nothing changed for either."""
    context(tmp_path)
    versions = [{"PYTHONPATH": ""}, {"PYTHONPATH": other_version(tmp_path / "other")}]
    digests = {called(tmp_path, "build", "-q", *SAME, "context", **version).stdout for version in versions}
    kept = set((tmp_path / "cache").glob("results-*.sqlite"))

    for version in versions:
        assert called(tmp_path, "gc", **version).returncode == 0
        done = called(tmp_path, "build", *SAME, "context", **version)
        assert "nothing changed" in done.stderr

    assert len(digests) == 1
    assert {path.name for path in kept} == {RESULTS, "results-9.sqlite"}
    assert all(path.exists() for path in kept)


def test_old_formats_are_collected(tmp_path: Path):
    """A file of another format goes once no version has written it for a month, with SQLite's own files."""
    results = Results(tmp_path)
    results.put_fact("a", "b")
    results.close()
    old, used = tmp_path / "results.sqlite", tmp_path / "results-9.sqlite"
    for path in (old, used, tmp_path / "results-9.sqlite-wal"):
        path.write_bytes(b"x")
    (tmp_path / f"{RESULTS}.damaged").mkdir()
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    os.utime(tmp_path / "results-9.sqlite-wal")

    forget_other_formats(tmp_path, time.time() - DAY)

    assert {path.name for path in tmp_path.iterdir()} == {RESULTS, "results-9.sqlite", "results-9.sqlite-wal"}


def test_a_foreign_file_under_our_name(tmp_path: Path):
    """It is set aside, not emptied."""
    import sqlite3

    with sqlite3.connect(tmp_path / RESULTS) as database:
        database.execute("CREATE TABLE results (x)")
        database.execute("PRAGMA user_version = 77")
    database.close()
    lines: list[str] = []

    results = Results(tmp_path, lines.append)
    results.put_fact("a", "b")

    assert results.fact("a") == "b"
    assert lines
    assert "format is 77" in lines[0]
    assert (tmp_path / f"{RESULTS}.damaged").exists()
    results.close()
