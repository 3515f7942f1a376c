"""Limits of this machine and of what wherry takes: each ends in a message that names it, never in a traceback."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli_shell import Shell
from containers import file, make_image
from needs import need_root
from wherry.errors import CannotWrite, HostUnable
from wherry.layer.header import InvalidArchive
from wherry.layer.room import Room

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="containers need Linux")


def limited(tmp_path: Path, limit: Callable[[], None], *words: str) -> subprocess.CompletedProcess[str]:
    """Call wherry as a process that has a limit."""
    context = tmp_path / "context"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    (context / "a").write_text("a")
    places = {"WHERRY_STORE": str(tmp_path / "store"), "WHERRY_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    return subprocess.run(
        [sys.executable, "-m", "wherry", *words], cwd=tmp_path, env={**os.environ, **places}, check=False,
        capture_output=True, text=True, preexec_fn=limit,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("count", [12, 20, 32, 63])
def test_few_open_files(tmp_path: Path, count: int):
    """`ulimit -n`: said before anything is begun, with what to do; --help still works."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))

    done = limited(tmp_path, limit, "build", "-q", "context")

    assert done.returncode == HostUnable.exit_code
    assert f"open {count} files" in done.stderr
    assert "ulimit -n 1024" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store").exists()
    assert limited(tmp_path, limit, "--help").returncode == 0


@pytest.mark.slow
def test_the_least_number_of_open_files(tmp_path: Path):
    """A build works with as many as are asked for, and a soft limit below is raised."""

    def hard() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    def soft() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (12, 4096))

    for limit in (hard, soft):
        done = limited(tmp_path, limit, "build", "-q", "--no-cache", "context")
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1024, 8192])
def test_small_files(tmp_path: Path, size: int):
    """`ulimit -f`: a message that says so, and the store is whole afterwards."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    done = limited(tmp_path, limit, "build", "-q", "context")

    assert done.returncode == CannotWrite.exit_code, done.stderr
    assert "ulimit -f" in done.stderr
    assert "Traceback" not in done.stderr
    whole = limited(tmp_path, lambda: None, "build", "-q", "-t", "a:1", "context")
    assert whole.returncode == 0, whole.stderr
    assert limited(tmp_path, lambda: None, "verify-store").returncode == 0


@pytest.fixture
def many_layers(tmp_path: Path) -> Shell:
    """A store with an image of 600 layers."""
    shell = Shell(tmp_path / "home")
    layers = [[file(f"f{number}", b"x")] for number in range(600)]
    shell.store.tag("many:1", make_image(shell.store, layers, parents=False))
    return shell


@pytest.mark.slow
def test_too_many_layers(many_layers: Shell):
    """600 layers are refused from the manifest where they would be mounted, and nothing is unpacked."""
    many_layers("run", "many:1", "/f1", code=HostUnable.exit_code)
    assert "has 600 layers; Linux mounts at most 500" in many_layers.err

    many_layers.write("context/Dockerfile", "FROM many:1\nRUN /f1\n")
    many_layers("build", "context", code=HostUnable.exit_code)
    assert "Dockerfile:" in many_layers.err
    assert "has 600 layers; Linux mounts at most 500" in many_layers.err
    trees = many_layers.root / "cache" / "trees"
    assert not list(trees.glob("*/layers/*"))


@pytest.mark.slow
def test_many_layers_that_are_only_read(many_layers: Shell):
    """They are copied, read and checked all the same."""
    many_layers("copy", "many:1", "oci:layout")
    many_layers("inspect", "many:1", "--json")
    many_layers("tree", "many:1")
    many_layers("save", "many:1", "-o", "many.tar")
    many_layers("leaks", "many:1")


def test_a_bomb_meets_the_limit(tmp_path: Path):
    """A layer of zeros is refused by its bytes, before they are written; with a larger limit it is taken."""
    shell = Shell(tmp_path / "home")
    shell.store.tag("bomb:1", make_image(shell.store, [[file("zeros", bytes(3 << 20))]]))

    shell("--unpack-limit", "2MB", "run", "bomb:1", "/zeros", code=InvalidArchive.exit_code)

    assert "zeros: more than 2000000 bytes in total" in shell.err
    assert "--unpack-limit" in shell.err
    trees = shell.root / "cache" / "trees"
    assert not list(trees.rglob("zeros"))
    shell("--unpack-limit", "4MB", "run", "bomb:1", "/zeros", code=126)
    shell("--unpack-limit", "much", "images", code=64)


def test_a_bomb_meets_the_disk(tmp_path: Path):
    """What does not fit is refused before it is written; half of what is free is never counted twice."""
    room = Room(tmp_path, free=lambda _folder: 1000)

    room.take("small", 400)
    with pytest.raises(CannotWrite, match=r"1001 bytes, but the disk of .* has 1000 free"):
        room.take("large", 1001)


@pytest.mark.slow
def test_a_bomb_on_a_small_disk(tmp_path: Path):
    """The same with a real disk: the ADD of an archive and a layer leave it as full as it was."""
    need_root()
    shell = Shell(tmp_path / "home")
    shell.store.tag("bomb:1", make_image(shell.store, [[file("zeros", bytes(64 << 20))]]))
    shell.environment["WHERRY_CACHE"] = str(tmp_path / "small")
    with small_disk(tmp_path / "small") as disk:
        shell("run", "bomb:1", "/zeros", code=CannotWrite.exit_code)
        assert "zeros: 67108864 bytes, but the disk of" in shell.err
        assert os.statvfs(disk).f_bavail > os.statvfs(disk).f_blocks // 2


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount 16 MiB of memory."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "wherry-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    "line",
    [b"ENV A=b\xff", b"LABEL A=b\xff", b"USER b\xff", b"WORKDIR /\xff", b"ARG X=\xff\nENV A=$X", b"VOLUME /\xff"],
)
def test_bytes_that_are_no_text(tmp_path: Path, line: bytes):
    """What a config can't hold is an error at its line."""
    shell = Shell(tmp_path / "home")
    (shell.root / "Dockerfile").write_bytes(b"FROM scratch\n" + line + b"\n")

    shell("build", ".", code=65)

    assert (
        f"Dockerfile:{2 + line.count(b'ARG')}: {line.splitlines()[-1].split()[0].decode()}: the bytes ff" in shell.err
    )


def test_a_word_that_is_no_text(tmp_path: Path):
    """So is a word of the command line, as a usage error."""
    shell = Shell(tmp_path / "home")
    shell.environment.pop("WHERRY_DEBUG")
    shell.write("Dockerfile", "FROM scratch\n")

    shell("build", "--label", "a=\udcff", ".", code=64)

    assert r"error: a=\xff: not UTF-8" in shell.err


@pytest.mark.slow
def test_names_of_any_bytes_are_shown_escaped(tmp_path: Path):
    """A name that is no UTF-8, with a line break or with an escape sequence is shown, not obeyed."""
    shell = Shell(tmp_path / "home")
    (shell.root / "Dockerfile").write_bytes(b'FROM scratch\nCOPY a /\xff\xfe\nCOPY ["a", "/x\\ny\\u001b[31m"]\n')
    shell.write("a", "a")
    shell("build", "-t", "odd:1", ".")

    shell("inspect", "odd:1")

    assert r"/\xff\xfe" in shell.out
    assert r"/x\ny\x1b[31m" in shell.out
    assert "\x1b" not in shell.out
    shell.out.encode()
