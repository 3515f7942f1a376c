"""Memory stays flat: for a layer of one huge file, and for one of many small ones."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from archives import file
from built_images import put_layers
from wherry.layer.compress import Encoding
from wherry.layer.entry import Entry, EntryKind
from wherry.store.disk import DiskStore

pytestmark = pytest.mark.slow

_LIMIT = 150_000
"""Kilobytes of our memory at most."""
_ANALYZE = """
import sys
from pathlib import Path
from wherry.app.analyze import analyze
from wherry.app.session import Session
folder = Path(sys.argv[1])
session = Session(store=folder / "store", cache=folder / "cache", cwd=folder, environment={})
(one,) = analyze(session, "image:dev").platforms
print(one.unpacked, one.files, Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


class _Zeros:
    """So many zeros, that nothing holds at a time."""

    def __init__(self, size: int) -> None:
        self.left = size

    def open(self) -> "nullcontext[_Zeros]":
        return nullcontext(self)

    def read(self, size: int, /) -> bytes:
        part = min(size, self.left)
        self.left -= part
        return bytes(part)


def peak(folder: Path, layers: list[list[Entry]], algorithm: str) -> tuple[int, int, int]:
    """Analyse an image in a process of its own: bytes, files, and kilobytes of memory at most."""
    store = DiskStore(folder / "store")
    store.tag("image:dev", put_layers(store, layers, encoding=Encoding(algorithm, 1)))
    said = subprocess.run(
        [sys.executable, "-c", _ANALYZE, str(folder)], check=True, capture_output=True, text=True
    ).stdout.split()
    return int(said[0]), int(said[1]), int(said[2])


@pytest.mark.parametrize("algorithm", ["gzip", "zstd"])
def test_a_huge_file(tmp_path, algorithm):
    """A file of 256 MiB of zeros, of which the blob has next to nothing."""
    size = 1 << 28
    entry = Entry(path="big", kind=EntryKind.FILE, size=size, content=_Zeros(size))

    unpacked, files, kilobytes = peak(tmp_path, [[entry]], algorithm)

    assert (unpacked, files) == (size, 1)
    assert kilobytes < _LIMIT


def test_many_files(tmp_path):
    """Two layers of 20,000 files, each with a name of its own and a copy in the other layer: some bytes a file."""

    def entries(layer: str) -> list[Entry]:
        paths = (f"usr/lib/node_modules/package-{n // 50}/lib/module-{layer}-{n}.js" for n in range(20_000))
        return [file(path, b"%d" % n) for n, path in enumerate(paths)]

    unpacked, files, kilobytes = peak(tmp_path, [entries("a"), entries("b")], "gzip")

    assert (unpacked, files) == (2 * sum(len(str(n)) for n in range(20_000)), 40_000)
    # 144 MB for ten times as many, where a megabyte is 1,000 kilobytes and 25 of them are the interpreter's.
    assert kilobytes < 55_000
