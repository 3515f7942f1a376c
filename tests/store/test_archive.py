"""Archives of images: what we write, we read; what means harm is refused with a reason."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from small_images import AMD64, ARM64, layer_tar, put_image, put_index
from wherry.errors import (
    BlobMissing,
    CannotWrite,
    DigestMismatch,
    InvalidDocument,
    InvalidUsage,
    NotFound,
    SizeMismatch,
    WherryError,
)
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST
from wherry.oci.layout import LAYOUT
from wherry.oci.manifest import Index, Manifest
from wherry.store.archive import ArchiveSource, write_docker_archive, write_oci_archive
from wherry.store.contract import children, read_whole, walk, write_document
from wherry.store.copy import copy
from wherry.store.disk import DiskStore
from wherry.store.files import replacing
from wherry.store.images import images_of
from wherry.store.members import LONGEST_EXTENSION, MOST_MEMBERS
from wherry.store.memory import MemoryStore
from wherry.store.open import open_images

WRITERS = {"oci": write_oci_archive, "docker": write_docker_archive}


def archive_of(write: Callable[..., None], source: MemoryStore, roots: dict[str, Descriptor]) -> bytes:
    """Give the bytes of an archive."""
    buffer = io.BytesIO()
    write(buffer, source, roots)
    return buffer.getvalue()


def tar_of(*members: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Make a tar of names with contents, or of headers as they are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                header = tarfile.TarInfo(member[0])
                header.size = len(member[1])
                archive.addfile(header, io.BytesIO(member[1]))
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """Make the header of a link."""
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, target
    return header


def file_of(tmp_path: Path, content: bytes) -> Path:
    """Put an archive down."""
    path = tmp_path / "it.tar"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
def test_reads_what_it_writes(tmp_path: Path, form: str, compress: Callable[[bytes], bytes]):
    """Names, roots and every blob come back, compressed or not."""
    source = MemoryStore()
    one, two = put_image(source, "1"), put_image(source, "2", ARM64)
    roots = {"api:dev": one, "api:v1": one, "localhost:5000/team/web:latest": two}
    archive = ArchiveSource(file_of(tmp_path, compress(archive_of(WRITERS[form], source, roots))))

    with archive:
        assert archive.roots() == roots
        sink = MemoryStore()
        for root in roots.values():
            copy(root, archive, sink)
            assert archive.has(root)
    assert sink.blobs == source.blobs


def test_holds_several_platforms(tmp_path: Path):
    """An OCI archive has the index; Docker's form refuses it and says which platforms there are."""
    source = MemoryStore()
    root = put_index(source)
    archive = ArchiveSource(file_of(tmp_path, archive_of(write_oci_archive, source, {"api:dev": root})))

    assert [image.platform for image in images_of(archive, archive.roots()["api:dev"])] == [AMD64, ARM64]
    with pytest.raises(InvalidUsage) as caught:
        archive_of(write_docker_archive, source, {"api:dev": root})
    assert "linux/arm64" in caught.value.message


def test_an_index_of_one_platform_fits_docker(tmp_path: Path):
    """There is no choice to make."""
    source = MemoryStore()
    root = put_index(source, platforms=(AMD64,))

    archive = ArchiveSource(file_of(tmp_path, archive_of(write_docker_archive, source, {"api:dev": root})))

    assert archive.roots()["api:dev"].media_type == media.OCI_MANIFEST


@pytest.mark.parametrize("form", WRITERS)
def test_the_same_images_give_the_same_bytes(form: str):
    """Whatever the order they are named in; times, owners and modes are fixed."""
    source = MemoryStore()
    one, two = put_image(source, "1"), put_image(source, "2")

    archive = archive_of(WRITERS[form], source, {"a:1": one, "b:1": two})

    assert archive == archive_of(WRITERS[form], source, {"b:1": two, "a:1": one})
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        facts = {(member.mtime, member.uid, member.gid, member.uname, member.gname) for member in members}
    assert facts == {(0, 0, 0, "", "")}


def test_docker_form_has_both_indexes(tmp_path: Path):
    """`manifest.json` for an old `docker load`, a layout with whole names for a new one."""
    source = MemoryStore()
    root = put_image(source)
    content = archive_of(write_docker_archive, source, {"api:dev": root, "example.com/api:1": root})

    with tarfile.open(fileobj=io.BytesIO(content)) as members:
        saved = json.load(members.extractfile("manifest.json"))
        index = json.load(members.extractfile("index.json"))
        names = set(members.getnames())
    assert [image["RepoTags"] for image in saved] == [["api:dev", "example.com/api:1"]]
    assert {saved[0]["Config"], *saved[0]["Layers"]} <= names
    annotations = [entry["annotations"] for entry in index["manifests"]]
    assert annotations[1]["io.containerd.image.name"] == "example.com/api:1"
    assert annotations[0]["io.containerd.image.name"].endswith("/library/api:dev")
    assert [entry["org.opencontainers.image.ref.name"] for entry in annotations] == ["dev", "1"]


def saved_by_docker(
    *, layer: bytes = layer_tar("hello"), diff_id: str = "", change: dict[str, object] | None = None, extra: tuple = ()
) -> bytes:
    """Make what `docker save` wrote before version 25."""
    diff_id = diff_id or "sha256:" + hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    ).encode()
    saved = {"Config": "c.json", "RepoTags": ["api:dev"], "Layers": ["l/layer.tar"], **(change or {})}
    return tar_of(
        ("c.json", config),
        ("l/layer.tar", layer),
        *extra,
        ("manifest.json", json.dumps([saved]).encode()),
        ("repositories", b"{}"),
    )


def test_reads_docker_save(tmp_path: Path):
    """Layers without digests get theirs, and a manifest is made that leads to them."""
    archive = ArchiveSource(file_of(tmp_path, saved_by_docker()))

    root = archive.roots()["api:dev"]
    image = images_of(archive, root)[0]

    assert image.platform == AMD64
    assert image.manifest.stack[0].media_type == media.OCI_LAYER
    assert b"".join(archive.read(image.manifest.stack[0])) == layer_tar("hello")
    assert b"".join(archive.read(root, 5)) == image.manifest.encoded()[5:]
    assert [archive.has(blob) for blob in walk([root], archive)] == [True] * 3


@pytest.mark.parametrize(
    ("pack", "kind"), [(gzip.compress, media.OCI_LAYER_GZIP), (zstandard.compress, media.OCI_LAYER_ZSTD)]
)
def test_reads_compressed_layers_of_docker_save(tmp_path: Path, pack: Callable[[bytes], bytes], kind: str):
    """They stay as they are."""
    tar = layer_tar("hello")
    diff_id = "sha256:" + hashlib.sha256(tar).hexdigest()
    archive = ArchiveSource(file_of(tmp_path, saved_by_docker(layer=pack(tar), diff_id=diff_id)))

    layer = images_of(archive, archive.roots()["api:dev"])[0].manifest.stack[0]

    assert layer.media_type == kind


def test_follows_links_inside(tmp_path: Path):
    """Docker wrote a shared layer once and links to it."""
    change: dict[str, object] = {"Layers": ["m/layer.tar"]}
    for extra in ((link("m/layer.tar", "../l/layer.tar"),), (link("m/layer.tar", "l/layer.tar", tarfile.LNKTYPE),)):
        archive = ArchiveSource(file_of(tmp_path, saved_by_docker(change=change, extra=extra)))
        assert archive.roots().keys() == {"api:dev"}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"Config": "none.json"}, InvalidDocument),
        ({"Config": "../../etc/passwd"}, InvalidDocument),
        ({"Config": "l/layer.tar"}, InvalidDocument),
        ({"Layers": ["none"]}, InvalidDocument),
        ({"Layers": []}, InvalidDocument),
        ({"Layers": ["/etc/passwd"]}, InvalidDocument),
        ({"Layers": ["out"]}, InvalidDocument),
        ({"Layers": ["loop"]}, InvalidDocument),
        ({"Layers": ["c.json"]}, DigestMismatch),
        ({"RepoTags": ["Not A Name"]}, InvalidDocument),
        ({"Layers": 5}, InvalidDocument),
    ],
)
def test_refuses_a_lying_docker_save(tmp_path: Path, change: dict[str, object], error: type[WherryError]):
    """Whatever `manifest.json` names has to be in the archive, and has to be what the config says."""
    extra = (link("out", "../../../etc/passwd"), link("loop", "loop"))

    with pytest.raises(error):
        ArchiveSource(file_of(tmp_path, saved_by_docker(change=change, extra=extra))).roots()


def layout_of(index: bytes, *members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    """Make a layout tar."""
    return tar_of(("oci-layout", LAYOUT.encoded()), ("index.json", index), *members)


EMPTY = Index.of(()).encoded()


def oversized() -> bytes:
    """Give a tar whose only member promises far more bytes than follow."""
    header = tarfile.TarInfo("blobs/sha256/" + "0" * 64)
    header.size = 1 << 40
    return header.tobuf(tarfile.GNU_FORMAT) + bytes(512)


def long_pax() -> bytes:
    """Give a tar with an extended header that is no name any more."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, LONGEST_EXTENSION + 512
    return header.tobuf(tarfile.USTAR_FORMAT) + bytes(LONGEST_EXTENSION + 512)


def negative() -> bytes:
    """Give a header with a negative size in base 256 and a right checksum."""
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"\xff" * 12
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"hello", id="text"),
        pytest.param(bytes(10_240), id="a tar without members"),
        pytest.param(os.urandom(4096), id="noise"),
        pytest.param(tar_of(("hello", b"x")), id="a tar of something else"),
        pytest.param(tar_of(("dir/index.json", EMPTY), ("dir/oci-layout", LAYOUT.encoded())), id="a folder in it"),
        pytest.param(tar_of(("index.json", EMPTY)), id="no marker"),
        pytest.param(
            tar_of(("index.json", EMPTY), ("oci-layout", b'{"imageLayoutVersion":"9"}')), id="a later version"
        ),
        pytest.param(layout_of(b"{}"), id="no index"),
        pytest.param(layout_of(b" " * (LARGEST + 1)), id="a huge index"),
        pytest.param(layout_of(EMPTY, ("../escape", b"x")), id="a name that leaves"),
        pytest.param(layout_of(EMPTY, ("a/../../escape", b"x")), id="a name that leaves later"),
        pytest.param(layout_of(EMPTY, ("/etc/passwd", b"x")), id="an absolute name"),
        pytest.param(layout_of(EMPTY, ("index.json", EMPTY)), id="an index twice"),
        pytest.param(layout_of(EMPTY, ("./index.json", EMPTY)), id="an index twice, written otherwise"),
        pytest.param(layout_of(EMPTY, link("index.json", "x")), id="an index and a link"),
        pytest.param(oversized(), id="a size that lies"),
        pytest.param(layout_of(EMPTY)[:700], id="cut short"),
        pytest.param(long_pax(), id="a long extension"),
        pytest.param(negative(), id="a negative size"),
        pytest.param(gzip.compress(bytes(300_000_000), 1), id="a gzip bomb", marks=pytest.mark.slow),
        pytest.param(zstandard.compress(bytes(200_000_000)), id="a zstd bomb", marks=pytest.mark.slow),
        pytest.param(gzip.compress(layout_of(EMPTY))[:-9], id="gzip cut short"),
        pytest.param(gzip.compress(layout_of(EMPTY))[:-6] + b"xxxxxx", id="gzip damaged"),
        pytest.param(zstandard.compress(os.urandom(5000))[:-100], id="zstd cut short"),
        pytest.param(b"\x1f\x8b" + os.urandom(100), id="not gzip at all"),
        pytest.param(b"\x28\xb5\x2f\xfd" + bytes(100), id="not zstd at all"),
        pytest.param(b"\xfd7zXZ\0" + bytes(100), id="xz"),
    ],
)
def test_refuses_what_is_no_archive(tmp_path: Path, content: bytes):
    """Each gets one clear error that names the file, and what to do."""
    path = file_of(tmp_path, content)

    with pytest.raises(InvalidDocument) as caught:
        ArchiveSource(path, scratch=tmp_path).roots()

    assert str(path) in caught.value.message
    assert [entry.name for entry in tmp_path.iterdir()] == ["it.tar"]


@pytest.mark.slow
def test_refuses_too_many_members(tmp_path: Path):
    """A table of members has an end."""
    with pytest.raises(InvalidDocument):
        ArchiveSource(file_of(tmp_path, tarfile.TarInfo("d/").tobuf() * (MOST_MEMBERS + 1))).roots()


def test_lying_blobs_are_found_when_read(tmp_path: Path):
    """A blob under another's name, of another size, or missing: told when read, in time."""
    right = Descriptor.of("a/b", b"hello")
    index = Index.of((right,)).encoded()

    def source(*members: tuple[str, bytes]) -> ArchiveSource:
        return ArchiveSource(file_of(tmp_path, layout_of(index, *members)))

    place = f"blobs/sha256/{right.digest.encoded}"
    assert b"".join(source((place, b"hello")).read(right)) == b"hello"
    with pytest.raises(DigestMismatch):
        b"".join(source((place, b"jello")).read(right))
    with pytest.raises(SizeMismatch):
        b"".join(source((place, b"hell")).read(right))
    with pytest.raises(BlobMissing):
        b"".join(source().read(right))
    assert not source((place, b"hell")).has(right)


def test_reads_long_names_and_big_numbers(tmp_path: Path):
    """GNU's and pax's ways to write a long name are known; what they hold is passed over if nobody asks for it."""
    long = "d" * 90 + "/" + "e" * 150
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        content = tar_of(("oci-layout", LAYOUT.encoded()), (long, b"x" * 700), ("index.json", EMPTY), form=form)
        assert ArchiveSource(file_of(tmp_path, content)).roots() == {}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    """Bytes changed anywhere in a good archive: it is read, or refused with our own error."""
    source = MemoryStore()
    content = bytearray(archive_of(write_docker_archive, source, {"api:dev": put_image(source)}))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path = file_of(tmp_path_factory.mktemp("damaged"), bytes(content))

    with suppress(WherryError):
        archive = ArchiveSource(path)
        for root in archive.roots().values():
            copy(root, archive, MemoryStore())


def test_open_tells_layouts_from_archives(tmp_path: Path):
    """By what is there, never by the name."""
    store = DiskStore(tmp_path / "layout.tar")
    root = put_image(store)
    store.tag("api:dev", root)
    with replacing(tmp_path / "archive") as out:
        write_oci_archive(out, store, store.tags())

    for path in (tmp_path / "layout.tar", tmp_path / "archive"):
        source, roots = open_images(path)
        assert roots == {"api:dev": root}
        assert read_whole(source, root)
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(NotFound):
            open_images(path)


def test_a_link_to_an_archive_is_followed(tmp_path: Path):
    """The path is the user's own word; only what is inside is not trusted."""
    (tmp_path / "link").symlink_to(file_of(tmp_path, layout_of(EMPTY)))

    assert open_images(tmp_path / "link")[1] == {}
    with pytest.raises(InvalidDocument):
        open_images(Path("/dev/null"))


def test_reads_buildkits_null_layers(tmp_path: Path):
    """A layout with an image without layers, as BuildKit writes it."""
    source = MemoryStore()
    config = write_document(
        source, media.OCI_CONFIG, b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":null}}'
    )
    document = Manifest.of(config, ()).encoded().replace(b'"layers":[]', b'"layers":null')
    assert b"null" in document
    root = write_document(source, media.OCI_MANIFEST, document)

    _, roots = open_images(file_of(tmp_path, archive_of(write_oci_archive, source, {"empty:1": root})))

    assert images_of(source, roots["empty:1"])[0].manifest.stack == ()
    assert children(root, source) == (config,)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    """A blob that is missing half-way: the archive that was there stays, and no other file."""
    source = MemoryStore()
    root = put_image(source)
    path = file_of(tmp_path, b"old")
    del source.blobs[children(root, source)[1].digest]

    with pytest.raises(BlobMissing), replacing(path) as out:
        write_oci_archive(out, source, {"api:dev": root})

    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {"it.tar": b"old"}
    with pytest.raises(CannotWrite), replacing(tmp_path / "none" / "it.tar"):
        pass


def test_writes_into_a_device(tmp_path: Path):
    """`-o /dev/stdout` or a named pipe is written, never replaced."""
    with replacing(Path("/dev/null")) as out:
        out.write(b"x")

    assert Path("/dev/null").is_char_device()
    with pytest.raises(CannotWrite), replacing(Path("/dev/full")) as out:
        out.write(b"x")
    with pytest.raises(CannotWrite), replacing(tmp_path) as out:
        out.write(b"x")


def test_names_of_nothing_are_left_out():
    """An image without a name goes into both forms without one."""
    source = MemoryStore()
    root = put_image(source)

    for write in WRITERS.values():
        content = archive_of(write, source, {str(root.digest): root})
        with tarfile.open(fileobj=io.BytesIO(content)) as members:
            entry = json.load(members.extractfile("index.json"))["manifests"][0]
            assert "annotations" not in entry
            if "manifest.json" in members.getnames():
                assert json.load(members.extractfile("manifest.json"))[0]["RepoTags"] is None
