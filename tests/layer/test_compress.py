"""Layers are packed to the same bytes whatever the machine, in little memory, and others can unpack them."""

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import SMALL, file, reread, tar_of
from golden_digests import synthetic
from needs import need
from wherry.digest import Digest
from wherry.errors import InvalidUsage
from wherry.layer import compress
from wherry.layer.compress import DEFAULT, Encoding, pack, zstd_workers
from wherry.layer.decompress import open_layer
from wherry.layer.entry import Entry, EntryKind, FileContent
from wherry.layer.tar import FileChanged
from wherry.oci import media
from wherry.store.memory import MemoryStore

ENCODINGS = [DEFAULT, Encoding("gzip", 1), Encoding("gzip", 9), Encoding.default("zstd"), Encoding("none", 0)]


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_threads_make_no_difference(encoding):
    """One, two or eight at a time: one digest; the descriptor and both digests tell the truth."""
    store, entries = MemoryStore(), [file("app", synthetic(150_000) * 9)]
    layer, *others = (pack(entries, encoding, store, threads=threads) for threads in (1, 2, 8))

    assert others == [layer, layer]
    archive = tar_of(*entries)
    assert layer.diff_id == Digest.of(archive)
    assert layer.size == len(archive)
    assert layer.blob.media_type == encoding.media_type
    assert layer.blob.size == len(store.blobs[layer.blob.digest])
    stream = open_layer(store, layer.blob, layer.diff_id)
    assert b"".join(iter(lambda: stream.read(1 << 20), b"")) == archive


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 2048, (1 << 20) - 2047, (1 << 20) - 1536, (2 << 20) - 2048])
def test_blocks_at_their_edges(size):
    """A tar that ends with a block, or just after or before one, is whole."""
    store = MemoryStore()
    layer = pack([file("a", b"x" * size)], DEFAULT, store)

    assert gzip.decompress(store.blobs[layer.blob.digest]) == tar_of(file("a", b"x" * size))


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=5000), st.sampled_from(ENCODINGS))
def test_any_content_comes_back(content, encoding):
    """What is packed is what is read."""
    store = MemoryStore()
    layer = pack([file("a", content)], encoding, store)
    stream = open_layer(store, layer.blob, layer.diff_id)

    assert reread(b"".join(iter(lambda: stream.read(999), b""))) == {"a": content}


@pytest.mark.parametrize(("encoding", "program"), [(DEFAULT, "gzip"), (Encoding.default("zstd"), "zstd")])
def test_the_usual_programs_read_it(encoding, program):
    """`gzip` and `zstd` find nothing to object to, and give the tar back."""
    store = MemoryStore()
    layer = pack(SMALL, encoding, store, threads=2)
    blob = store.blobs[layer.blob.digest]
    subprocess.run([need(program), "--test"], input=blob, check=True, capture_output=True)
    done = subprocess.run([need(program), "--decompress", "--stdout"], input=blob, check=True, capture_output=True)

    assert done.stdout == tar_of(*SMALL)


def test_gzip_header_tells_nothing():
    """No time, no name, no operating system; one member."""
    store = MemoryStore()
    blob = store.blobs[pack(SMALL, DEFAULT, store).blob.digest]

    assert blob[:10] == bytes.fromhex("1f8b08000000000000ff")
    assert int.from_bytes(blob[-4:], "little") == len(tar_of(*SMALL))


def test_smaller_than_the_peers_default():
    """On bytes like a program's the default is below gzip at its fastest, which ko takes."""
    content = synthetic(1 << 20)
    store = MemoryStore()

    assert pack([file("a", content)], DEFAULT, store).blob.size < 0.97 * len(gzip.compress(content, 1))


@pytest.mark.parametrize(
    ("algorithm", "level"), [("gzip", 0), ("gzip", 10), ("zstd", 0), ("zstd", 23), ("none", 1), ("xz", 1)]
)
def test_encodings_that_are_none(algorithm, level):
    """A level or an algorithm that does not exist is the user's mistake, and the hint has what does."""
    with pytest.raises(InvalidUsage) as caught:
        Encoding(algorithm, level)

    assert caught.value.hint


def test_encoders_are_named():
    """What provenance keeps has library, version and level."""
    assert DEFAULT.encoder.startswith("zlib-ng 2.")
    assert "level 5" in DEFAULT.encoder
    assert Encoding("zstd", 3).encoder.startswith("zstd 1.")
    assert Encoding("zstd", 3).media_type == media.OCI_LAYER_ZSTD
    with pytest.raises(InvalidUsage):
        Encoding.default("brotli")


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_a_failure_stores_nothing(encoding, tmp_path):
    """Where a file changes under us, the store stays as it was, and no thread hangs."""
    (tmp_path / "app").write_bytes(b"x" * (3 << 20))
    store = MemoryStore()
    with pytest.raises(FileChanged):
        pack(
            [Entry(path="a", kind=EntryKind.FILE, size=9 << 20, content=FileContent(tmp_path / "app"))], encoding, store
        )

    assert store.blobs == {}


MEMORY = """
import sys
from pathlib import Path
from pathlib import Path
from wherry.layer.compress import DEFAULT, pack
from wherry.layer.entry import Entry, EntryKind, FileContent

class Nowhere:
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def draft(self): return self
    def write(self, chunk): pass
    def commit(self, media_type):
        from wherry.oci.descriptor import Descriptor
        return Descriptor.of(media_type, b"")

path = Path(sys.argv[1])
entry = Entry(path="a", kind=EntryKind.FILE, size=path.stat().st_size, content=FileContent(path))
pack([entry], DEFAULT, Nowhere(), threads=8)
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])  # unlike ru_maxrss, not the parent's
"""


@pytest.mark.slow
def test_memory_is_bounded(tmp_path):
    """200 MB are packed by eight threads in less than 100 MB, interpreter included."""
    with (tmp_path / "big").open("wb") as big:
        noise = b"".join(hashlib.sha256(bytes([number % 256, number // 256])).digest() for number in range(1 << 15))
        big.write(noise * 100)
        big.truncate(200 << 20)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "big")], check=True, capture_output=True, text=True
    )

    assert int(done.stdout) < 100 * 1000


@pytest.mark.parametrize(("level", "workers"), [(1, 8), (9, 8), (12, 4), (19, 2), (22, 1)])
def test_zstd_s_workers_share_a_budget(level, workers):
    """The tables of high levels are large: fewer workers have them; how many there are changes no byte."""
    assert zstd_workers(level, 8) == workers
    assert zstd_workers(level, 1) == 1


ZSTD_MEMORY = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from archives import file
from golden_digests import synthetic
from wherry.layer.compress import Encoding, pack
from wherry.store.disk import DiskStore
from pathlib import Path
program = file("app", synthetic(1_000_000) * 60)
pack([file("warm", b"up")], Encoding("zstd", 1), DiskStore(Path(sys.argv[2])))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pack([program], Encoding("zstd", 12), DiskStore(Path(sys.argv[2])), threads=8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_zstd_s_memory_is_bounded(tmp_path):
    """Eight threads at level 12 would take 394 MB by themselves."""
    grown = subprocess.run(
        [sys.executable, "-c", ZSTD_MEMORY, str(Path(__file__).parents[1]), str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(grown.stdout) << 10 < 320_000_000


@pytest.mark.parametrize("algorithm", ["gzip", "zstd"])
def test_another_encoder_is_noticed(algorithm, monkeypatch):
    """An installed library that this release is not made with is named with the one that is."""
    encoding = Encoding.default(algorithm)
    assert encoding.differs == ""

    monkeypatch.setitem(compress.RELEASED, algorithm, "another 9.9")

    assert encoding.library in encoding.differs
    assert "another 9.9" in encoding.differs
