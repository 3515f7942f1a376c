"""Tar to blob: compression, and both digests of a layer, in one pass.

The encoding is part of an image, so the same entries have to give the same bytes on every CPU and with any number of
threads. gzip: one member whose deflate stream is made of blocks of 1 MiB, each compressed for itself by zlib-ng and
ended on a byte (Z_SYNC_FLUSH), so that they can be made side by side; a dictionary across blocks would save 0.06 %.
At memory level 8 a Go program takes 0.25 % fewer bytes than at 9, in the same time: codes are renewed more often.
zstd: one frame, in jobs of 4 MiB that libzstd cuts by size alone, whatever its number of workers is (from one on).
isal only decodes, elsewhere: what it encodes differs from one CPU model to the next.

Sources: RFC 1951 (deflate), RFC 1952 (gzip), RFC 8878 (zstd); zlib-ng 2.3 and libzstd 1.5 for what flushes and jobs do.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from wherry.digest import Digest
from wherry.errors import InvalidUsage
from wherry.layer.entry import Entry
from wherry.layer.tar import write_tar
from wherry.oci import media
from wherry.oci.config import Layer
from wherry.oci.descriptor import Descriptor
from wherry.store.contract import BlobSink

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from wherry.layer.known_blocks import KnownBlocks, PackedBlock

RELEASED = {"gzip": "zlib-ng 2.3.3", "zstd": "zstd 1.5.7"}
"""The encoders that the digests of this release are made with; others are read as well, and give other bytes."""
_BLOCK = 1 << 20
_JOB = 4 << 20
_MOST_THREADS = 8
_ZSTD_MEMORY = 256 << 20
"""Bytes that all workers of libzstd may take together; a level whose one worker takes more has one."""
_LEVELS = {"gzip": range(1, 10), "zstd": range(1, 23), "none": range(1)}
_DEFAULTS = {"gzip": 5, "zstd": 9, "none": 0}
_GZIP_HEADER = bytes.fromhex("1f8b 08 00 00000000 00 ff")
_RAW_DEFLATE = -15
_MEMORY = 8


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the tar of a layer is compressed."""

    algorithm: str
    """`gzip`, `zstd` or `none`."""
    level: int
    """1 to 9 for gzip, 1 to 22 for zstd, 0 for none."""

    def __post_init__(self) -> None:
        if self.algorithm not in _LEVELS:
            raise InvalidUsage(
                f'unsupported compression "{self.algorithm}"',
                hint="choose gzip, zstd or none",
            )
        levels = _LEVELS[self.algorithm]
        if self.level not in levels:
            raise InvalidUsage(
                f"compression level {self.level}: {self.algorithm} has levels {levels[0]} to {levels[-1]}",
                hint=f"remove --compression-level to use {_DEFAULTS[self.algorithm]}",
            )

    @classmethod
    def default(cls, algorithm: str = "gzip") -> Self:
        """Choose the level we take where none is given.

        Raises:
            InvalidUsage: there is no such algorithm.
        """
        return cls(algorithm, _DEFAULTS.get(algorithm, 0))

    @property
    def media_type(self) -> str:
        """What a layer that is compressed so is called."""
        return media.LAYER_OF_COMPRESSION[self.algorithm]

    @property
    def encoder(self) -> str:
        """All that decides the compressed bytes: library, version, level, cut."""
        match self.algorithm:
            case "gzip":
                return f"{self.library}, level {self.level}, memory {_MEMORY}, blocks of {_BLOCK >> 20} MiB"
            case "zstd":
                return f"{self.library}, level {self.level}, jobs of {_JOB >> 20} MiB"
            case _:
                return "none"

    @property
    def library(self) -> str:
        """The installed library that compresses, with its version; empty where none does."""
        match self.algorithm:
            case "gzip":
                from zlib_ng import zlib_ng

                return f"zlib-ng {zlib_ng.ZLIBNG_RUNTIME_VERSION}"
            case "zstd":
                import zstandard

                return f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}"
            case _:
                return ""

    @property
    def differs(self) -> str:
        """Why the digest is another than this release gives elsewhere; empty where it is the same."""
        released = RELEASED.get(self.algorithm, "")
        if self.library == released:
            return ""
        return f"{self.library} is installed, but digests of this release need {released}"


DEFAULT = Encoding.default()
"""gzip, since everything reads it; above 5 zlib-ng takes more time than its bytes are worth (docs/decisions.md)."""


def pack(
    entries: Iterable[Entry],
    encoding: Encoding,
    sink: BlobSink,
    *,
    threads: int = 1,
    known: "KnownBlocks | None" = None,
    packed: Callable[[int], object] = lambda _: None,
) -> Layer:
    """Write entries as a layer into a store, in one pass.

    Args:
        entries: parents first, in the wanted order; `sort_entries` gives the usual one.
        encoding: how to compress; with the entries, it decides the bytes.
        sink: where the blob goes.
        threads: how many compress at a time, up to 8; no influence on the bytes.
        known: blocks of an earlier layer, taken with gzip where their input is the same; no influence on the bytes.
        packed: hears how many bytes of the tar went by.

    Raises:
        FileChanged, NotFound: a file is not what its entry says; nothing was stored.
        CannotWrite: the store is full or closed to us.

    Cost: one read of each file; about 4 MiB a thread with gzip, 256 MiB at most with zstd up to level 19.
    """
    tar, size = hashlib.sha256(), 0
    with sink.draft() as draft, _encoder(encoding, draft.write, min(max(threads, 1), _MOST_THREADS), known) as encoder:

        def write(chunk: bytes) -> None:
            nonlocal size
            tar.update(chunk)
            size += len(chunk)
            encoder.write(chunk)
            packed(size)

        write_tar(entries, write)
        encoder.finish()
        return Layer(blob=draft.commit(encoding.media_type), diff_id=Digest.from_hash(tar), size=size)


def pack_tar(tar: Iterable[bytes], encoding: Encoding, sink: BlobSink, *, threads: int = 1) -> Layer:
    """Write a tar that is being made as a layer into a store, in one pass.

    Args:
        tar: its bytes, cut anywhere.
        encoding: how to compress.
        sink: where the blob goes.
        threads: as `pack`.

    Raises:
        CannotWrite: the store is full or closed to us; nothing was stored.

    Cost: as `pack`.
    """
    hashed, size = hashlib.sha256(), 0
    with sink.draft() as draft, _encoder(encoding, draft.write, min(max(threads, 1), _MOST_THREADS)) as encoder:
        for chunk in tar:
            hashed.update(chunk)
            size += len(chunk)
            encoder.write(chunk)
        encoder.finish()
        return Layer(blob=draft.commit(encoding.media_type), diff_id=Digest.from_hash(hashed), size=size)


def encode(tar: Iterable[bytes], encoding: Encoding, sink: BlobSink, *, threads: int = 1) -> Descriptor:
    """Write a tar that is there already as a layer's blob into a store.

    Args:
        tar: its bytes, cut anywhere; the caller checks the diff ID.
        encoding: how to compress.
        sink: where the blob goes.
        threads: as `pack`.

    Raises:
        CannotWrite: the store is full or closed to us; nothing was stored.

    Cost: as `pack`.
    """
    with sink.draft() as draft, _encoder(encoding, draft.write, min(max(threads, 1), _MOST_THREADS)) as encoder:
        for chunk in tar:
            encoder.write(chunk)
        encoder.finish()
        return draft.commit(encoding.media_type)


class _Encoder(Protocol):
    """Takes a tar in chunks and hands its compressed bytes on."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""

    def finish(self) -> None:
        """Hand on all that is left."""


@contextmanager
def _encoder(
    encoding: Encoding, out: Callable[[bytes], object], threads: int, known: "KnownBlocks | None" = None
) -> Iterator[_Encoder]:
    match encoding.algorithm:
        case "gzip":
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(threads, "gzip") as pool:
                if known is not None:
                    known.begin(encoding.encoder, len(_GZIP_HEADER))
                yield _Gzip(encoding.level, out, pool, 2 * threads, known)
        case "zstd":
            yield _Zstd(encoding.level, out, threads)
        case _:
            yield _Plain(out)


class _Plain:
    def __init__(self, out: Callable[[bytes], object]) -> None:
        self._out = out

    def write(self, chunk: bytes) -> None:
        self._out(chunk)

    def finish(self) -> None:
        pass


class _Zstd:
    def __init__(self, level: int, out: Callable[[bytes], object], threads: int) -> None:
        import zstandard

        parameters = zstandard.ZstdCompressionParameters.from_level(
            level, threads=zstd_workers(level, threads), job_size=_JOB, write_checksum=True, write_content_size=False
        )
        self._out = out
        self._compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()

    def write(self, chunk: bytes) -> None:
        if compressed := self._compressor.compress(chunk):
            self._out(compressed)

    def finish(self) -> None:
        self._out(self._compressor.flush())


def zstd_workers(level: int, threads: int) -> int:
    """Say how many of so many threads compress at a time: each has tables of its own, of 85 MB at level 19.

    Source: libzstd 1.5, zstdmt_compress.c: a worker holds a context, and buffers for about three jobs.
    """
    import zstandard

    tables = zstandard.ZstdCompressionParameters.from_level(level).estimated_compression_context_size()
    return max(1, min(threads, _ZSTD_MEMORY // (tables + 3 * _JOB)))


class _Gzip:
    """Blocks of one size go to a pool and come back in order, few at a time."""

    def __init__(
        self, level: int, out: Callable[[bytes], object], pool: "Executor", most: int, known: "KnownBlocks | None"
    ) -> None:
        from zlib_ng import zlib_ng

        self._level, self._out, self._pool, self._most, self._known = level, out, pool, most, known
        self._crc32 = zlib_ng.crc32
        self._crc = self._size = 0
        self._pending: deque[Future[tuple[PackedBlock | None, bytes]]] = deque()
        self._block = bytearray()
        out(_GZIP_HEADER)

    def write(self, chunk: bytes) -> None:
        self._crc = self._crc32(chunk, self._crc)
        self._size += len(chunk)
        self._block += chunk
        while len(self._block) >= _BLOCK:
            self._submit(bytes(self._block[:_BLOCK]), last=False)
            del self._block[:_BLOCK]

    def finish(self) -> None:
        self._submit(bytes(self._block), last=True)
        while self._pending:
            self._take()
        self._out(self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little"))

    def _submit(self, block: bytes, *, last: bool) -> None:
        if len(self._pending) == self._most:
            self._take()
        self._pending.append(self._pool.submit(self._deflated, block, last=last))

    def _take(self) -> None:
        block, content = self._pending.popleft().result()
        if self._known is not None and block is not None:
            self._known.made(block)
        self._out(content)

    def _deflated(self, block: bytes, *, last: bool) -> "tuple[PackedBlock | None, bytes]":
        if self._known is None or last:
            return None, _deflate(block, self._level, last=last)
        return self._known.deflated(block, lambda block: _deflate(block, self._level, last=False))


def _deflate(block: bytes, level: int, *, last: bool) -> bytes:
    from zlib_ng import zlib_ng

    compressor = zlib_ng.compressobj(level, zlib_ng.DEFLATED, _RAW_DEFLATE, _MEMORY)
    start = compressor.compress(block)
    return bytes(start + compressor.flush(zlib_ng.Z_FINISH if last else zlib_ng.Z_SYNC_FLUSH))
