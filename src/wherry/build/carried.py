"""A cache that is carried from machine to machine: what steps made, as layers, and the keys they are found under.

It is an OCI image of a kind of its own, so that registries keep it: the config is the list of records, the layers are
what each step changed, and the caches of mounts if they were asked for. Trees are unpacked of them where a step needs
one; a build that finds all its steps needs none.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from wherry.build.engine import Outcome
from wherry.errors import InvalidDocument
from wherry.oci import media
from wherry.oci.config import Layer
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import decode, encode
from wherry.oci.manifest import Manifest
from wherry.plan.steps import key_of
from wherry.store.contract import BlobSink, BlobSource, read_whole, write_document
from wherry.store.results import Record, Results

CONFIG = "application/vnd.wherry.cache.config.v1+json"
"""Of the config of such an image."""
_VERSION = 1


class Carried(msgspec.Struct, frozen=True):
    """One step's record."""

    definition: str
    content: str
    slot: str
    defined: bytes
    observed: bytes
    result: bytes


class Mounted(msgspec.Struct, frozen=True):
    """The files of one cache mount."""

    name: str
    layer: Layer


class Cargo(msgspec.Struct, frozen=True):
    """All of it."""

    version: int
    records: tuple[Carried, ...]
    facts: dict[str, str]
    layers: tuple[Layer, ...]
    mounts: tuple[Mounted, ...] = ()


def carried(outcome: Outcome, result: bytes, slot: str) -> Carried:
    """Make the record of a step, with a result that means the same elsewhere."""
    defined = outcome.step.definition()
    definition = key_of(defined)
    return Carried(
        definition=definition,
        content=outcome.key.removeprefix(definition),
        slot=slot,
        defined=msgspec.msgpack.encode(defined),
        observed=outcome.observed or b"",
        result=result,
    )


def write_cargo(cargo: Cargo, sink: BlobSink) -> Descriptor:
    """Store the documents of a cache; its layers are in the store already."""
    config = write_document(sink, CONFIG, encode(cargo))
    blobs = {layer.blob.digest: layer.blob for layer in (*cargo.layers, *(one.layer for one in cargo.mounts))}
    manifest = Manifest.of(config, tuple(blobs.values()), {"dev.wherry.cache": str(_VERSION)})
    return write_document(sink, media.OCI_MANIFEST, manifest.encoded())


def read_cargo(source: BlobSource, root: Descriptor) -> Cargo:
    """Read the documents of a cache.

    Raises:
        InvalidDocument: it is none.
    """
    name = str(root.digest)
    if root.media_type not in media.MANIFESTS:
        raise InvalidDocument(name, f"{root.media_type or 'no media type'} is no cache of wherry's")
    manifest = Manifest.parse(read_whole(source, root), name)
    if manifest.config.media_type != CONFIG:
        raise InvalidDocument(
            name, f"{manifest.config.media_type} is no cache of wherry's", hint="name what --cache-to wrote"
        )
    cargo: Cargo = decode(read_whole(source, manifest.config), Cargo, f"cache {name}")
    if cargo.version != _VERSION:
        raise InvalidDocument(name, f"a cache of version {cargo.version}, and this wherry knows {_VERSION}")
    return cargo


def take_in(cargo: Cargo, results: Results, now: float) -> int:
    """Put a cache's records among our own; what we have ourselves stays. Give how many were new."""
    new = 0
    for one in cargo.records:
        if results.find(one.definition, one.content) is not None:
            continue
        new += 1
        results.put(Record(one.definition, one.content, one.slot, now, one.defined, one.observed, one.result))
    results.put_facts(cargo.facts)
    return new


def unique(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Give layers once each."""
    return tuple({layer.blob.digest: layer for layer in layers}.values())


def fields(text: str, known: Iterable[str], option: str) -> Mapping[str, Any]:
    """Read `type=…,key=value`; a text without `=` is a registry's reference.

    Raises:
        InvalidUsage: a key is none, or a type is one that is not here.
    """
    from wherry.errors import InvalidUsage

    if "=" not in text:
        return {"type": "registry", "ref": text}
    values = dict(field.partition("=")[::2] for field in text.split(","))
    kind = values.get("type", "")
    if kind not in ("registry", "local"):
        raise InvalidUsage(
            f"{option} {text}: there is no type={kind or '…'} here",
            hint="use type=registry,ref=NAME, which every CI has, or type=local with a folder that it keeps",
        )
    unknown = sorted(values.keys() - set(known))
    if unknown:
        raise InvalidUsage(f"{option} {text}: {unknown[0]} is not known", hint=f"the keys are {', '.join(known)}")
    return values
