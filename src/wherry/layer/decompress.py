"""Blob to tar: decompression within bounds, and the check of a layer's diff id.

Sources: RFC 1952 section 2.2 (several gzip members make one stream), RFC 8878 section 3.1 (so do zstd frames).
"""

from collections import deque
from collections.abc import Iterable, Iterator

from wherry.digest import Digest
from wherry.errors import DigestMismatch, InvalidDocument
from wherry.layer.ahead import ReadAhead
from wherry.layer.header import InvalidArchive
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.store.contract import BlobSource

LARGEST = 64 << 30
"""Bytes of a tar that `open_layer` reads."""

_OUTPUT = 1 << 20
_SLICE = 1 << 10
"""A zstd block of 4 bytes can stand for 128 KiB, so a slice of this size never gives more than 32 MiB."""
_METERED = 1 << 17
"""Bytes of the blob within which its share of the tar is taken as even; of a small one fewer."""
_STEPS = 1 << 9
_WINDOW = 1 << 27
_GZIP = 31
_SKIPPABLE = tuple(bytes((0x50 + number,)) + b"\x2a\x4d\x18" for number in range(16))
_MAGIC = {"gzip": (b"\x1f\x8b",), "zstd": (b"\x28\xb5\x2f\xfd", *_SKIPPABLE)}
_LONGEST_MAGIC = 4


def decompress(
    chunks: Iterable[bytes], algorithm: str, *, name: str = "layer", limit: int = LARGEST
) -> Iterator[bytes]:
    """Decompress a stream in bounded memory.

    Args:
        chunks: the stream, cut anywhere.
        algorithm: `gzip`, `zstd` or `none`.
        name: what the reader knows it by; it starts the message.
        limit: bytes after which it counts as a bomb.

    Raises:
        InvalidArchive: the bytes are of another format, damaged, cut short, followed by others, or too many.
    """
    total = 0
    for chunk in _decoded(_recognised(chunks, algorithm, name), algorithm, name):
        total += len(chunk)
        if total > limit:
            raise InvalidArchive(name, f"more than {limit} bytes after decompression")
        if chunk:
            yield chunk


class LayerStream:
    """The tar of a layer, read from its start; at its end the diff id is checked."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._start = 0
        self._at = 0

    @property
    def given(self) -> int:
        """Bytes of the tar that were read."""
        return self._start + self._at

    def read(self, size: int, /) -> bytes:
        """Give at most so many bytes; none at the end.

        Raises:
            DigestMismatch: at the end, where all that was read is not what the diff id names.
        """
        at = self._at
        if at == len(self._chunk):
            self._start += at
            self._chunk = next(self._chunks, b"")
            at = 0
        part = self._chunk[at : at + size]
        self._at = at + len(part)
        return part


class MeteredLayer(LayerStream):
    """The same, with a count of what was read of the tar and of the blob."""

    def __init__(
        self, source: BlobSource, blob: Descriptor, diff_id: Digest | None, limit: int = LARGEST, *, ahead: bool = False
    ) -> None:
        """Open the tar of a stored layer, as `open_layer`; `ahead` has a thread of its own decompress it."""
        name, algorithm = _layer_of(blob)
        self._taken = 0
        self._span = (0, 0, 0, 1)
        self._spans: deque[int] = deque()
        decoded = decompress(self._fed(source, blob), algorithm, name=name, limit=limit)
        made = self._noted(checked(decoded, name, diff_id))
        self._ahead = ReadAhead(made) if ahead else None
        super().__init__(self._measured(self._ahead or made))

    @property
    def pulled(self) -> int:
        """Bytes of the blob that what was read so far came from; within some kilobytes it is taken as even."""
        before, after, start, length = self._span
        return before + (after - before) * min(self.given - start, length) // length

    def close(self) -> None:
        """Read no more."""
        if self._ahead:
            self._ahead.close()

    def _fed(self, source: BlobSource, blob: Descriptor) -> Iterator[bytes]:
        step = min(max(blob.size // _STEPS, _SLICE // 2), _METERED)
        for chunk in source.read(blob):
            for start in range(0, len(chunk), step):
                part = chunk[start : start + step]
                self._taken += len(part)
                yield part

    def _noted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Note, in the thread that decompresses them, what was taken of the blob for each chunk."""
        for chunk in chunks:
            self._spans.append(self._taken)
            yield chunk

    def _measured(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        before = start = 0
        for chunk in chunks:
            after = self._spans.popleft()
            self._span = (before, after, start, len(chunk))
            before, start = after, start + len(chunk)
            yield chunk


def checked(chunks: Iterator[bytes], name: str, diff_id: Digest | None) -> Iterator[bytes]:
    """Pass a tar on, and end normally only if it is what a diff id names."""
    if diff_id is None:
        yield from chunks
        return
    state = diff_id.hasher()
    for chunk in chunks:
        state.update(chunk)
        yield chunk
    if (actual := Digest.from_hash(state)) != diff_id:
        raise DigestMismatch(f"{name} after decompression", expected=diff_id, actual=actual)


def open_layer(
    source: BlobSource, blob: Descriptor, diff_id: Digest | None = None, *, limit: int = LARGEST
) -> LayerStream:
    """Open the tar of a stored layer.

    Raises:
        InvalidDocument: its media type is not a layer's we can read.
        BlobMissing, DigestMismatch, SizeMismatch, InvalidArchive: while it is read.
    """
    name, algorithm = _layer_of(blob)
    return LayerStream(checked(decompress(source.read(blob), algorithm, name=name, limit=limit), name, diff_id))


def _layer_of(blob: Descriptor) -> tuple[str, str]:
    """Give a layer's name in messages, and what it is compressed with."""
    name = f"layer {blob.digest}"
    algorithm = media.COMPRESSION_OF_LAYER.get(blob.media_type)
    if algorithm is None:
        raise InvalidDocument(name, f"{blob.media_type!r} is not a supported layer type")
    return name, algorithm


def _recognised(chunks: Iterable[bytes], algorithm: str, name: str) -> Iterator[bytes]:
    stream = iter(chunks)
    start = b""
    for chunk in stream:
        start += chunk
        if len(start) >= _LONGEST_MAGIC:
            break
    actual = next((format_ for format_, magic in _MAGIC.items() if start.startswith(magic)), "none")
    if start and actual != algorithm:
        stored = "not compressed" if actual == "none" else f"compressed with {actual}"
        wanted = "an uncompressed tar" if algorithm == "none" else algorithm
        raise InvalidArchive(name, f"its media type is {wanted}, but its bytes are {stored}")
    yield start
    yield from stream


def _decoded(chunks: Iterator[bytes], algorithm: str, name: str) -> Iterator[bytes]:
    match algorithm:
        case "gzip":
            return _gunzip(chunks, name)
        case "zstd":
            return _unzstd(chunks, name)
        case _:
            return chunks


def _gunzip(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    from isal import isal_zlib

    member = isal_zlib.decompressobj(_GZIP)
    try:
        for chunk in chunks:
            left = chunk
            while left:
                if member.eof:
                    member = isal_zlib.decompressobj(_GZIP)
                yield member.decompress(left, _OUTPUT)
                left = member.unused_data if member.eof else member.unconsumed_tail
        while not member.eof and (rest := member.decompress(b"", _OUTPUT)):
            yield rest
    except isal_zlib.error as error:  # type: ignore[misc] # its stub types it as an instance
        raise InvalidArchive(name, f"its gzip stream is damaged ({error})") from error
    if not member.eof:
        raise InvalidArchive(name, "its gzip stream is cut short")


def _unzstd(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    frame = decompressor.decompressobj()
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), _SLICE):
                left = chunk[start : start + _SLICE]
                while left:
                    if frame.eof:
                        frame = decompressor.decompressobj()
                    yield frame.decompress(left)
                    left = frame.unused_data if frame.eof else b""
    except zstandard.ZstdError as error:
        raise InvalidArchive(name, f"its zstd stream is damaged, or needs a window above 128 MiB ({error})") from error
    if not frame.eof:
        raise InvalidArchive(name, "its zstd stream is cut short")
