"""An image leaves the store in each of buildx's forms, and other tools read it."""

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from needs import need
from wherry.digest import Digest
from wherry.errors import BlobMissing, CannotWrite, InvalidUsage
from wherry.image.export import Form, export, folder_of
from wherry.layer.compress import Encoding, pack
from wherry.layer.entry import BytesContent, Entry, EntryKind
from wherry.oci import media
from wherry.oci.config import ImageConfig, Layer, RootFS, RuntimeConfig
from wherry.oci.descriptor import Descriptor, PlatformDocument
from wherry.oci.manifest import Index, Manifest
from wherry.platform import Platform
from wherry.store.contract import write_document
from wherry.store.memory import MemoryStore
from wherry.store.open import open_images


def file(path: str, content: bytes, mode: int = 0o644) -> Entry:
    """Make a file's entry."""
    return Entry(path=path, kind=EntryKind.FILE, mode=mode, size=len(content), content=BytesContent(content))


BASE = [
    Entry(path="etc", kind=EntryKind.FOLDER),
    file("etc/gone", b"gone"),
    file("etc/passwd", b"root:x:0:0::/:/\n"),
    Entry(path="tmp", kind=EntryKind.FOLDER, mode=0o1777),
]
OWN = [
    Entry(path="app", kind=EntryKind.FOLDER, mode=0o555),
    file("app/api", b"\x7fELF", 0o755),
    Entry(path="app/latest", kind=EntryKind.SYMLINK, mode=0o777, target="/app/api"),
    file("etc/.wh.gone", b""),
    Entry(path="app/twin", kind=EntryKind.HARDLINK, target="app/api"),
]


def image(store: MemoryStore, platform: Platform, extra: bytes = b"") -> Descriptor:
    """Store an image of two layers, one gzip and one plain; give its entry for an index."""
    layers = [
        pack(BASE, Encoding.default("gzip"), store),
        pack([*OWN, file("zz", extra)], Encoding.default("none"), store),
    ]
    return put_together(store, platform, layers)


def put_together(store: MemoryStore, platform: Platform, layers: list[Layer]) -> Descriptor:
    """Store config and manifest."""
    config = ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        config=RuntimeConfig(entrypoint=("/app/api",)),
        rootfs=RootFS(diff_ids=tuple(layer.diff_id for layer in layers)),
    )
    blob = write_document(store, media.OCI_CONFIG, config.encoded())
    document = Manifest.of(blob, tuple(layer.blob for layer in layers)).encoded()
    manifest = write_document(store, media.OCI_MANIFEST, document)
    return Descriptor(
        media_type=manifest.media_type,
        digest=manifest.digest,
        size=manifest.size,
        platform=PlatformDocument.of(platform),
    )


AMD64, ARMV7 = Platform("linux", "amd64"), Platform("linux", "arm", "v7")


@pytest.fixture
def store() -> MemoryStore:
    """A store."""
    return MemoryStore()


@pytest.fixture
def single(store: MemoryStore) -> Descriptor:
    """An image of one platform."""
    entry = image(store, AMD64)
    return Descriptor(media_type=entry.media_type, digest=entry.digest, size=entry.size)


@pytest.fixture
def double(store: MemoryStore) -> Descriptor:
    """An index of two platforms, whose images differ in one file."""
    index = Index.of((image(store, AMD64), image(store, ARMV7, b"arm")))
    return write_document(store, media.OCI_INDEX, index.encoded())


def names(folder: Path) -> list[str]:
    """Name all that is below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def written(form: Form, roots: dict[str, Descriptor], store: MemoryStore, **options: bool | None) -> bytes:
    """Export to a stream."""
    out = io.BytesIO()
    export(form, roots, store, out, **options)  # type: ignore[arg-type] # tar and split, as the test says
    return out.getvalue()


def test_an_oci_archive_and_folder_hold_every_platform(store, double, tmp_path):
    """Both read back to the same root under the same name, and the archive has the same index."""
    export("oci", {"api:dev": double}, store, tmp_path / "api.tar")
    export("oci", {"api:dev": double}, store, tmp_path / "api", tar=False)

    archive, archived = open_images(tmp_path / "api.tar")
    folder, foldered = open_images(tmp_path / "api")
    assert archived == foldered == {"api:dev": double}
    assert b"".join(archive.read(double)) == b"".join(folder.read(double))
    with tarfile.open(tmp_path / "api.tar") as tar:
        inside = {member.name.rstrip("/") for member in tar}
        index = tar.extractfile("index.json")
        assert index
        assert index.read() == (tmp_path / "api" / "index.json").read_bytes()
    assert inside == set(names(tmp_path / "api"))


def test_an_image_without_a_name_goes_by_its_digest(store, single, tmp_path):
    """No -t, no name."""
    export("oci", {single.digest: single}, store, tmp_path / "api", tar=False)

    assert json.loads((tmp_path / "api" / "index.json").read_bytes())["manifests"] == [
        {"mediaType": single.media_type, "digest": single.digest, "size": single.size}
    ]


def test_a_docker_archive_holds_one_platform(store, single, double):
    """manifest.json is there; several platforms are refused before a byte is written."""
    with tarfile.open(fileobj=io.BytesIO(written("docker", {"api:dev": single}, store))) as tar:
        document = tar.extractfile("manifest.json")
        assert document
        (saved,) = json.loads(document.read())
    assert saved["RepoTags"] == ["api:dev"]

    out = io.BytesIO()
    with pytest.raises(InvalidUsage) as caught:
        export("docker", {"api:dev": double}, store, out)
    assert "type=oci" in caught.value.hint
    assert out.getvalue() == b""


def test_a_tar_is_what_a_container_sees(store, single):
    """Whiteouts are obeyed and gone; links, modes and hard links stay."""
    with tarfile.open(fileobj=io.BytesIO(written("tar", {"api:dev": single}, store))) as tar:
        members = {member.name: member for member in tar}

    assert set(members) == {"app", "app/api", "app/latest", "app/twin", "etc", "etc/passwd", "tmp", "zz"}
    assert members["tmp"].mode == 0o1777
    assert members["app/latest"].linkname == "/app/api"
    links = {members["app/api"].islnk(): "app/api", members["app/twin"].islnk(): "app/twin"}
    assert set(links) == {True, False}
    assert members[links[True]].linkname == links[False]


@pytest.mark.parametrize("form", ["tar", "local"])
def test_several_platforms_have_a_folder_each(store, double, tmp_path, form):
    """Called as buildx calls them; hard links lead into their own."""
    if form == "tar":
        export("tar", {"api:dev": double}, store, tmp_path / "api.tar")
        with tarfile.open(tmp_path / "api.tar") as tar:
            tar.extraction_filter = lambda member, _: member  # we wrote it ourselves; Python 3.11.2 has no filters
            tar.extractall(tmp_path / "out")  # noqa: S202 - as above
    else:
        export("local", {"api:dev": double}, store, tmp_path / "out")

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["linux_amd64", "linux_arm_v7"]
    assert names(tmp_path / "out" / "linux_amd64") == names(tmp_path / "out" / "linux_arm_v7")
    assert (tmp_path / "out" / "linux_arm_v7" / "zz").read_bytes() == b"arm"
    twin = tmp_path / "out" / "linux_arm_v7" / "app" / "twin"
    assert twin.samefile(tmp_path / "out" / "linux_arm_v7" / "app" / "api")
    assert (tmp_path / "out" / "linux_amd64" / "app" / "latest").readlink() == Path("/app/api")


def test_one_platform_is_the_top_unless_split(store, single, tmp_path):
    """platform-split=true gives even a single one its folder."""
    export("local", {"api:dev": single}, store, tmp_path / "top")
    export("local", {"api:dev": single}, store, tmp_path / "split", split=True)

    assert names(tmp_path / "top") == names(tmp_path / "split" / "linux_amd64")
    assert (tmp_path / "top" / "app" / "api").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "top" / "app").stat().st_mode & 0o777 == 0o555
    assert folder_of(ARMV7) == "linux_arm_v7"


@pytest.mark.parametrize(("form", "split"), [("tar", False), ("local", False)])
def test_platforms_do_not_share_a_root(store, double, tmp_path, form, split):
    """Their programs would overwrite each other."""
    with pytest.raises(InvalidUsage):
        export(form, {"api:dev": double}, store, tmp_path / "out", split=split)

    assert names(tmp_path) == []


def test_two_images_do_not_share_a_root(store, single, double, tmp_path):
    """But one image under two names is one."""
    export("local", {"api:dev": single, "api:1": single}, store, tmp_path / "out")
    with pytest.raises(InvalidUsage):
        export("tar", {"api:dev": single, "web:dev": double}, store, tmp_path / "out.tar")

    assert (tmp_path / "out" / "app" / "api").exists()


@pytest.mark.parametrize("form", ["oci", "docker", "tar"])
def test_the_same_image_gives_the_same_bytes(form):
    """Made in two stores, the layers packed again."""
    digests = set()
    for _ in range(2):
        store = MemoryStore()
        digests.add(hashlib.sha256(written(form, {"api:dev": image(store, AMD64)}, store)).hexdigest())

    assert len(digests) == 1


def test_an_empty_image_is_an_empty_root(store, tmp_path):
    """Without layers there is nothing but the folder."""
    root = put_together(store, AMD64, [])

    export("local", {"x": root}, store, tmp_path / "out", split=True)

    assert names(tmp_path / "out") == ["linux_amd64"]


@pytest.mark.parametrize(
    ("form", "tar"), [("oci", True), ("oci", False), ("docker", True), ("tar", True), ("local", True)]
)
def test_what_fails_leaves_nothing(store, single, tmp_path, form, tar):
    """A blob that is missing, in every form: no file, no folder, nothing half."""
    kept = {digest: blob for digest, blob in store.blobs.items() if len(blob) != biggest(store)}
    store.blobs.clear()
    store.blobs.update(kept)

    with pytest.raises(BlobMissing):
        export(form, {"api:dev": single}, store, tmp_path / "out", tar=tar)

    assert names(tmp_path) == []


def biggest(store: MemoryStore) -> int:
    """Give the size of the plain layer, which is the biggest blob."""
    return max(map(len, store.blobs.values()))


def test_what_is_there_stays(store, single, tmp_path):
    """A folder with files is not written over; a file is, at once."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "api.tar").write_text("old")

    for form in ("oci", "local"):
        with pytest.raises(CannotWrite):
            export(form, {"api:dev": single}, store, tmp_path / "full", tar=False)
    export("oci", {"api:dev": single}, store, tmp_path / "api.tar")

    assert names(tmp_path / "full") == ["mine"]
    assert tarfile.is_tarfile(tmp_path / "api.tar")


def test_a_folder_is_no_stream(store, single):
    """Stdout takes archives only."""
    for form in ("oci", "local"):
        with pytest.raises(InvalidUsage):
            export(form, {"api:dev": single}, store, io.BytesIO(), tar=False)


@pytest.mark.parametrize("form", ["oci", "oci folder", "docker"])
def test_skopeo_reads_it(store, single, tmp_path, form):
    """The digest that was printed is the one skopeo sees; of Docker's form it makes its own manifest."""
    skopeo = need("skopeo")
    export(form.split()[0], {"api:dev": single}, store, tmp_path / "out", tar="folder" not in form)
    transport = {"oci": "oci-archive", "oci folder": "oci", "docker": "docker-archive"}[form]

    raw = subprocess.run(
        [skopeo, "inspect", "--raw", f"{transport}:{tmp_path / 'out'}"], capture_output=True, check=True
    ).stdout

    if form == "docker":
        assert len(json.loads(raw)["layers"]) == 2
    else:
        assert Digest.of(raw) == single.digest


def test_umoci_unpacks_the_same_tree(store, single, tmp_path):
    """Our files are those umoci makes of the folder that we wrote."""
    umoci = need("umoci")
    export("oci", {"api:dev": single}, store, tmp_path / "layout", tar=False)
    export("local", {"api:dev": single}, store, tmp_path / "ours")

    subprocess.run(
        [umoci, "unpack", "--rootless", "--image", f"{tmp_path / 'layout'}:dev", tmp_path / "theirs"],
        check=True,
        capture_output=True,
    )

    theirs = tmp_path / "theirs" / "rootfs"
    assert names(tmp_path / "ours") == names(theirs)
    for name in names(theirs):
        ours, other = tmp_path / "ours" / name, theirs / name
        assert ours.lstat().st_mode == other.lstat().st_mode
        assert ours.is_symlink() or ours.is_dir() or ours.read_bytes() == other.read_bytes()
