"""The store's commands as a script and a person call them."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli_shell import Shell
from small_images import ARM64, put_image, put_index
from wherry.cli.main import run
from wherry.cli.world import World
from wherry.oci import media
from wherry.oci.manifest import Index
from wherry.store.archive import write_oci_archive
from wherry.store.disk import DiskStore
from wherry.store.files import replacing
from wherry.store.images import images_of
from wherry.store.open import open_images


@dataclass
class Told:
    """What a command left."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        """Stdout, by line."""
        return self.out.decode().splitlines()


Wherry = Callable[..., Told]


@pytest.fixture
def wherry(tmp_path: Path) -> Wherry:
    """The command line, in a world of its own whose store is `store`."""

    def call(*arguments: str, stdin: bytes = b"") -> Told:
        out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
        world = World(out, err, {"HOME": str(tmp_path)}, tmp_path, stdin=io.TextIOWrapper(io.BytesIO(stdin)))
        code = run(["--store", "store", *arguments], world)
        out.flush()
        return Told(code, out.buffer.getvalue(), err.getvalue())

    return call


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    """The store that the commands see, with an image of one platform and one of two."""
    store = DiskStore(tmp_path / "store")
    store.tag("api:dev", put_image(store))
    store.tag("localhost:5000/web:1", put_index(store, "web"))
    return store


def test_images(wherry: Wherry, store: DiskStore):
    """A table for people; digests for scripts; the same values as JSON."""
    api, web = store.resolve("api:dev"), store.resolve("localhost:5000/web:1")

    header, first, second = wherry("images").lines
    assert header.split() == ["NAME", "DIGEST", "PLATFORMS", "PULLED", "CREATED"]
    assert first.split()[:3] == ["api:dev", api.digest.short, "linux/amd64"]
    assert first.endswith("2026-01-02 03:04")
    assert second.split()[2] == "linux/amd64,linux/arm64"
    assert wherry("images", "-q").lines == [api.digest, web.digest]
    assert api.digest in wherry("images", "--digests").lines[1]
    listed = json.loads(wherry("images", "--json").out)
    assert [image["name"] for image in listed] == ["api:dev", "localhost:5000/web:1"]
    assert listed[1]["platforms"][1]["platform"] == str(ARM64)


def test_an_empty_store_is_no_error(wherry: Wherry, tmp_path: Path):
    """Nothing on stdout, a hint for a person, and no folder made."""
    told = wherry("images")

    assert (told.code, told.out) == (0, b"")
    assert "wherry build" in told.err
    assert json.loads(wherry("images", "--json").out) == []
    for command in (["du"], ["gc"], ["verify-store"], ["rm", "--all"]):
        assert wherry(*command).code == 0
    assert not (tmp_path / "store").exists()


def test_names_from_others_obey_no_terminal(wherry: Wherry, store: DiskStore):
    """An index that somebody else wrote may hold escape sequences for names."""
    root = store.resolve("api:dev")
    entry = json.loads(Index.of((root,)).encoded())
    entry["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": "\x1b[31mred\n\x07"}
    (store.folder / "index.json").write_text(json.dumps(entry))

    for command in (["images"], ["du"], ["verify-store"], ["tag", "red", "x"], ["rm", "--all"]):
        told = wherry(*command)
        assert b"\x1b" not in told.out
        assert "\x1b" not in told.err
    (store.folder / "index.json").write_text(json.dumps(entry))
    assert json.loads(wherry("images", "--json").out)[0]["name"].startswith("\x1b")


def test_tag(wherry: Wherry, store: DiskStore):
    """Several names at once, printed as a script wants them."""
    digest = store.resolve("api:dev").digest

    told = wherry("tag", "api:dev", "api", "example.com/api:1")

    assert told.lines == [f"api:latest@{digest}", f"example.com/api:1@{digest}"]
    assert store.resolve("example.com/api:1").digest == digest


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["tag", "none", "x"], 66),
        (["tag", "api:dev", "ok:1", "Not OK"], 64),
        (["rm", "none:1"], 66),
        (["rm"], 64),
        (["rm", "--all", "api:dev"], 64),
        (["save", "none"], 66),
        (["save", "localhost:5000/web:1", "--format", "docker", "-o", "x.tar"], 64),
        (["save", "api:dev", "--platform", "linux/s390x", "-o", "x.tar"], 66),
        (["save", "api:dev", "--platform", "nonsense/x/y/z", "-o", "x.tar"], 64),
        (["save", "api:dev", "--format", "docker", "-o", "x/"], 64),
        (["save", "api:dev", "-o", "none/x.tar"], 73),
        (["load", "none.tar"], 66),
        (["load", "."], 66),
        (["load", "a", "-i", "b"], 64),
        (["load"], 65),
        (["gc", "--older", "soon"], 64),
        (["gc", "--older", "-1"], 64),
    ],
)
def test_bad_words_change_nothing(wherry: Wherry, store: DiskStore, tmp_path: Path, arguments: list[str], code: int):
    """Each gives its code, one error with a hint, and leaves the names as they were."""
    before, there = store.tags(), set(tmp_path.iterdir())

    told = wherry(*arguments)

    assert (told.code, told.out) == (code, b"")
    assert told.err.startswith("error: ")
    assert "\nhint: " in told.err
    assert store.tags() == before
    assert set(tmp_path.iterdir()) == there


def test_rm_and_gc(wherry: Wherry, store: DiskStore):
    """A name goes at once, its bytes with gc; what can't go doesn't keep the others."""
    digest = store.resolve("api:dev").digest

    told = wherry("rm", "none:1", "api:dev")
    assert (told.code, told.lines) == (66, [f"api:dev@{digest}"])
    assert "wherry gc" in told.err

    assert wherry("gc").lines == ["freed 0 B in 0 blobs"]
    planned = wherry("gc", "--older", "0s", "--dry-run").lines[0]
    assert planned.startswith("would free ")
    assert planned.endswith(" in 3 blobs")
    assert wherry("gc", "--older", "0").lines == [planned.replace("would free", "freed")]
    assert store.usage().nameless_blobs == 0


def test_rm_all(wherry: Wherry, store: DiskStore):
    """Every name, also of what has none."""
    nameless = put_image(store, "nameless")
    index = store.index()
    (store.folder / "index.json").write_bytes(Index.of((*index.manifests, nameless)).encoded())

    assert wherry("rm", "--all").code == 0
    assert store.tags() == {}


def test_du(wherry: Wherry, store: DiskStore):
    """By name, biggest first, with what no name leads to; as JSON in bytes."""
    put_image(store, "nameless")

    lines = wherry("du").lines
    assert [line.split()[0] for line in lines] == ["NAME", "localhost:5000/web:1", "api:dev", "(no", "all"]
    usage = json.loads(wherry("du", "--json").out)
    assert usage["bytes"] == store.usage().bytes
    assert usage["names"]["api:dev"]["blobs"] == 3
    assert usage["nameless_blobs"] == 3


def test_verify_store(wherry: Wherry, store: DiskStore):
    """0 and a line where all is well; 1, the place and a remedy where it isn't."""
    assert wherry("verify-store").lines == ["10 blobs of 2 names: all complete"]
    layer = images_of(store, store.resolve("api:dev"))[0].manifest.stack[0]
    path = Path(store.path_of(layer.digest))
    path.write_bytes(b"x" * layer.size)

    told = wherry("verify-store")
    assert told.code == 1
    assert str(path) in told.lines[0]
    assert told.lines[1] == "  needed by api:dev"
    found = json.loads(wherry("verify-store", "--json").out)
    assert [(finding["rule"], finding["severity"]) for finding in found] == [("wrong-digest", "error")]


def test_images_names_what_is_broken(wherry: Wherry, store: DiskStore):
    """The others are listed all the same."""
    Path(store.path_of(store.resolve("api:dev").digest)).unlink()

    told = wherry("images")

    assert (told.code, len(told.lines)) == (0, 3)
    assert "api:dev is broken" in told.err


@pytest.mark.parametrize("form", ["oci", "docker"])
def test_save_to_a_file_and_load(wherry: Wherry, store: DiskStore, tmp_path: Path, form: str):
    """Out, and into another store, under the same name and digest; to stdout the same bytes."""
    root = store.resolve("api:dev")

    assert wherry("save", "api:dev", "--format", form, "-o", "it.tar").out == b""
    assert wherry("save", "api:dev", "--format", form).out == (tmp_path / "it.tar").read_bytes()
    told = wherry("--store", "other", "load", "-i", "it.tar")
    assert told.lines == [f"api:dev@{root.digest}"]
    assert DiskStore(tmp_path / "other").tags() == {"api:dev": root}


def test_save_one_platform_for_docker(wherry: Wherry, store: DiskStore, tmp_path: Path):
    """Of an index, the one that is named."""
    assert wherry("save", "localhost:5000/web:1", "--format", "docker", "--platform", "arm64", "-o", "it.tar").code == 0

    source, roots = open_images(tmp_path / "it.tar")
    assert [image.platform for image in images_of(source, roots["localhost:5000/web:1"])] == [ARM64]


def test_save_to_a_folder(wherry: Wherry, store: DiskStore, tmp_path: Path):
    """A layout, to which a second save adds."""
    assert wherry("save", "api:dev", "-o", "out/").code == 0
    assert wherry("save", "localhost:5000/web:1", "-o", "out").code == 0

    _, roots = open_images(tmp_path / "out")
    assert roots == store.tags()


def test_load_from_a_pipe(wherry: Wherry, store: DiskStore):
    """An archive on stdin, as `docker load` takes it; a name may be given."""
    archive = wherry("save", "localhost:5000/web:1").out
    wherry("rm", "--all")

    assert wherry("load", stdin=archive).lines[0].startswith("localhost:5000/web:1@")
    assert wherry("load", "-", "-t", "mine", stdin=archive).lines[0].startswith("mine:latest@")
    assert set(store.tags()) == {"localhost:5000/web:1", "mine:latest"}


def test_load_says_which_name_it_chose(wherry: Wherry, store: DiskStore, tmp_path: Path):
    """A layout that brings a bare tag, or nothing, is named after its file."""
    root = store.resolve("api:dev")
    with replacing(tmp_path / "hello.tar") as out:
        write_oci_archive(out, store, {str(root.digest): root})

    told = wherry("load", "hello.tar")

    assert told.lines == [f"hello:latest@{root.digest}"]
    assert "named hello:latest: the archive contains no name" in told.err


def test_load_refuses_a_broken_archive(wherry: Wherry, store: DiskStore, tmp_path: Path):
    """A blob that isn't what its name says: no image, no leftover, and the error names the blob."""
    root = store.resolve("api:dev")
    layer = images_of(store, root)[0].manifest.stack[0]
    content = wherry("save", "api:dev").out
    place = content.index(b"".join(store.read(layer)))
    (tmp_path / "it.tar").write_bytes(content[: place + 20] + b"!" + content[place + 21 :])

    told = wherry("--store", "other", "load", "it.tar")

    assert told.code == 65
    assert layer.digest in told.err
    other = DiskStore(tmp_path / "other")
    assert other.tags() == {}
    assert not other.has(layer)


def test_media_types_are_in_the_json(wherry: Wherry, store: DiskStore):
    """A script can tell an index from a manifest."""
    assert [image["mediaType"] for image in json.loads(wherry("images", "--json").out)] == [
        media.OCI_MANIFEST,
        media.OCI_INDEX,
    ]
    assert len(store.tags()) == 2


def test_a_store_with_signatures(tmp_path, store):
    """A signature is no image: tree alone lists it, and every command about the store does its work."""
    shell = Shell(tmp_path)
    shell.environment["COSIGN_PASSWORD"] = ""
    (tmp_path / "cache/trees").mkdir(parents=True)
    shell("keys", "new", "-o", "k")
    shell("sign", "--key", "k.key", "api:dev")

    for words in (("gc", "--dry-run"), ("gc",), ("du",), ("verify-store",)):
        shell(*words)
    assert not any("sha256-" in line for line in shell("images"))
    assert any("simplesigning" in line or "sigstore" in line for line in shell("tree", "api:dev")), shell.out
    shell("verify", "--key", "k.pub", "api:dev")
