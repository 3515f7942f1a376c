"""A cache that is carried from machine to machine: what steps made, as layers, and the keys they are found under.

It is an OCI image of a kind of its own, so that registries keep it: the config is the list of records, the layers are
what each step changed, and the caches of mounts if they were asked for. Trees are unpacked of them where a step needs
one; a build that finds all its steps needs none.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from wherry.build.solver import StepOutcome
from wherry.errors import InvalidDocument
from wherry.oci import media
from wherry.oci.config import Layer
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import decode, encode
from wherry.oci.manifest import Manifest
from wherry.plan.graph import key_of
from wherry.store.contract import BlobSink, BlobSource, read_whole, write_document
from wherry.store.results import Results, StepRecord

CONFIG = "application/vnd.wherry.cache.config.v1+json"
"""Of the config of such an image."""
_VERSION = 1


class ExportedStep(msgspec.Struct, frozen=True):
    """One step's record."""

    definition: str
    content: str
    slot: str
    defined: bytes
    observed: bytes
    result: bytes


class MountedCache(msgspec.Struct, frozen=True):
    """The files of one cache mount."""

    name: str
    layer: Layer


class CacheExport(msgspec.Struct, frozen=True):
    """All of it."""

    version: int
    records: tuple[ExportedStep, ...]
    facts: dict[str, str]
    layers: tuple[Layer, ...]
    mounts: tuple[MountedCache, ...] = ()


def carried(outcome: StepOutcome, result: bytes, slot: str) -> ExportedStep:
    """Make the record of a step, with a result that means the same elsewhere."""
    defined = outcome.step.definition()
    definition = key_of(defined)
    return ExportedStep(
        definition=definition,
        content=outcome.key.removeprefix(definition),
        slot=slot,
        defined=msgspec.msgpack.encode(defined),
        observed=outcome.observed or b"",
        result=result,
    )


def write_export(exported: CacheExport, sink: BlobSink) -> Descriptor:
    """Store the documents of a cache; its layers are in the store already."""
    config = write_document(sink, CONFIG, encode(exported))
    blobs = {layer.blob.digest: layer.blob for layer in (*exported.layers, *(one.layer for one in exported.mounts))}
    manifest = Manifest.of(config, tuple(blobs.values()), {"dev.wherry.cache": str(_VERSION)})
    return write_document(sink, media.OCI_MANIFEST, manifest.encoded())


def read_export(source: BlobSource, root: Descriptor) -> CacheExport:
    """Read the documents of a cache.

    Raises:
        InvalidDocument: it is invalid.
    """
    name = str(root.digest)
    if root.media_type not in media.MANIFESTS:
        raise InvalidDocument(name, f"{root.media_type or 'no media type'} is not a wherry cache")
    manifest = Manifest.parse(read_whole(source, root), name)
    if manifest.config.media_type != CONFIG:
        raise InvalidDocument(
            name, f"{manifest.config.media_type} is not a wherry cache", hint="give a cache that --cache-to wrote"
        )
    exported: CacheExport = decode(read_whole(source, manifest.config), CacheExport, f"cache {name}")
    if exported.version != _VERSION:
        raise InvalidDocument(name, f"cache version {exported.version}; this wherry reads version {_VERSION}")
    return exported


def import_records(exported: CacheExport, results: Results, now: float) -> int:
    """Put a cache's records among our own; what we have ourselves stays. Give how many were new."""
    new = 0
    for one in exported.records:
        if results.find(one.definition, one.content) is not None:
            continue
        new += 1
        results.put(StepRecord(one.definition, one.content, one.slot, now, one.defined, one.observed, one.result))
    results.put_facts(exported.facts)
    return new


def unique(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Give layers once each."""
    return tuple({layer.blob.digest: layer for layer in layers}.values())


def fields(text: str, known: Iterable[str], option: str) -> Mapping[str, Any]:
    """Read `type=…,key=value`; a text without `=` is a registry's reference.

    Raises:
        InvalidUsage: a key or a type is unknown.
    """
    from wherry.errors import InvalidUsage

    if "=" not in text:
        return {"type": "registry", "ref": text}
    values = dict(field.partition("=")[::2] for field in text.split(","))
    kind = values.get("type", "")
    if kind not in ("registry", "local"):
        raise InvalidUsage(
            f"{option} {text}: type={kind or '…'} is not supported",
            hint="use type=registry,ref=NAME, or type=local with a directory that CI keeps",
        )
    unknown = sorted(values.keys() - set(known))
    if unknown:
        raise InvalidUsage(f"{option} {text}: unknown key {unknown[0]}", hint=f"use {', '.join(known)}")
    return values
