"""Every store keeps the promises of store/contract.py. To add one: a line in `STORES`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from hostile_registry import Hostile, hostile
from small_images import put_image, put_index
from wherry.digest import Digest, InvalidDigest
from wherry.errors import BlobMissing, DigestMismatch, InvalidDocument, SizeMismatch
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST
from wherry.oci.manifest import Index
from wherry.oci.reference import Reference
from wherry.registry.keyring import NoKeyring
from wherry.registry.network import Network
from wherry.registry.open import Registries
from wherry.registry.repository import Repository
from wherry.store.contract import (
    CHUNK,
    DEEPEST,
    BlobStore,
    children,
    read_whole,
    walk,
    write_document,
)
from wherry.store.copy import copy
from wherry.store.disk import DiskStore
from wherry.store.memory import MemoryStore

STORES: dict[str, Callable[[Path, ExitStack], BlobStore]] = {
    "memory": lambda _, __: MemoryStore(),
    "disk": lambda folder, _: DiskStore(folder / "store"),
    "registry": lambda _, stack: in_memory(stack.enter_context(hostile())),
}


def in_memory(registry: Hostile) -> Repository:
    """Open a repository of a registry in this process: it behaves, but lets a parent in before its children."""
    registry.careless = True
    return Registries(Network(), NoKeyring()).repository(Reference.parse(f"{registry.host}/contract"))


HELLO = Descriptor.of("text/plain", b"hello")
EMPTY = Descriptor.of("text/plain", b"")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    """Each kind of store, empty."""
    with ExitStack() as stack:
        yield STORES[request.param](tmp_path, stack)


def test_gives_what_it_took(store: BlobStore):
    """A blob comes back whole, and from an offset on."""
    store.write(HELLO, [b"he", b"", b"llo"])

    assert store.has(HELLO)
    assert b"".join(store.read(HELLO)) == b"hello"
    assert b"".join(store.read(HELLO, 3)) == b"lo"
    assert b"".join(store.read(HELLO, 5)) == b""


def test_takes_nothing_at_all(store: BlobStore):
    """A blob may be empty."""
    assert not store.has(EMPTY)

    store.write(EMPTY, [])

    assert store.has(EMPTY)
    assert b"".join(store.read(EMPTY)) == b""


def test_misses_what_it_never_had(store: BlobStore):
    """A reader learns which blob, before the first byte."""
    assert not store.has(HELLO)
    with pytest.raises(BlobMissing) as caught:
        next(store.read(HELLO))

    assert caught.value.blob == HELLO.digest


def test_refuses_other_bytes(store: BlobStore):
    """A source that lies leaves no trace."""
    with pytest.raises(DigestMismatch) as caught:
        store.write(HELLO, [b"jello"])

    assert (caught.value.expected, caught.value.actual) == (HELLO.digest, Digest.of(b"jello"))
    assert not store.has(HELLO)


@pytest.mark.parametrize("chunks", [[b"hell"], [], [b"hello", b"!"]])
def test_refuses_another_length(store: BlobStore, chunks: list[bytes]):
    """Too few bytes are refused, and too many."""
    with pytest.raises(SizeMismatch) as caught:
        store.write(HELLO, chunks)

    assert caught.value.expected == 5
    assert not store.has(HELLO)


def test_stops_reading_a_source_that_does_not_end(store: BlobStore):
    """A source with more bytes than promised is left as soon as that shows."""

    def endless():
        for _ in range(100):
            yield b"x" * 1000
        pytest.fail("was read on")

    with pytest.raises(SizeMismatch):
        store.write(HELLO, endless())


def test_a_failing_source_leaves_nothing(store: BlobStore):
    """An error on the way in is passed on."""

    def failing():
        yield b"he"
        raise BlobMissing("it", "there")

    with pytest.raises(BlobMissing):
        store.write(HELLO, failing())

    assert not store.has(HELLO)


def test_writing_twice_is_no_error(store: BlobStore):
    """The second source isn't even read."""
    store.write(HELLO, [b"hello"])

    store.write(HELLO, iter(()))

    assert b"".join(store.read(HELLO)) == b"hello"


def test_refuses_a_lying_size_on_the_way_out(store: BlobStore):
    """Of a blob that is here with another size, `has` says no and `read` says why."""
    store.write(HELLO, [b"hello"])
    liar = Descriptor(media_type="text/plain", digest=HELLO.digest, size=4)

    assert not store.has(liar)
    with pytest.raises(SizeMismatch):
        b"".join(store.read(liar))


def test_refuses_digests_it_cannot_check(store: BlobStore):
    """An algorithm nobody here knows is no excuse to store unverified bytes."""
    blob = Descriptor(media_type="text/plain", digest=Digest("blake3:" + "0" * 64), size=5)

    assert not store.has(blob)
    with pytest.raises(InvalidDigest):
        store.write(blob, [b"hello"])


def test_takes_sha512(store: BlobStore):
    """The spec's second algorithm."""
    state = Digest("sha512:" + "0" * 128).hasher()
    state.update(b"hello")
    blob = Descriptor(media_type="text/plain", digest=Digest.from_hash(state), size=5)

    store.write(blob, [b"hello"])

    assert b"".join(store.read(blob)) == b"hello"


def test_a_draft_gets_its_name_at_the_end(store: BlobStore):
    """What is written in pieces is found under its digest."""
    with store.draft() as draft:
        draft.write(b"he")
        draft.write(b"llo")
        blob = draft.commit("text/plain")

    assert blob == HELLO
    assert b"".join(store.read(blob)) == b"hello"


def test_a_draft_that_is_left_is_forgotten(store: BlobStore):
    """Without `commit` there is nothing; also after an error."""
    with suppress(ZeroDivisionError), store.draft() as draft:
        draft.write(b"hello")
        raise ZeroDivisionError

    assert not store.has(HELLO)


def test_a_draft_of_what_is_there_is_no_error(store: BlobStore):
    """Two steps may make the same bytes."""
    store.write(HELLO, [b"hello"])

    with store.draft() as draft:
        draft.write(b"hello")
        assert draft.commit("text/plain") == HELLO

    assert b"".join(store.read(HELLO)) == b"hello"


def test_chunks_are_bounded(store: BlobStore):
    """However large a blob is, a reader holds a chunk of it."""
    blob = Descriptor.of("a/b", bytes(2 * CHUNK + 1))
    store.write(blob, [bytes(2 * CHUNK + 1)])

    sizes = [len(chunk) for chunk in store.read(blob)]

    assert max(sizes) <= CHUNK
    assert sum(sizes) == blob.size


def test_copy_moves_all_that_a_root_leads_to(store: BlobStore):
    """The bytes moved are told; a second time there are none."""
    source = MemoryStore()
    root = put_index(source)

    moved = copy(root, source, store)

    assert moved == sum(map(len, source.blobs.values()))
    assert all(store.has(blob) for blob in walk([root], source))
    assert copy(root, source, store) == 0


def test_copy_writes_children_first(store: BlobStore):
    """A copy that is cut short leaves no parent without its children."""
    source = MemoryStore()
    root = put_image(source)
    layer = children(root, source)[1]
    del source.blobs[layer.digest]

    with pytest.raises(BlobMissing):
        copy(root, source, store)

    assert not store.has(root)


def test_a_copy_mends(store: BlobStore):
    """It finds the child that a sink lost, below the parent it has."""
    source = MemoryStore()
    root = put_image(source)
    store.write(root, source.read(root))

    assert copy(root, source, store) > 0
    assert copy(root, source, store) == 0
    assert all(store.has(blob) for blob in walk([root], source))


def test_documents_have_a_largest_size(store: BlobStore):
    """A descriptor that promises a huge document is refused before it is read."""
    blob = Descriptor(media_type=media.OCI_MANIFEST, digest=HELLO.digest, size=LARGEST + 1)

    with pytest.raises(InvalidDocument):
        read_whole(store, blob)


def test_depth_has_an_end(store: BlobStore):
    """Indexes that hold indexes that hold indexes are no image."""
    source = MemoryStore()
    root = put_image(source)
    for _ in range(DEEPEST):
        root = write_document(source, media.OCI_INDEX, Index.of((root,)).encoded())

    with pytest.raises(InvalidDocument):
        copy(root, source, store)
    with pytest.raises(InvalidDocument):
        list(walk([root], source))
    assert not store.has(root)


def test_a_web_of_indexes_is_walked_once(store: BlobStore):
    """Each level names the one below a hundred times: 10^14 paths, and eight documents."""
    source = MemoryStore()
    root = put_image(source)
    for _ in range(DEEPEST - 1):
        root = write_document(source, media.OCI_INDEX, Index.of((root,) * 100).encoded())

    copy(root, source, store)
    copy(root, source, store)

    assert len(list(walk([root], store))) == DEEPEST + 2


def test_walk_tells_what_is_missing(store: BlobStore):
    """A document that is not there is an error, or passed over where the caller says so."""
    root = put_index(store)
    gone = Descriptor(media_type=media.OCI_MANIFEST, digest=HELLO.digest, size=5)

    with pytest.raises(BlobMissing):
        list(walk([gone, root], store))
    assert gone in list(walk([gone, root], store, sparse=True))
    assert len(list(walk([gone, root], store, sparse=True))) == 8
