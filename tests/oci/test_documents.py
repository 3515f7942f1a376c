"""Documents come back as they were written, and hostile bytes give our own error."""

import json
from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.digest import Digest
from wherry.errors import InvalidDocument
from wherry.oci import media
from wherry.oci.config import History, ImageConfig, RootFS, RuntimeConfig, chain_ids
from wherry.oci.descriptor import Descriptor, PlatformDocument
from wherry.oci.document import LARGEST
from wherry.oci.image import Image
from wherry.oci.layout import LAYOUT, Layout, name_of, named, unnamed
from wherry.oci.manifest import Index, Manifest
from wherry.platform import Platform

TEXT = st.text(max_size=12)
DIGESTS = st.binary(max_size=8).map(Digest.of)
DESCRIPTORS = st.builds(
    Descriptor,
    media_type=st.sampled_from([media.OCI_MANIFEST, media.OCI_LAYER_GZIP, "a/b"]),
    digest=DIGESTS,
    size=st.integers(0, (1 << 63) - 1),
    annotations=st.dictionaries(TEXT, TEXT, max_size=2),
    data=st.none() | st.binary(max_size=8),
    platform=st.none() | st.builds(PlatformDocument, architecture=TEXT, os=TEXT, variant=TEXT),
)
CONFIGS = st.builds(
    ImageConfig,
    architecture=TEXT,
    os=TEXT,
    config=st.none() | st.builds(RuntimeConfig, user=TEXT, env=st.none() | st.just(("A=1", "B=x=y"))),
    rootfs=st.builds(RootFS, diff_ids=st.lists(DIGESTS, max_size=3).map(tuple)),
    history=st.lists(st.builds(History, created_by=TEXT, empty_layer=st.booleans()), max_size=2).map(tuple),
)


@settings(max_examples=60)
@given(DESCRIPTORS, st.lists(DESCRIPTORS, max_size=3))
def test_manifest_and_index_read_back(config: Descriptor, others: list[Descriptor]):
    """What is written is read as the same value, and written as the same bytes."""
    for document in (Manifest.of(config, tuple(others)), Index.of(tuple(others))):
        again = type(document).parse(document.encoded(), "document")
        assert again == document
        assert again.encoded() == document.encoded()


@settings(max_examples=60)
@given(CONFIGS)
def test_config_reads_back(config: ImageConfig):
    """As above, for configs."""
    assert ImageConfig.parse(config.encoded(), "config") == config


@settings(max_examples=150)
@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | TEXT, lambda x: st.lists(x) | st.dictionaries(TEXT, x))
    .map(json.dumps)
    .map(lambda text: text.encode())
)
def test_no_bytes_break_a_reader(document: bytes):
    """Any bytes are a document or our own error."""
    for reader in (Manifest.parse, Index.parse, ImageConfig.parse, Layout.parse):
        with suppress(InvalidDocument):
            reader(document, "it")


@pytest.mark.parametrize("document", [b"[" * 200_000, b'{"config":' * 100_000, b" " * (LARGEST + 1), b'{"a": "\xff"}'])
def test_refuses_bombs(document: bytes):
    """Depth and length have ends."""
    with pytest.raises(InvalidDocument):
        Manifest.parse(document, "bomb")


@pytest.mark.parametrize("reader", [Layout.parse, Manifest.parse, Index.parse, ImageConfig.parse])
def test_refuses_what_is_not_utf8(reader: Callable[[bytes, str], object]):
    """Wherever the wrong byte stands."""
    documents = [
        b'{"imageLayoutVersion":"\x80.0.0"}',
        b'{"schemaVersion":2,"mediaType":"\xff"}',
        b'{"architecture":"\xff"}',
        b'{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"\xff","size":1}]}',
    ]
    for document in documents:
        with pytest.raises(InvalidDocument):
            reader(document, "it")


def test_the_message_has_the_path():
    """A person can find the wrong key."""
    entry = {"mediaType": "a/b", "digest": "sha256:12", "size": 1}

    with pytest.raises(InvalidDocument) as caught:
        Index.parse(json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(), "index.json")

    assert "$.manifests[0].digest" in caught.value.problem


def test_a_names_order_does_not_change_bytes():
    """Mappings are written by key."""
    blob = Descriptor.of("a/b", b"")
    one, two = ({"a": "1", "b": "2"}, {"b": "2", "a": "1"})

    assert Manifest.of(blob, (), one).encoded() == Manifest.of(blob, (), two).encoded()


def test_chain_ids_are_the_specs():
    """The first is the diff id itself; each further hashes the last and its own."""
    first, second = Digest.of(b"1"), Digest.of(b"2")

    assert chain_ids([first, second]) == (first, Digest.of(f"{first} {second}".encode()))
    assert chain_ids([]) == ()


def test_an_image_needs_matching_documents():
    """A config that speaks of other layers is refused."""
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=()))
    blob = Descriptor.of(media.OCI_CONFIG, config.encoded())
    manifest = Manifest.of(blob, (blob,))

    with pytest.raises(InvalidDocument):
        Image.of(Descriptor.of(media.OCI_MANIFEST, manifest.encoded()), manifest, config)
    assert Image.of(blob, Manifest.of(blob, ()), config).platform == Platform("linux", "amd64")


def test_names_of_entries():
    """The containerd annotation comes first, where it is a reference; a digest is the name of the nameless."""
    root = Descriptor.of(media.OCI_INDEX, b"{}")
    both = {"org.opencontainers.image.ref.name": "dev", "io.containerd.image.name": "example.com/api:dev"}
    broken = {**both, "io.containerd.image.name": "Not A Name"}

    assert name_of(msgspec.structs.replace(root, annotations=both)) == "example.com/api:dev"
    assert name_of(msgspec.structs.replace(root, annotations=broken)) == "dev"
    assert name_of(root) == root.digest
    assert name_of(named(root, "api:dev")) == "api:dev"
    assert unnamed(named(root, "api:dev")) == root


def test_the_marker_is_the_specs():
    """Byte for byte what other tools write and look for."""
    assert LAYOUT.encoded() == b'{"imageLayoutVersion":"1.0.0"}'
