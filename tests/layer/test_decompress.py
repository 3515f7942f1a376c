"""Blobs of others are decompressed within bounds, or refused with a word."""

import gzip
import io
import random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import file, tar_of
from wherry.digest import Digest
from wherry.errors import DigestMismatch, InvalidDocument, WherryError
from wherry.layer.compress import Encoding, pack
from wherry.layer.decompress import decompress, open_layer
from wherry.layer.header import InvalidArchive
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.store.memory import MemoryStore

PACKERS = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress, "none": bytes}


def _cut(blob: bytes, size: int) -> list[bytes]:
    return [blob[start : start + size] for start in range(0, len(blob), size)]


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(sorted(PACKERS)),
    st.lists(st.binary(min_size=4, max_size=3000), min_size=1, max_size=3),
    st.integers(1, 4000),
)
def test_members_and_cuts(algorithm, parts, size):
    """Several members or frames are one stream, however the chunks fall."""
    blob = b"".join(PACKERS[algorithm](b"tar:" + part) for part in parts)
    plain = b"".join(b"tar:" + part for part in parts)

    assert b"".join(decompress(_cut(blob, size), algorithm)) == plain


@pytest.mark.parametrize("algorithm", ["gzip", "zstd"])
def test_large_streams_come_in_pieces(algorithm):
    """What unpacks to much is handed on piece by piece."""
    plain = bytes(40 << 20)
    sizes = [len(piece) for piece in decompress([PACKERS[algorithm](plain)], algorithm)]

    assert sum(sizes) == len(plain)
    assert max(sizes) <= 33 << 20


@pytest.mark.parametrize("algorithm", ["gzip", "zstd"])
@pytest.mark.parametrize("spoil", ["cut", "garbage", "zeros", "empty", "bomb", "flip"])
def test_refused(algorithm, spoil):
    """Cut short, followed by something, empty, too much: each is an error that names the layer."""
    plain = random.Random(7).randbytes(5000)  # noqa: S311 - no secret
    blob = PACKERS[algorithm](plain)
    if algorithm == "zstd":
        blob = zstandard.ZstdCompressor(write_checksum=True).compress(plain)
    middle = len(blob) // 2
    spoiled = {
        "cut": blob[:-5],
        "garbage": blob + b"garbage",
        "zeros": blob + bytes(512),
        "empty": b"",
        "bomb": blob,
        "flip": blob[:middle] + bytes([blob[middle] ^ 0xFF]) + blob[middle + 1 :],
    }[spoil]
    with pytest.raises(InvalidArchive) as caught:
        list(decompress([spoiled], algorithm, name="layer x", limit=4999 if spoil == "bomb" else 1 << 20))

    assert caught.value.name == "layer x"
    assert caught.value.hint


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["gzip", "zstd"]), st.data())
def test_damage_never_crashes(algorithm, data):
    """Any byte changed: the stream, or a clear error."""
    blob = bytearray(PACKERS[algorithm](b"words and words and words" * 50))
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    try:
        size = sum(map(len, decompress([bytes(blob)], algorithm, limit=1 << 20)))
    except WherryError:
        return

    assert size <= 1 << 20


@pytest.mark.parametrize("said", sorted(PACKERS))
@pytest.mark.parametrize("is_", sorted(PACKERS))
def test_media_types_that_lie(said, is_):
    """A blob of another format than its media type says is refused, with both names."""
    blob = PACKERS[is_](tar_of(file("a", b"x")))
    if said == is_:
        assert b"".join(decompress([blob], said)) == tar_of(file("a", b"x"))
        return
    with pytest.raises(InvalidArchive) as caught:
        list(decompress([blob], said))

    assert (is_ if is_ != "none" else "not compressed") in caught.value.problem


def test_a_window_too_large():
    """A frame that asks for 512 MiB of window gets an error, not the memory."""
    parameters = zstandard.ZstdCompressionParameters(window_log=29, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    blob = compressor.compress(b"x" * 100) + compressor.flush()
    with pytest.raises(InvalidArchive) as caught:
        list(decompress([blob], "zstd"))

    assert "window" in caught.value.problem


def test_layers_are_checked_to_the_end():
    """A diff id that is not the tar's is found where the tar ends."""
    store = MemoryStore()
    layer = pack([file("a", b"x")], Encoding.default(), store)
    stream = open_layer(store, layer.blob, Digest.of(b"other"))
    with pytest.raises(DigestMismatch) as caught:
        list(iter(lambda: stream.read(1 << 20), b""))

    assert caught.value.actual == layer.diff_id


def test_only_layers_are_opened():
    """A config is no tar."""
    with pytest.raises(InvalidDocument):
        open_layer(MemoryStore(), Descriptor.of(media.OCI_CONFIG, b"{}"))


def test_short_reads():
    """A reader gets what it asks for, or less, until there is no more."""
    store = MemoryStore()
    layer = pack([file("a", b"x" * 10_000)], Encoding.default("zstd"), store)
    stream, read = open_layer(store, layer.blob, layer.diff_id), io.BytesIO()
    while chunk := stream.read(7):
        assert len(chunk) <= 7
        read.write(chunk)

    assert read.getvalue() == tar_of(file("a", b"x" * 10_000))
    assert stream.read(7) == b""
