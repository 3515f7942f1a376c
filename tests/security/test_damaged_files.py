"""Every file that wherry keeps, damaged: a build goes on, and gives what it gave.

The cache can be deleted, so nothing in it may stop a build or change its result. What the store has can't be made
again by everybody: a damaged index is an error that says so.
"""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


class Machine:
    """A store, a cache and a context below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def new(cls, root: Path) -> "Machine":
        """Lay out a context."""
        (root / "context").mkdir()
        (root / "context" / "Dockerfile").write_text("FROM scratch\nCOPY a /a\nWORKDIR /w\nCOPY b /b\n")
        (root / "context" / "a").write_text("a")
        (root / "context" / "b").write_text("b")
        return cls(root)

    def copied(self, place: Path) -> "Machine":
        """Copy all of it."""
        shutil.copytree(self.root, place, symlinks=True)
        return Machine(place)

    def build(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Build; a record of a call comes with the second call."""
        environment = {
            **os.environ,
            "WHERRY_STORE": str(self.root / "store"),
            "WHERRY_CACHE": str(self.root / "cache"),
            "XDG_CONFIG_HOME": str(self.root / "config"),
            "SOURCE_DATE_EPOCH": "0",
        }
        command = [sys.executable, "-m", "wherry", "build", "-q", "-t", "d:1", "context", *words]
        return subprocess.run(command, check=False, cwd=self.root, env=environment, capture_output=True, text=True)

    def files(self, place: str) -> list[str]:
        """Name one file of each kind below a folder: a second layer is read by the same code as the first."""
        found = sorted(path for path in (self.root / place).rglob("*") if path.is_file() and not path.is_symlink())
        return list({self._kind(path): str(path.relative_to(self.root)) for path in reversed(found)}.values())

    def _kind(self, path: Path) -> str:
        content = path.read_bytes()
        document = content.startswith(b"{") and (b'"layers"' in content, b'"rootfs"' in content)
        return f"{re.sub('[0-9a-f]{12,}', 'HEX', str(path.relative_to(self.root)))} {document}"


def _overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes() or b"x")
    for at in range(0, len(content), 3):
        content[at] ^= 0x5A
    path.write_bytes(bytes(content))


def _shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(4096))  # noqa: S311 - damage, not secrets


DAMAGES: dict[str, Callable[[Path], None]] = {
    "overwritten": _overwritten,
    "shortened": _shortened,
    "emptied": _emptied,
    "made a folder": _folder,
    "noise": _noise,
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, str]:
    """A machine that has built three times, and the digest."""
    machine = Machine.new(tmp_path_factory.mktemp("built"))
    digests = {machine.build().stdout for _ in range(3)}
    assert len(digests) == 1
    return machine, digests.pop()


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_cache(built: tuple[Machine, str], damage: str, tmp_path: Path):
    """Whatever happened to a file of the cache, the next build gives the same digest; so does the one after it.

    That one is tried for one kind of damage: what the first leaves behind is the same for all.
    """
    whole, digest = built
    names = whole.files("cache")
    assert names
    for name in names:
        machine = whole.copied(tmp_path / "copy")
        DAMAGES[damage](machine.root / name)
        for done in (machine.build() for _ in range(2 if damage == "overwritten" else 1)):
            assert (done.returncode, done.stdout) == (0, digest), f"{name} {damage}: {done.stderr}"
            assert "Traceback" not in done.stderr
        shutil.rmtree(machine.root)


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_store(built: tuple[Machine, str], damage: str, tmp_path: Path):
    """A damaged file of the store is built again, or an error names it; never a traceback, and never another digest."""
    whole, digest = built
    for name in whole.files("store"):
        machine = whole.copied(tmp_path / "copy")
        DAMAGES[damage](machine.root / name)
        done = machine.build()
        assert "Traceback" not in done.stderr, f"{name} {damage}: {done.stderr}"
        assert "internal error" not in done.stderr, f"{name} {damage}: {done.stderr}"
        assert done.stdout == digest or (done.returncode and "error:" in done.stderr), f"{name}: {done.stderr}"
        shutil.rmtree(machine.root)
