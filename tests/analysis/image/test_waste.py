"""Waste to the byte: images put together so that each kind of it is known."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import file, folder, hard, link
from built_images import put_layers
from waste_images import ENCODINGS, indexes, judged, noise, opaque, reconciled, whiteout
from wherry.analysis.image.analyze import analyzed
from wherry.analysis.image.base import base_of
from wherry.analysis.image.document import AnalyzedPlatform
from wherry.analysis.image.index import LayerIndex
from wherry.analysis.image.read import read_index
from wherry.layer.changes import FileTree, layers_of
from wherry.layer.entry import Entry, EntryKind
from wherry.layer.header import InvalidArchive
from wherry.oci import media
from wherry.oci.config import History, ImageConfig, RootFS
from wherry.oci.manifest import Manifest
from wherry.store.archive import ArchiveSource, write_docker_archive, write_oci_archive
from wherry.store.contract import write_document
from wherry.store.images import read_image
from wherry.store.memory import MemoryStore


def test_a_file_written_three_times_and_deleted():
    """The first row of what dive gets right by luck: 300,000 of 600,000 bytes."""
    found = judged(
        [file("keep", noise(300_000)), file("a", b"1" * 100_000)],
        [file("a", b"2" * 100_000)],
        [file("a", b"3" * 100_000)],
        [whiteout("a")],
    )

    assert (found.waste.bytes, found.visible, found.unpacked) == (300_000, 300_000, 600_000)
    assert found.waste.causes == {"overwritten": 200_000, "deleted": 100_000}
    assert found.dive.efficiency == pytest.approx(0.5)
    assert found.dive.wasted_bytes == 300_000
    assert found.dive.user_wasted_percent == pytest.approx(1.5)


def test_the_same_bytes_twice_at_one_path():
    """Only the first copy is waste; dive counts both."""
    found = judged([file("a", b"x" * 1_000_000)], [file("a", b"x" * 1_000_000, mode=0o755)])

    assert (found.waste.bytes, found.waste.causes) == (1_000_000, {"copied": 1_000_000})
    assert (found.dive.wasted_bytes, found.dive.efficiency) == (2_000_000, 0.5)
    assert found.dive_differs


def test_folders_opaque_ones_copies_and_a_hard_link():
    """What dive sees 160,000 of: 650,000 hidden, 500,000 there twice."""
    found = judged(
        [
            folder("cache"), file("cache/a", noise(400_000, 1)), file("cache/b", noise(200_000, 2)),
            folder("etc"), file("etc/old", noise(50_000, 3)),
            file("copy1", noise(500_000, 4)),
            file("linked", noise(80_000, 5)), hard("second", "linked"),
            file("plain", noise(10_000, 6)),
        ],
        [
            whiteout("cache"),
            folder("etc"), opaque("etc"),
            file("copy2", noise(500_000, 4)),
            file("linked", noise(80_000, 7)),
        ],
    )  # fmt: skip

    assert found.waste.bytes == 650_000
    assert found.waste.causes == {"deleted": 600_000, "opaque": 50_000}
    assert found.waste.duplicate_bytes == 500_000
    assert found.visible == 1_170_000
    assert found.dive.wasted_bytes == 160_000


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda one: one.algorithm)
def test_shares_of_the_pulled_bytes(encoding):
    """What does not compress weighs what it is; zeros weigh next to nothing; together they are the blob."""
    found = judged(
        [file("noise", noise(400_000)), file("zeros", bytes(4_000_000))],
        [whiteout("noise"), whiteout("zeros")],
        encoding=encoding,
    )

    pulled = {one.path: one.pulled for one in found.waste.files}
    assert pulled["/noise"] == pytest.approx(400_000, rel=0.05)
    if encoding.algorithm == "none":
        assert pulled["/zeros"] == pytest.approx(4_000_000, rel=0.01)
    else:
        assert pulled["/zeros"] < 40_000
    assert found.waste.pulled == sum(pulled.values()) <= found.stored


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda one: one.algorithm)
def test_a_hundred_and_twenty_layers(encoding):
    """Each but the last is shadowed; instructions match, those without a layer among them."""
    layers = [[file("same", noise(1000, number)), file(f"own/{number}", b"x" * number)] for number in range(120)]
    found = judged(*layers, encoding=encoding, history=tuple(f"RUN step {number}" for number in range(120)))

    assert found.waste.bytes == 119_000
    assert found.files == 121
    assert [layer.created_by for layer in found.layers] == [f"RUN step {number}" for number in range(120)]
    assert (found.layers[1].added, found.layers[1].changed) == (1, 1)
    assert len(found.waste.files) == 100
    assert found.waste.more_files == 19


def test_history_with_empty_layers():
    """A step that made no layer has none; a base ends where CMD has layers after it."""
    store = MemoryStore()
    history = (
        History(created_by="/bin/sh -c #(nop) ADD file:abc in / "),
        History(created_by='/bin/sh -c #(nop)  CMD ["bash"]', empty_layer=True),
        History(created_by="ENV A=b", empty_layer=True),
        History(created_by="RUN /bin/sh -c make # buildkit"),
    )
    image = read_image(store, put_layers(store, [[file("a", b"1")], [file("a", b"2")]], history=history))

    found = analyzed(image, indexes(store, image), base_of(image))

    assert [(layer.instruction, layer.base) for layer in found.layers] == [
        ("ADD file:abc in /", True), ("RUN make", False),
    ]  # fmt: skip
    assert found.base_from == "history"
    assert found.waste.base_bytes == 1


def test_hard_links_are_one_file():
    """A file lives while any of its names does, also one that a later layer gave it."""
    kept = judged([file("a", b"x" * 100), hard("b", "a")], [whiteout("a")])
    linked_above = judged([file("a", b"x" * 100)], [hard("b", "a")], [whiteout("a")])
    gone = judged([file("a", b"x" * 100), hard("b", "a")], [whiteout("a"), whiteout("b")])
    overwritten = judged([file("a", b"x" * 100), hard("b", "a")], [file("a", b"y" * 100), hard("b", "a")])

    assert (kept.waste.bytes, kept.visible) == (0, 100)
    assert (linked_above.waste.bytes, linked_above.visible) == (0, 100)
    assert (gone.waste.bytes, gone.visible) == (100, 0)
    assert (overwritten.waste.bytes, overwritten.visible) == (100, 100)
    assert kept.waste.duplicate_bytes == 0


def test_duplicates_within_and_across_layers():
    """Second and further copies count, hard links do not, and hidden files neither."""
    found = judged(
        [file("a", b"z" * 300), file("b", b"z" * 300), hard("c", "a"), file("gone", b"z" * 300), file("empty", b"")],
        [file("d", b"z" * 300), whiteout("gone"), file("other", b"w" * 300), file("void", b"")],
    )

    (one,) = found.duplicates
    assert (one.copies, one.wasted, found.waste.duplicate_bytes) == (3, 600, 600)
    assert [file.path for file in one.files] == ["/a", "/b", "/d"]
    assert found.waste.bytes == 300
    assert found.efficiency == pytest.approx(600 / 1500)


def test_what_takes_the_place_of_a_folder_hides_what_is_in_it():
    """A file or a link under a folder's name; a folder under a link's; a path through a link."""
    by_file = judged([folder("d"), file("d/a", b"x" * 10)], [file("d", b"y")])
    by_link = judged([folder("d"), file("d/a", b"x" * 10), folder("e")], [link("d", "e")])
    through = judged(
        [folder("usr"), folder("usr/lib"), link("lib", "usr/lib"), file("usr/lib/a", b"x" * 10)],
        [file("lib/a", b"y" * 10)],
    )
    whited = judged([folder("usr"), file("usr/a", b"x" * 10), link("u", "/usr")], [whiteout("u/a")])

    assert by_file.waste.causes == {"replaced": 10}
    assert by_link.waste.causes == {"replaced": 10}
    assert through.waste.causes == {"overwritten": 10}
    assert (through.files, through.visible) == (1, 10)
    assert whited.waste.causes == {"deleted": 10}


def test_a_whiteout_is_for_lower_layers_only():
    """Wherever it stands in its layer; an opaque folder keeps what its own layer has."""
    base = [folder("d"), file("d/a", b"old"), file("d/b", b"old")]
    for own in ([opaque("d"), file("d/a", b"new1")], [file("d/a", b"new1"), opaque("d")]):
        found = judged(base, own)
        assert (found.waste.bytes, found.visible, found.layers[1].opaque) == (6, 4, 1)
    again = judged(base, [file("d/a", b"new1"), whiteout("d/a")])
    assert (again.waste.causes, again.visible) == ({"deleted": 3}, 7)


def test_names_are_one_however_they_are_written():
    """`./a`, `/a` and `a/` are one path; a path twice in one layer is waste of that layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in (("./a", b"1" * 5), ("/a", b"2" * 7), ("d/./b", b"3")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    found = from_tars(buffer.getvalue())

    assert (found.waste.causes, found.visible) == ({"overwritten": 5}, 8)
    assert found.waste.groups[0].layer == found.waste.groups[0].hidden_by == 1


def from_tars(*tars: bytes, media_type: str = media.OCI_LAYER, packed: tuple[bytes, ...] = ()) -> AnalyzedPlatform:
    """Analyse an image of tars as they are."""
    from wherry.digest import Digest

    store = MemoryStore()
    blobs = tuple(write_document(store, media_type, blob) for blob in packed or tars)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=tuple(map(Digest.of, tars))))
    manifest = Manifest.of(write_document(store, media.OCI_CONFIG, config.encoded()), blobs)
    image = read_image(store, write_document(store, media.OCI_MANIFEST, manifest.encoded()))
    read = indexes(store, image)
    found = analyzed(image, read, base_of(image))
    reconciled(found, read)
    return found


@pytest.mark.parametrize("form", ["gnu", "pax-0.0", "pax-0.1", "pax-1.0"])
def test_sparse_files(tmp_path, form):
    """Holes count as unpacked, and cost nothing in the tar; each of GNU tar's four forms."""
    from needs import need

    big = tmp_path / "big"
    with big.open("wb") as out:
        for number in range(40):  # more pieces than the old form's header has place for
            out.seek(number * 100_000)
            out.write(b"x" * 4096)
        out.truncate(8_000_000)
    (tmp_path / "after").write_bytes(b"after")
    words = ["--format=gnu"] if form == "gnu" else ["--format=posix", f"--sparse-version={form.removeprefix('pax-')}"]
    import subprocess

    command = [need("tar"), "--sparse", *words, "-C", str(tmp_path), "-cf", str(tmp_path / "layer.tar"), "big", "after"]
    subprocess.run(command, check=True)

    found = from_tars((tmp_path / "layer.tar").read_bytes(), plain_tar([whiteout("big")]))

    assert (found.waste.bytes, found.visible) == (8_000_000, 5)
    assert found.waste.pulled < 400_000
    assert found.layers[0].tar < 400_000
    with pytest.raises(InvalidArchive):
        list(FileTree.of([lambda: io.BytesIO((tmp_path / "layer.tar").read_bytes())]).walk())


def plain_tar(entries: list[Entry]) -> bytes:
    """Pack entries without compression."""
    from archives import tar_of

    return tar_of(*entries)


@pytest.mark.parametrize("write", [write_oci_archive, write_docker_archive])
@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda one: one.algorithm)
def test_both_archives(tmp_path, write, encoding):
    """An image says the same from an archive of OCI, or of Docker."""
    store = MemoryStore()
    layers = [[file("a", noise(5000)), file("b", noise(5000))], [whiteout("a"), file("b", noise(5000), mode=0o600)]]
    root = put_layers(store, layers, encoding=encoding)
    path = Path(tmp_path / "image.tar")
    with path.open("wb") as out:
        write(out, store, {"image:dev": root})
    with ArchiveSource(path) as archive:
        (found_root,) = archive.roots().values()
        image = read_image(archive, found_root)
        found = analyzed(image, indexes(archive, image), base_of(image))

    assert found.waste.causes == {"deleted": 5000, "copied": 5000}
    assert found.visible == 5000


def test_several_gzip_members_and_zstd_frames_with_a_table_behind():
    """As eStargz and zstd:chunked store layers: pieces one after the other, and frames to skip."""
    import gzip

    import zstandard

    tar = plain_tar([file("a", noise(50_000)), file("b", bytes(90_000))])
    pieces = [tar[start : start + 20_000] for start in range(0, len(tar), 20_000)]
    stargz = b"".join(gzip.compress(piece, mtime=0) for piece in pieces)
    skipped = b"\x50\x2a\x4d\x18" + (1000).to_bytes(4, "little") + bytes(1000)
    chunked = b"".join(zstandard.compress(piece) for piece in pieces) + skipped

    for blob, media_type in ((stargz, media.OCI_LAYER_GZIP), (chunked, media.OCI_LAYER_ZSTD)):
        found = from_tars(tar, media_type=media_type, packed=(blob,))
        assert (found.unpacked, found.waste.bytes, found.stored) == (140_000, 0, len(blob))


def test_a_layer_that_is_there_twice_is_pulled_once():
    """The first of the two is hidden by the second; its blob is one."""
    found = judged([file("a", noise(9000))], [file("a", noise(9000))])

    assert (found.waste.bytes, found.waste.pulled) == (9000, 0)
    assert found.stored == found.layers[0].stored


_names = st.sampled_from(["a", "b", "d", "d/a", "d/b", "d/e/a", "e", "e/a", "l/a"])
_contents = st.binary(max_size=40)


@st.composite
def _entries(draw: st.DrawFn) -> Entry:
    path = draw(_names)
    match draw(st.sampled_from("fffdwolh")):
        case "f":
            return file(path, draw(_contents), mode=draw(st.sampled_from([0o644, 0o755])))
        case "d":
            return folder(path)
        case "w":
            return whiteout(path)
        case "o":
            return opaque(path)
        case "l":
            return link(path, draw(st.sampled_from(["d", "/e", "../d", "missing", "l"])))
        case _:
            return hard(path, draw(_names))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(_entries(), max_size=6), min_size=1, max_size=4))
def test_any_layers_reconcile_with_the_tree(layers):
    """Sums hold for any stack, and what is visible is what `FileTree` has; what it refuses is refused."""
    # A whiteout goes first, as the spec says; FileTree takes them where they stand, which only differs through links.
    ordered = [sorted(layer, key=lambda entry: ".wh." not in entry.path) for layer in layers]
    store = MemoryStore()
    image = read_image(store, put_layers(store, ordered))
    try:
        tree = FileTree.of(layers_of(store, image))
    except InvalidArchive:
        read = indexes(store, image)
        with pytest.raises(InvalidArchive):
            analyzed(image, read, base_of(image))
        return
    read = indexes(store, image)
    found = analyzed(image, read, base_of(image))
    reconciled(found, read)
    files = {inode for _, inode in tree.walk() if inode.entry.kind is EntryKind.FILE}
    assert found.files == len(files)
    assert found.visible == sum(inode.entry.size for inode in files)


def test_a_kept_index_is_the_same_or_none():
    """What is kept by digest comes back; damage, or another blob's, does not."""
    store = MemoryStore()
    image = read_image(store, put_layers(store, [[file("a", b"1" * 700), link("l", "a"), folder("d")]]))
    (index,) = indexes(store, image)
    kept = b"".join(index.encoded())

    assert LayerIndex.decode(kept, index.blob) == index
    assert [row.path for row in index.rows()] == [b"a", b"l", b"d"]
    assert LayerIndex.decode(kept[:-1] + bytes([kept[-1] ^ 1]), index.blob) is None
    assert LayerIndex.decode(kept, "sha256:" + "0" * 64) is None
    assert LayerIndex.decode(b"", index.blob) is None


def test_a_hard_link_to_nothing_is_refused():
    """With the layer and the path."""
    with pytest.raises(InvalidArchive) as caught:
        judged([file("a", b"1")], [hard("b", "missing")])
    assert caught.value.name == "layer 2"


def test_links_in_a_circle_are_refused():
    """A path that no kernel could follow."""
    with pytest.raises(InvalidArchive):
        judged([link("x", "y"), link("y", "x")], [file("x/a", b"1")])


def test_rows_say_mode_and_owner():
    """As the tar has them."""
    store = MemoryStore()
    entry = replace(file("a", b"1"), mode=0o4755, uid=12, gid=34, mtime=56)
    image = read_image(store, put_layers(store, [[entry]]))
    (row,) = indexes(store, image)[0].rows()

    assert (row.mode, row.uid, row.gid, row.mtime, row.size) == (0o4755, 12, 34, 56, 1)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_damaged_tars_are_read_or_refused(data):
    """A tar with bytes changed, cut or added is an index that fits it, or an error of ours."""
    from wherry.digest import Digest
    from wherry.errors import WherryError
    from wherry.oci.descriptor import Descriptor

    entries = [folder("d"), file("d/a", b"x" * 700), hard("d/b", "d/a"), link("l", "d"), whiteout("d/c"), opaque("d")]
    tar = bytearray(plain_tar(entries))
    for _ in range(data.draw(st.integers(0, 6))):
        tar[data.draw(st.integers(0, len(tar) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(tar[: data.draw(st.integers(0, len(tar)))]) + data.draw(st.binary(max_size=600))
    store = MemoryStore()
    blob: Descriptor = write_document(store, media.OCI_LAYER, content)
    try:
        index = read_index(store, blob, Digest.of(content))
    except WherryError:
        return
    assert index.tar_size == len(content)
    assert LayerIndex.decode(b"".join(index.encoded()), index.blob) == index


def test_names_that_take_too_much(monkeypatch):
    """Two million names of four kilobytes each would be eight gigabytes of ours, and next to nothing of the blob."""
    monkeypatch.setattr("wherry.analysis.image.read._NAMES", 5000)
    judged([file("a" * 200, b"1")])

    with pytest.raises(InvalidArchive):
        judged([file(f"{'a' * 200}{number}", b"1") for number in range(40)])
