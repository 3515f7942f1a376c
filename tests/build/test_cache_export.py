"""A cache as an image: written, read back, taken in; and what is none."""

import msgspec
import pytest

from wherry.build.cache_export import (
    CONFIG,
    CacheExport,
    ExportedStep,
    MountedCache,
    carried,
    fields,
    import_records,
    read_export,
    unique,
    write_export,
)
from wherry.build.solver import StepOutcome
from wherry.digest import Digest
from wherry.errors import InvalidDocument, InvalidUsage
from wherry.oci import media
from wherry.oci.config import Layer
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import encode
from wherry.oci.manifest import Manifest
from wherry.plan.graph import Step, key_of
from wherry.plan.ops import MkdirOp
from wherry.store.contract import write_document
from wherry.store.memory import MemoryStore
from wherry.store.results import Results, StepRecord

RECORD = ExportedStep("d" * 64, "content", "here [2/2]", b"defined", b"observed", b"result")


def layer(store: MemoryStore, text: bytes) -> Layer:
    """Store a blob; give the layer that it stands for."""
    blob = write_document(store, media.OCI_LAYER, text)
    return Layer(blob=blob, diff_id=Digest(str(blob.digest)), size=len(text))


def test_a_cache_is_read_back():
    """Records, facts, layers and caches of mounts; the manifest names every layer once."""
    store = MemoryStore()
    one, other = layer(store, b"one"), layer(store, b"other")
    exported = CacheExport(1, (RECORD,), {"a": "b"}, (one, other), (MountedCache("go", one),))
    root = write_export(exported, store)
    manifest = Manifest.parse(b"".join(store.read(root)), "it")

    assert read_export(store, root) == exported
    assert [blob.digest for blob in manifest.layers] == [one.blob.digest, other.blob.digest]


def test_an_image_is_no_cache():
    """A cache's reference is easily taken for the image's."""
    store = MemoryStore()
    config = write_document(store, media.OCI_CONFIG, b"{}")
    root = write_document(store, media.OCI_MANIFEST, Manifest.of(config, ()).encoded())

    with pytest.raises(InvalidDocument) as caught:
        read_export(store, root)
    assert "--cache-to" in caught.value.hint


def test_a_cache_of_another_version():
    """Its records may mean something else."""
    store = MemoryStore()
    config = write_document(store, CONFIG, encode(CacheExport(2, (), {}, ())))
    root = write_document(store, media.OCI_MANIFEST, Manifest.of(config, ()).encoded())

    with pytest.raises(InvalidDocument, match="version 2"):
        read_export(store, root)


def test_what_is_no_manifest():
    """An index, or any blob."""
    with pytest.raises(InvalidDocument):
        read_export(MemoryStore(), Descriptor.of(media.OCI_LAYER, b"x"))


def test_what_we_have_ourselves_stays(tmp_path):
    """A cache of others replaces nothing; new records are counted."""
    results = Results(tmp_path)
    results.put(StepRecord(RECORD.definition, RECORD.content, "ours", 1.0, b"ours", b"ours", b"ours"))
    new = msgspec.structs.replace(RECORD, content="other")
    counts = [import_records(CacheExport(1, (RECORD, new), {"a": "b"}, ()), results, 5.0) for _ in range(2)]
    ours, theirs = (results.find(RECORD.definition, content) for content in ("content", "other"))
    assert ours is not None
    assert theirs is not None

    assert counts == [1, 0]
    assert (ours.result, theirs.result, theirs.used) == (b"ours", b"result", 5.0)
    assert results.fact("a") == "b"
    results.close()


def test_a_record_has_the_keys_of_its_step():
    """It is found by the definition and by what the step has read."""
    step = Step("x", MkdirOp("/srv", ""))
    definition = key_of(step.definition())
    found = carried(StepOutcome(step, False, b"local", f"{definition}content", b"seen"), b"abroad", "here x")  # noqa: FBT003 - a field

    assert (found.definition, found.content) == (definition, "content")
    assert (found.result, found.observed, found.slot) == (b"abroad", b"seen", "here x")
    assert msgspec.msgpack.decode(found.defined) == dict(step.definition())


def test_layers_once_each():
    """In the order in which they came first."""
    store = MemoryStore()
    one, other = layer(store, b"one"), layer(store, b"other")

    assert unique([one, other, one]) == (one, other)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("ghcr.io/a/cache:main", {"type": "registry", "ref": "ghcr.io/a/cache:main"}),
        ("type=registry,ref=a/b", {"type": "registry", "ref": "a/b"}),
        ("type=local,dest=/x=y", {"type": "local", "dest": "/x=y"}),
    ],
)
def test_options(text, values):
    """A plain reference, or words."""
    assert fields(text, ("type", "ref", "dest"), "--cache-to") == values


@pytest.mark.parametrize("text", ["type=gha", "ref=x", "type=registry,reff=x", "type="])
def test_options_that_are_none(text):
    """Never ignored."""
    with pytest.raises(InvalidUsage, match="--cache-to"):
        fields(text, ("type", "ref"), "--cache-to")
