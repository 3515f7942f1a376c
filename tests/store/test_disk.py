"""The local store on disk: names, resolving, collecting, checking, and what a hostile or full disk does to it."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from needs import need_root
from small_images import put_image, put_index
from wherry.digest import Digest
from wherry.errors import (
    BlobMissing,
    CannotWrite,
    DigestMismatch,
    InvalidDocument,
    InvalidUsage,
    NotFound,
    SizeMismatch,
)
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST
from wherry.oci.layout import INDEX, MARKER
from wherry.oci.manifest import Index
from wherry.oci.reference import InvalidReference
from wherry.store import files
from wherry.store.contract import children, read_whole, walk, write_document
from wherry.store.disk import DiskStore
from wherry.store.layout import find_name
from wherry.store.prepare import OWN
from wherry.store.sweep import NOTHING_SWEPT

HELLO = Descriptor.of("text/plain", b"hello")


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    """An empty store."""
    return DiskStore(tmp_path / "store")


def tree(folder: Path) -> dict[str, bytes]:
    """Give every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leftovers(store: DiskStore) -> list[str]:
    """Name the temporary files that are there."""
    return [path.name for path in (store.folder / OWN).glob("tmp-*")]


def test_reading_makes_nothing(store: DiskStore):
    """A store that was never written has nothing, and stays nothing."""
    assert store.tags() == {}
    assert not store.has(HELLO)
    assert list(store.verify()) == []
    assert store.usage().bytes == 0
    assert store.gc() == NOTHING_SWEPT
    with pytest.raises(NotFound):
        store.resolve("api")
    with pytest.raises(NotFound):
        store.untag("api")
    assert not store.folder.exists()


def test_is_a_layout_from_the_first_write_on(store: DiskStore):
    """The marker and an index without images are there before the first blob is."""
    with store.writing():
        assert (store.folder / MARKER).read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'
        assert Index.parse((store.folder / INDEX).read_bytes(), INDEX).manifests == ()


def test_tag_and_resolve(store: DiskStore):
    """A name is found as typed, in short, with its digest, and by the digest's start."""
    root = put_index(store)
    store.tag("api:dev", root)
    store.tag("team/api", root)

    assert store.tags() == {"api:dev": root, "team/api:latest": root}
    digest = root.digest
    for text in (
        "api:dev",
        "team/api",
        "team/api:latest",
        digest,
        f"api:dev@{digest}",
        digest[:14],
        digest.encoded[:8],
    ):
        assert store.resolve(text) == root
    assert DiskStore(store.folder).resolve("api:dev") == root


def test_resolves_what_an_index_holds(store: DiskStore):
    """A platform's manifest is found by its digest, and so is one that nobody named."""
    root, alone = put_index(store), put_image(store, "alone")
    store.tag("api:dev", root)
    child = children(root, store)[1]

    assert store.resolve(child.digest) == child
    assert store.resolve(alone.digest) == alone


def test_says_what_is_near(store: DiskStore):
    """A slip of the finger finds the name that was meant."""
    store.tag("hello-service:dev", put_image(store))

    for text in ("hello-servce:dev", "hello-service"):
        with pytest.raises(NotFound) as caught:
            store.resolve(text)
        assert "hello-service:dev" in caught.value.hint
    for text in ("sha256:" + "0" * 64, "0000", "", "A B", "x" * 5000, "@", "../../etc/passwd", "abc@sha256:zz"):
        with pytest.raises(NotFound):
            store.resolve(text)


def test_refuses_the_start_of_several_digests(store: DiskStore):
    """Which one is meant is not guessed."""
    a, b = (Descriptor(media_type=media.OCI_INDEX, digest=Digest("sha256:abcd" + end * 60), size=1) for end in "01")
    with store.writing():
        (store.folder / INDEX).write_bytes(Index.of((a, b)).encoded())

    assert store.resolve("abcd0") == a
    with pytest.raises(InvalidUsage):
        store.resolve("abcd")


def test_a_name_moves(store: DiskStore):
    """The last tag counts, in the place of the first; tagging again changes no byte."""
    first, second = put_image(store, "1"), put_image(store, "2")
    store.tag("api:dev", first)
    store.tag("web:dev", first)
    store.tag("api:dev", second)

    assert list(store.tags().items()) == [("api:dev", second), ("web:dev", first)]
    before = (store.folder / INDEX).stat().st_ino
    store.tag("api:dev", second)
    assert (store.folder / INDEX).stat().st_ino == before


def test_a_name_with_its_digest(store: DiskStore):
    """What `build` prints is a name too, as long as it leads there."""
    first, second = put_image(store, "1"), put_image(store, "2")
    store.tag("api:dev", first)
    printed = f"api:dev@{first.digest}"

    assert find_name(printed, store.tags()) == "api:dev"
    store.tag("api:dev", second)
    assert find_name(printed, store.tags()) is None
    assert store.resolve(printed) == first


def test_refuses_a_name_for_less_than_an_image(store: DiskStore):
    """A root that is not here gets no name, nor does one that lost a child."""
    root = put_image(store)
    layer = children(root, store)[1]
    with pytest.raises(BlobMissing):
        store.tag("api:dev", HELLO)
    Path(store.path_of(layer.digest)).unlink()
    with pytest.raises(BlobMissing) as caught:
        store.tag("api:dev", root)

    assert caught.value.blob == layer.digest
    assert store.tags() == {}


@pytest.mark.parametrize("name", ["", "Upper:1", "a b", "../x", "api:dev@sha256:" + "0" * 64, "api@sha256:" + "0" * 64])
def test_refuses_what_is_no_name(store: DiskStore, name: str):
    """Malformed names and digests are no tags."""
    root = put_image(store)

    with pytest.raises((InvalidReference, InvalidUsage)):
        store.tag(name, root)


def test_untag(store: DiskStore):
    """The name goes, the others and the bytes stay."""
    root = put_image(store)
    store.tag("api:dev", root)
    store.tag("api:v1", root)

    assert store.untag("api:dev") == root
    assert store.tags() == {"api:v1": root}
    assert store.has(root)
    with pytest.raises(NotFound) as caught:
        store.untag(root.digest)
    assert "api:v1" in caught.value.hint


def test_an_image_without_a_name(store: DiskStore):
    """What other tools add without one goes by its digest, until it gets a name or is taken away."""
    one, two = put_image(store, "1"), put_image(store, "2")
    (store.folder / INDEX).write_bytes(Index.of((one, two)).encoded())

    assert store.tags() == {one.digest: one, two.digest: two}
    store.tag("api:dev", one)
    assert store.tags() == {two.digest: two, "api:dev": one}
    assert store.untag(two.digest) == two
    assert store.tags() == {"api:dev": one}


def test_keeps_what_others_wrote_into_the_index(store: DiskStore):
    """Annotations of the index and of other entries outlive a tag."""
    root = put_image(store)
    noted = msgspec.structs.replace(root, annotations={"org.opencontainers.image.ref.name": "v1", "note": "x"})
    (store.folder / INDEX).write_bytes(Index.of((noted,), {"kept": "yes"}).encoded())
    store.tag("api:dev", root)

    index = store.index()
    assert index.annotations == {"kept": "yes"}
    assert index.manifests[0] == noted


def test_gc_deletes_what_no_name_leads_to(store: DiskStore):
    """And nothing else: what two images share stays for the one that is left."""
    kept, gone = put_index(store, "kept"), put_index(store, "gone")
    store.tag("kept:1", kept)
    store.tag("gone:1", gone)
    doomed = {blob.digest for blob in walk([gone], store)} - {blob.digest for blob in walk([kept], store)}
    store.untag("gone:1")

    planned = store.gc(keep_younger_than=0, dry_run=True)
    assert all(store.has(blob) for blob in walk([gone], store))
    swept = store.gc(keep_younger_than=0)

    assert swept == planned
    assert {blob.digest for blob in swept.blobs} == doomed
    assert swept.bytes == sum(blob.size for blob in swept.blobs)
    assert all(store.has(blob) for blob in walk([kept], store))
    assert store.usage().nameless_blobs == 0
    assert list(store.verify()) == []


def test_gc_spares_the_young_with_all_they_lead_to(store: DiskStore):
    """An old layer stays while a young manifest without a name needs it: who finds the manifest trusts that."""
    root = put_image(store)
    for blob in walk([root], store):
        if blob != root:
            os.utime(store.path_of(blob.digest), (0, 0))

    swept = store.gc(keep_younger_than=3600)

    assert swept.blobs == ()
    assert {blob.digest for blob in swept.spared} == {blob.digest for blob in walk([root], store)}


def test_gc_takes_parents_before_children(store: DiskStore):
    """Killed after any file, it leaves no document without what it leads to."""
    root = put_index(store)
    manifests = children(root, store)

    order = [blob.digest for blob in store.gc(keep_younger_than=0, dry_run=True).blobs]

    assert order[0] == root.digest
    assert set(order[1:3]) == {manifest.digest for manifest in manifests}
    assert len(order) == 7


def test_gc_knows_every_digest_of_the_spec(store: DiskStore):
    """A nameless blob under sha512 goes like any other."""
    state = Digest("sha512:" + "0" * 128).hasher()
    blob = Descriptor(media_type="a/b", digest=Digest.from_hash(state), size=0)
    store.write(blob, [])

    assert store.usage().nameless_blobs == 1
    assert [swept.digest for swept in store.gc(keep_younger_than=-1).blobs] == [blob.digest]
    assert not store.has(blob)


def test_gc_sweeps_what_a_kill_left(store: DiskStore):
    """Temporary files of writers that are no more go, whatever their age."""
    put_image(store)
    (store.folder / OWN / "tmp-1-dead").write_bytes(b"x" * 1000)

    assert store.usage().temporary == 1000
    assert store.gc().temporary == 1000
    assert leftovers(store) == []


def test_gc_refuses_where_it_cannot_know(store: DiskStore):
    """A tagged index whose bytes changed: what it needs is unknown, so nothing is deleted."""
    root = put_index(store)
    store.tag("api:dev", root)
    path = Path(store.path_of(root.digest))
    path.write_bytes(path.read_bytes().replace(b"amd64", b"amd65"))

    with pytest.raises(DigestMismatch):
        store.gc(keep_younger_than=0)

    path.write_bytes(b"")
    with pytest.raises(SizeMismatch):
        store.gc(keep_younger_than=0)
    assert sum(1 for _ in (store.folder / "blobs" / "sha256").iterdir()) == 7


def test_gc_waits_for_writers(store: DiskStore):
    """What an open writer wrote is safe before it has a name; gc says that it waits."""
    waiting, done = threading.Event(), threading.Event()

    def collect():
        DiskStore(store.folder).gc(keep_younger_than=0, waits=waiting.set)
        done.set()

    with store.writing():
        root = put_image(store)
        collector = threading.Thread(target=collect)
        collector.start()
        assert waiting.wait(10)
        assert not done.is_set()
        store.tag("api:dev", root)
    collector.join(10)

    assert done.is_set()
    assert all(store.has(blob) for blob in walk([root], store))


def test_gc_inside_a_build_is_refused(store: DiskStore):
    """It would wait for itself for ever."""
    with store.writing():
        put_image(store)
        with pytest.raises(InvalidUsage):
            store.gc()


def test_writing_is_re_entrant_and_shared_by_threads(store: DiskStore):
    """Only the last one out lets gc in."""
    other = DiskStore(store.folder)
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with store.writing():
            inside.set()
            leave.wait(10)

    with store.writing(), store.writing():
        thread = threading.Thread(target=hold)
        thread.start()
        assert inside.wait(10)
    waited: list[bool] = []
    other.gc(waits=lambda: (waited.append(True), leave.set()))
    thread.join(10)

    assert waited == [True]


def test_many_threads_write_the_same_blob(store: DiskStore):
    """All of them succeed, and one blob is there."""
    errors: list[BaseException] = []

    def write():
        try:
            put_image(store)
        except BaseException as error:  # noqa: BLE001 - told to the test
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert list(store.verify()) == []
    assert leftovers(store) == []


def test_verify_finds_every_kind_of_damage(store: DiskStore, tmp_path: Path):
    """Each finding names its place; a healthy image beside them has none."""
    good, rotten, lost, cut, linked = (put_image(store, word) for word in ("good", "rotten", "lost", "cut", "linked"))
    for name, root in {"good:1": good, "rotten:1": rotten, "lost:1": lost, "cut:1": cut, "linked:1": linked}.items():
        store.tag(name, root)
    paths = [Path(store.path_of(children(root, store)[1].digest)) for root in (rotten, lost, cut, linked)]
    paths[0].write_bytes(paths[0].read_bytes()[:-1] + b"!")
    paths[1].unlink()
    paths[2].write_bytes(b"")
    (tmp_path / "elsewhere").write_bytes(paths[3].read_bytes())
    paths[3].unlink()
    paths[3].symlink_to(tmp_path / "elsewhere")

    found = {(finding.rule, finding.place) for finding in store.verify()}

    assert found == {
        ("wrong-digest", str(paths[0])),
        ("missing-blob", "lost:1"),
        ("missing-blob", "cut:1"),
        ("wrong-digest", str(paths[2])),
        ("missing-blob", "linked:1"),
        ("no-file", str(paths[3])),
    }
    evidence = next(finding.evidence for finding in store.verify() if finding.place == str(paths[0]))
    assert evidence == ("needed by rotten:1",)


def test_verify_finds_broken_documents(store: DiskStore):
    """A tagged manifest that is none, and an index.json that is none."""
    bad = write_document(store, media.OCI_MANIFEST, b'{"schemaVersion":2}')
    (store.folder / INDEX).write_bytes(Index.of((bad,)).encoded())
    assert [finding.rule for finding in store.verify()] == ["broken-document"]

    (store.folder / INDEX).write_bytes(b"{")
    assert [finding.rule for finding in store.verify()] == ["broken-index"]


def test_usage_counts_what_is_shared_once(store: DiskStore):
    """Two names of one image count as one; a nameless image is told apart."""
    both, other, nameless = put_image(store, "a"), put_index(store, "b"), put_image(store, "c")
    for name, root in {"a:1": both, "a:2": both, "b:1": other}.items():
        store.tag(name, root)

    usage = store.usage()

    def weight(root: Descriptor) -> int:
        return sum(blob.size for blob in walk([root], store))

    assert usage.names["a:1"] == usage.names["a:2"]
    assert usage.names["a:1"].bytes == usage.names["a:1"].alone == weight(both)
    assert usage.names["b:1"].blobs == 7
    assert usage.nameless == weight(nameless)
    assert usage.bytes == weight(both) + weight(other) + weight(nameless)


# What others may have put there


def test_follows_no_link_out_of_a_layout(store: DiskStore, tmp_path: Path):
    """A blob that is a link, a folder or a pipe is refused, not opened; nobody waits for the pipe."""
    put_image(store)
    path = Path(store.path_of(HELLO.digest))
    (tmp_path / "secret").write_bytes(b"hello")
    for make in (lambda: path.symlink_to(tmp_path / "secret"), path.mkdir, lambda: os.mkfifo(path)):
        make()
        assert not store.has(HELLO)
        with pytest.raises(InvalidDocument):
            next(store.read(HELLO))
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_link_for_an_index_is_refused(store: DiskStore, tmp_path: Path):
    """The index is read through no link either."""
    put_image(store)
    (tmp_path / "other.json").write_bytes((store.folder / INDEX).read_bytes())
    (store.folder / INDEX).unlink()
    (store.folder / INDEX).symlink_to(tmp_path / "other.json")

    with pytest.raises(InvalidDocument):
        store.tags()


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"schemaVersion":2}',
        b'{"schemaVersion":2,"manifests":[{"mediaType":"a/b","size":1,"digest":"sha256:../../../etc/passwd"}]}',
        b'{"schemaVersion":2,"manifests":' + b"[" * 100_000,
        b" " * (LARGEST + 1),
    ],
)
def test_refuses_a_broken_index(store: DiskStore, index: bytes):
    """Whatever stands in index.json, the error names it, and nothing is written over it."""
    root = put_image(store)
    (store.folder / INDEX).write_bytes(index)

    for action in (
        store.tags,
        lambda: store.resolve("x"),
        lambda: store.tag("x", root),
        lambda: store.untag("x"),
        store.gc,
    ):
        with pytest.raises(InvalidDocument) as caught:
            action()
        assert INDEX in caught.value.message
    assert (store.folder / INDEX).read_bytes() == index


def test_refuses_another_version(store: DiskStore):
    """A layout of a version we do not know is not written."""
    store.folder.mkdir()
    (store.folder / MARKER).write_text('{"imageLayoutVersion":"2.0.0"}')

    with pytest.raises(InvalidDocument), store.writing():
        pass


def test_does_not_settle_in_somebodys_folder(tmp_path: Path):
    """`--store ~` is a slip; the folder stays as it was."""
    (tmp_path / "letter.txt").write_text("dear")

    with pytest.raises(CannotWrite):
        put_image(DiskStore(tmp_path))

    assert tree(tmp_path) == {"letter.txt": b"dear"}


def test_finishes_a_folder_that_was_begun(store: DiskStore):
    """Killed while it was made, the next one goes on."""
    (store.folder / OWN).mkdir(parents=True)
    (store.folder / INDEX).write_bytes(Index.of(()).encoded())

    store.tag("api:dev", put_image(store))

    assert list(store.verify()) == []


def test_mends_a_file_that_was_cut_short(store: DiskStore):
    """After a loss of power a blob may be empty: it counts as missing, and is written anew."""
    root = put_image(store)
    Path(store.path_of(root.digest)).write_bytes(b"")

    assert not store.has(root)
    assert put_image(store) == root
    assert store.has(root)


# Where nothing can be written


def unwritable(tmp_path: Path) -> Iterator[Path]:
    """Give paths where no folder can be made, for root too."""
    (tmp_path / "file").write_text("x")
    yield tmp_path / "file" / "store"
    yield Path("/proc/self/store")
    yield Path("/dev/null")


def test_says_where_it_cannot_write(tmp_path: Path):
    """One clear error, with what to do."""
    for folder in unwritable(tmp_path):
        with pytest.raises(CannotWrite) as caught:
            DiskStore(folder).write(HELLO, [b"hello"])
        assert str(folder) in caught.value.message
        assert caught.value.hint


FILL = """
import resource, sys
from pathlib import Path
from wherry.errors import CannotWrite
from wherry.oci.descriptor import Descriptor
from wherry.store.disk import DiskStore
store = DiskStore(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
big = bytes(200_000)
blob = Descriptor.of("a/b", big)
try:
    store.write(blob, [big])
except CannotWrite as error:
    assert "ulimit -f" in error.hint
else:
    sys.exit("wrote it")
with store.draft() as draft:
    try:
        draft.write(big)
    except CannotWrite:
        pass
    else:
        sys.exit("drafted it")
assert not store.has(blob)
"""


@pytest.mark.slow
def test_a_limit_on_files_loses_nothing(store: DiskStore):
    """`ulimit -f` is a disk that is full for one file: an error, no traceback, no leftover."""
    store.tag("api:dev", put_image(store))
    before = tree(store.folder)

    done = subprocess.run([sys.executable, "-c", FILL, store.folder], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert tree(store.folder) == before


@pytest.mark.slow
def test_a_full_disk_loses_nothing(tmp_path: Path):
    """On a file system that is really full, blobs and tags fail clearly; with space again they succeed."""
    need_root()
    mounted = tmp_path / "small"
    mounted.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mounted], check=False).returncode:
        pytest.skip("may not mount a tmpfs")
    try:
        store = DiskStore(mounted / "store")
        store.tag("api:dev", put_image(store))
        root = put_image(store, "second")
        before = tree(store.folder)
        ballast = mounted / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
        with pytest.raises(CannotWrite) as caught:
            store.write(Descriptor.of("a/b", bytes(100_000)), [bytes(100_000)])
        assert "wherry gc" in caught.value.hint
        with pytest.raises(CannotWrite):
            store.tag("api:v2", root)
        assert tree(store.folder) == before
        ballast.unlink()
        store.tag("api:v2", root)
        assert set(store.tags()) == {"api:dev", "api:v2"}
        assert read_whole(store, root)
        assert list(store.verify()) == []
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_refuses_more_names_than_an_index_holds(store: DiskStore, monkeypatch: pytest.MonkeyPatch):
    """An index too large to be read again is not written."""
    root = put_image(store)
    store.tag("api:dev", root)
    monkeypatch.setattr("wherry.store.names.LARGEST", 500)

    with pytest.raises(CannotWrite):
        store.tag("api:v2", root)

    assert set(store.tags()) == {"api:dev"}


@pytest.mark.parametrize("flushed", [1, 64])
def test_a_disk_that_fails_in_the_background_stops_the_tag(store: DiskStore, monkeypatch, flushed: int):
    """Within a blob, or after some: the system reports a failed write once only, and it is not lost."""

    def failing(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    root = put_image(store)
    monkeypatch.setattr(os, "fdatasync", failing)  # no disk here fails when it is asked to
    monkeypatch.setattr(files, "_FLUSHED", flushed)

    def write_and_tag() -> None:
        for n in range(3):
            store.write(Descriptor.of("text/plain", bytes([n]) * 50), [bytes([n]) * 50])
        store.tag("api:v1", root)

    with pytest.raises(CannotWrite):
        write_and_tag()
    assert not store.tags()


def test_what_is_written_back_is_whole(store: DiskStore, monkeypatch: pytest.MonkeyPatch):
    """Blobs are synced in the background while others come; one may be deleted before its turn."""
    monkeypatch.setattr(files, "_FLUSHED", 64)
    blobs = [Descriptor.of("text/plain", bytes([n]) * 50) for n in range(20)]
    with store.writing():
        for n, blob in enumerate(blobs):
            store.write(blob, [bytes([n]) * 50])
            if n % 5 == 0:
                Path(store.path_of(blob.digest)).unlink()
        root = put_image(store)
        store.tag("api:v1", root)

    assert store.resolve("api:v1") == root
    assert list(store.verify()) == []
