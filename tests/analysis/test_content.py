"""Where an image's bytes are, of images put together for it."""

import pytest

from built_images import file, folder, put_layers
from gobuild import HELLO, go_binary, go_version
from wherry.analysis.content import content_of
from wherry.analysis.history import made_by
from wherry.digest import Digest
from wherry.errors import BlobMissing, DigestMismatch
from wherry.layer.entry import Entry, EntryKind
from wherry.oci.config import History, RuntimeConfig
from wherry.oci.image import Image
from wherry.store.images import read_image
from wherry.store.memory import MemoryStore


@pytest.fixture
def store():
    """Nothing in it yet."""
    return MemoryStore()


def program() -> bytes:
    """Give a small stripped Go program."""
    return go_binary(HELLO, "-trimpath", "-ldflags=-s").read_bytes()


def put(store, *layers: list[Entry], entrypoint: tuple[str, ...] = (), history: tuple[History, ...] = ()) -> Image:
    """Write an image and read it back."""
    return read_image(store, put_layers(store, layers, RuntimeConfig(entrypoint=entrypoint), history=history))


def test_layers_and_files(store):
    """Every layer with both its sizes, every visible file in one sum."""
    image = put(
        store,
        [folder("etc"), file("etc/passwd", b"root"), file("etc/old", b"x" * 1000)],
        [file("etc/.wh.old"), file("app", b"y" * 96)],
        history=(History(created_by="base"), History(created_by="nothing", empty_layer=True), History(comment="app")),
    )

    content = content_of(store, image)

    assert [(layer.files, layer.unpacked, layer.made_by) for layer in content.layers] == [
        (2, 1004, "base"), (2, 96, "app"),
    ]  # fmt: skip
    assert [layer.pulled for layer in content.layers] == [blob.size for blob in image.manifest.stack]
    assert (content.files, content.size, content.unpacked) == (2, 100, 1100)
    assert [(one.path, one.size, one.layer) for one in content.biggest] == [("/app", 96, 1), ("/etc/passwd", 4, 0)]
    assert content.programs == ()


def test_small_files_are_told_by_folder(store):
    """What makes less than a hundredth is summed up; no byte is lost."""
    small = [file(f"usr/share/zone/{number}", b"z" * 5) for number in range(30)]
    image = put(store, [file("app", b"a" * 5000), *small, file("etc/hosts", b"1"), file("top", b"2")])

    content = content_of(store, image)

    assert [one.path for one in content.biggest] == ["/app"]
    assert [(one.path, one.files, one.size) for one in content.folders] == [
        ("/usr/share", 30, 150), ("/", 1, 1), ("/etc", 1, 1),
    ]  # fmt: skip
    assert sum(one.size for one in (*content.biggest, *content.folders)) == content.size


def test_as_many_files_as_asked_for(store):
    """A number names that many, whatever their share."""
    image = put(store, [file(f"f{number}", b"x" * (number + 1)) for number in range(20)])

    content = content_of(store, image, biggest=3)

    assert [one.path for one in content.biggest] == ["/f19", "/f18", "/f17"]
    assert sum(one.files for one in content.folders) == 17


def test_programs_are_looked_into(store):
    """The parts of a Go program make up its file; what is no program or cannot be run is passed over."""
    image = put(
        store,
        [
            file("app/hello", program(), 0o755),
            file("app/copy", program(), 0o644),
            file("run.sh", b"#!/bin/sh\n", 0o755),
        ],
    )

    (found,) = content_of(store, image).programs

    assert found.path == "/app/hello"
    assert found.binary
    assert found.binary.go
    assert found.binary.go.go_version == go_version()
    assert sum(part.size for part in found.binary.parts) == found.binary.size == len(program())


def test_the_program_that_starts_is_looked_into(store):
    """However small it is among the others."""
    image = put(
        store,
        [file("big", b"b" * 2_000_000, 0o755), file("app", program(), 0o755)],
        entrypoint=("/app", "serve"),
    )

    content = content_of(store, image, biggest=1)

    assert [one.path for one in content.biggest] == ["/big"]
    assert [one.path for one in content.programs] == ["/app"]


def test_of_a_program_in_two_layers_the_later_counts(store):
    """What a later layer replaced is not looked into."""
    image = put(store, [file("app", b"\x7fELF old", 0o755)], [file("app", program(), 0o755)])

    (found,) = content_of(store, image).programs

    assert found.binary


def test_a_broken_program(store):
    """It is named with what is broken; the rest of the image is shown all the same."""
    image = put(store, [file("app", program()[:5000], 0o755)])

    (found,) = content_of(store, image).programs

    assert found.binary is None
    assert "exceed the file" in found.problem


def test_hard_links_count_once(store):
    """A second name adds no bytes."""
    link = Entry(path="b", kind=EntryKind.HARDLINK, target="a")

    content = content_of(store, put(store, [file("a", b"12345"), link]))

    assert (content.files, content.size) == (2, 5)
    assert [layer.files for layer in content.layers] == [2]


def test_an_empty_image(store):
    """No layer, no byte, no trouble."""
    content = content_of(store, put(store))

    assert (content.files, content.size, content.pulled, content.layers) == (0, 0, 0, ())


@pytest.mark.parametrize("history", [(), (History(),), (History(created_by="one"), History(created_by="two"))])
def test_a_history_that_does_not_fit(store, history):
    """It may be shorter than the layers, or longer."""
    image = put(store, [file("a")], history=history)

    assert len(made_by(image)) == 1


def test_a_layer_that_is_missing(store):
    """That stops us, by name."""
    image = put(store, [file("a", b"1")])
    del store.blobs[image.manifest.stack[0].digest]

    with pytest.raises(BlobMissing):
        content_of(store, image)


def test_a_layer_that_is_another(store):
    """A layer whose content is not what the config says is refused."""
    import msgspec

    image = put(store, [file("a", b"1")])
    rootfs = msgspec.structs.replace(image.config.rootfs, diff_ids=(Digest.of(b"other"),))
    lying = Image(image.descriptor, image.manifest, msgspec.structs.replace(image.config, rootfs=rootfs))

    with pytest.raises(DigestMismatch):
        content_of(store, lying)
