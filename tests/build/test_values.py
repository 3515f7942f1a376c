"""Results of steps as bytes and back, and what changed between two looks, in words."""

import msgspec
import pytest

from wherry.build.values import (
    Compiled,
    Observed,
    compiled_of,
    descriptor_of,
    differences,
    differing,
    encode_image,
    image_of,
)
from wherry.errors import InvalidDocument
from wherry.oci import media
from wherry.oci.config import ImageConfig, RootFS, RuntimeConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import encode
from wherry.oci.image import Image
from wherry.oci.manifest import Manifest
from wherry.source.inputs import Input, InputKind


def test_an_image_is_read_back():
    """All three documents."""
    config = ImageConfig(
        architecture="amd64", os="linux", config=RuntimeConfig(env=("A=1",)), rootfs=RootFS(diff_ids=())
    )
    manifest = Manifest.of(Descriptor.of(media.OCI_CONFIG, config.encoded()), (), {"a": "b"})
    image = Image.of(Descriptor.of(media.OCI_MANIFEST, manifest.encoded()), manifest, config)

    assert image_of(encode_image(image)) == image


def test_a_program_is_read_back():
    """With what it is linked to."""
    compiled = Compiled("sha256:0", 5, "go1.26.1", "path", reads_stamp=True, recipe={"a": "b"}, libraries=("libc.so",))

    assert compiled_of(msgspec.msgpack.encode(compiled)) == compiled


def test_a_manifests_descriptor_is_read_back():
    """And what is none is an error that says where it was."""
    descriptor = Descriptor.of(media.OCI_MANIFEST, b"{}")

    assert descriptor_of(encode(descriptor)) == descriptor
    with pytest.raises(InvalidDocument, match="cached manifest"):
        descriptor_of(b"{}")


def observed(*inputs: tuple[str, InputKind, bytes], stamped: str = "") -> Observed:
    """What a step read."""
    return Observed(tuple(Input(path, kind, content) for path, kind, content in inputs), stamped)


A, B = ("/a.go", InputKind.FILE, b"1"), ("/b.go", InputKind.FILE, b"1")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (observed(A, B), observed(A, B), ()),
        (observed(A), observed(("/a.go", InputKind.FILE, b"2")), ("/a.go changed",)),
        (observed(A), observed(A, B), ("/b.go is a new input",)),
        (observed(A, B), observed(B), ("/a.go is no longer an input",)),
        (
            observed(("/d", InputKind.FOLDER, b"1")),
            observed(("/d", InputKind.FOLDER, b"2")),
            ("/d: files were added or removed",),
        ),
        (
            observed(("/d", InputKind.TREE, b"1")),
            observed(("/d", InputKind.TREE, b"2")),
            ("/d: files were added or removed",),
        ),
        (observed(A, B), observed(B, A), ()),
        (observed(stamped="1"), observed(stamped="2"), ("the commit it records changed: 1 → 2",)),
        (observed(), observed(stamped="2"), ("the commit it records changed: none → 2",)),
        (observed(B, A), observed(), ("/a.go is no longer an input", "/b.go is no longer an input")),
    ],
)
def test_differences(before, after, words):
    """Path by path, in order; of encoded records too."""
    assert differences(before, after) == words
    assert differing(msgspec.msgpack.encode(before), msgspec.msgpack.encode(after)) == words


def test_a_stamp_is_no_difference():
    """A file that was only touched has the same content."""
    before, after = (
        Observed((Input("/a", InputKind.FILE, b"1", stamp),)) for stamp in ((1, 1, 1, 1, 1), (1, 2, 2, 1, 1))
    )

    assert differences(before, after) == ()
