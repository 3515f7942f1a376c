"""Blocks of an earlier layer are taken again, and never change a digest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import file, tar_of
from golden_digests import synthetic
from wherry.digest import Digest
from wherry.layer import compress
from wherry.layer.compress import DEFAULT, Encoding, pack
from wherry.layer.known_blocks import KnownBlocks
from wherry.store.memory import MemoryStore

BEFORE = synthetic(400_000) * 9


def _packed(content, known=None, encoding=DEFAULT):
    return pack([file("app", content)], encoding, known._source if known else MemoryStore(), threads=2, known=known)


def _first(encoding=DEFAULT):
    store = MemoryStore()
    known = KnownBlocks(store)
    return store, _packed(BEFORE, known, encoding), known.record


def test_only_changed_blocks_are_compressed(monkeypatch):
    """An edit in one block compresses that one and the last; the layer is the one of a build without a record."""
    store, layer, record = _first()
    edited = BEFORE[:1_500_000] + b"edited" + BEFORE[1_500_006:]
    plain = _packed(edited)
    compressed, deflate = [], compress._deflate

    def count(block, level, *, last):
        compressed.append(last)
        return deflate(block, level, last=last)

    monkeypatch.setattr(compress, "_deflate", count)
    known = KnownBlocks(store, record, layer.blob)
    assert _packed(edited, known) == plain
    assert sorted(compressed) == [False, True]

    again = KnownBlocks(store, known.record, plain.blob)
    compressed.clear()
    assert _packed(edited, again) == plain
    assert compressed == [True]


def test_what_does_not_fit_counts_for_nothing():
    """Another level, a blob that changed on the disk, one that is gone: the same bytes as without a record."""
    store, layer, record = _first()
    other = Encoding("gzip", 1)
    assert _packed(BEFORE, KnownBlocks(store, record, layer.blob), other) == _packed(BEFORE, encoding=other)
    blob = bytearray(store.blobs[layer.blob.digest])
    blob[100] ^= 1
    hurt = MemoryStore()
    hurt.blobs[layer.blob.digest] = bytes(blob)
    assert _packed(BEFORE, KnownBlocks(hurt, record, layer.blob)) == layer
    assert Digest.of(hurt.blobs[layer.blob.digest]) == layer.blob.digest
    assert _packed(BEFORE, KnownBlocks(MemoryStore(), record, layer.blob)) == layer


@pytest.fixture(scope="module")
def packed():
    """A layer with its record, and its first block: what that was made of, and its bytes."""
    store, layer, record = _first()
    block = tar_of(file("app", BEFORE))[: 1 << 20]
    return store, layer, record, block, compress._deflate(block, DEFAULT.level, last=False)


@settings(max_examples=200, deadline=None)
@given(place=st.integers(min_value=0), value=st.integers(0, 255), length=st.integers(min_value=0))
def test_damaged_records(packed, place, value, length):
    """Whatever a record says, a block is the right one or is compressed."""
    store, layer, record, block, right = packed
    damaged = bytearray(record)
    damaged[place % len(damaged)] = value
    known = KnownBlocks(store, bytes(damaged[: length % len(damaged) + 1]), layer.blob)
    known.begin(DEFAULT.encoder, 10)
    assert known.deflated(block, lambda _: b"compressed")[1] in (right, b"compressed")
