"""Layers and a base to an image: config, manifest, and one index for several platforms.

Source: OCI image-spec v1.1.1, config.md, manifest.md, image-index.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from wherry.errors import InvalidUsage
from wherry.oci import media
from wherry.oci.config import History, ImageConfig, Layer, RootFS, RuntimeConfig
from wherry.oci.descriptor import Descriptor, PlatformDocument
from wherry.oci.image import Image
from wherry.oci.manifest import Index, Manifest
from wherry.platform import Platform
from wherry.store.contract import BlobSink, write_document

T = TypeVar("T")

_OCI_TYPE = {
    media.DOCKER_LAYER: media.OCI_LAYER,
    media.DOCKER_LAYER_GZIP: media.OCI_LAYER_GZIP,
    media.DOCKER_LAYER_ZSTD: media.OCI_LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    ),
}


def assemble(  # noqa: PLR0913 - an image is made of that many things, and all but three are named
    base: Image,
    layers: Sequence[tuple[Layer, History]],
    changes: RuntimeConfig,
    *,
    platform: Platform,
    created: str | None,
    annotations: Mapping[str, str],
    sink: BlobSink,
) -> Descriptor:
    """Put layers on a base and store config and manifest; the layers are in the store already.

    Args:
        base: the image below; it is not changed, and a Docker one becomes an OCI one.
        layers: what comes on top, each with the step that made it.
        changes: what is set replaces the base's; environment, labels, ports and volumes are added to the base's.
            A new entry point drops the base's arguments, which were meant for the old one.
        platform: what the image runs on; a variant may be finer than the base's.
        created: RFC 3339, or none.
        annotations: of the manifest.
        sink: where both go.

    Returns:
        The manifest's descriptor with its platform.

    Raises:
        InvalidUsage: the base is of another platform.
    """
    _check_platform(base, platform)
    config = ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        os_version=base.config.os_version,
        os_features=base.config.os_features,
        created=created,
        config=merge(base.config.runtime, changes),
        rootfs=RootFS(diff_ids=(*base.config.diff_ids, *(layer.diff_id for layer, _ in layers))),
        history=(*_history(base.config), *(step for _, step in layers)),
    )
    stored = write_document(sink, media.OCI_CONFIG, config.encoded())
    stack = (*map(as_oci, base.manifest.stack), *(layer.blob for layer, _ in layers))
    manifest = Manifest.of(stored, stack, dict(annotations))
    written = write_document(sink, media.OCI_MANIFEST, manifest.encoded())
    return msgspec.structs.replace(written, platform=PlatformDocument.of(platform))


def described(image: Image) -> Descriptor:
    """Describe an image of one platform for an index."""
    return msgspec.structs.replace(image.descriptor, platform=PlatformDocument.of(image.platform))


def assemble_index(manifests: Iterable[Descriptor], *, annotations: Mapping[str, str], sink: BlobSink) -> Descriptor:
    """Store one index over manifests that are in the store already, in the order they come."""
    return write_document(sink, media.OCI_INDEX, Index.of(tuple(manifests), dict(annotations)).encoded())


def merge(base: RuntimeConfig, changes: RuntimeConfig) -> RuntimeConfig:
    """Put changes over a base's settings; see `assemble`.

    ONBUILD triggers are meant for one build, this one, so none stays.
    """
    replaced = changes.entrypoint is not None
    return RuntimeConfig(
        user=changes.user or base.user,
        exposed_ports=_union(base.exposed_ports, changes.exposed_ports),
        env=_environment(base, changes),
        entrypoint=changes.entrypoint if replaced else base.entrypoint,
        cmd=changes.cmd if replaced or changes.cmd is not None else base.cmd,
        volumes=_union(base.volumes, changes.volumes),
        working_dir=changes.working_dir or base.working_dir,
        labels=_union(base.labels, changes.labels),
        stop_signal=changes.stop_signal or base.stop_signal,
        args_escaped=base.args_escaped and not replaced,
        healthcheck=changes.healthcheck or base.healthcheck,
        on_build=changes.on_build,
        shell=changes.shell or base.shell,
    )


def _check_platform(base: Image, platform: Platform) -> None:
    if (base.platform.os, base.platform.architecture) != (platform.os, platform.architecture):
        raise InvalidUsage(
            f"base {base.descriptor.digest}: its platform is {base.platform}, but the image's is {platform}",
            hint=f"choose a base that has {platform}",
        )


def _environment(base: RuntimeConfig, changes: RuntimeConfig) -> tuple[str, ...] | None:
    merged = {**base.environment, **changes.environment}
    return tuple(f"{name}={value}" for name, value in merged.items()) or None


def _union(base: dict[str, T] | None, changes: dict[str, T] | None) -> dict[str, T] | None:
    return {**(base or {}), **(changes or {})} or None


def _history(base: ImageConfig) -> tuple[History, ...]:
    """Give the base's history, with an entry for each layer even where it was not recorded."""
    recorded = base.history or ()
    missing = len(base.diff_ids) - sum(not step.empty_layer for step in recorded)
    if missing < 0:
        recorded, missing = (), len(base.diff_ids)
    unknown = History(created=base.created, comment="a layer of the base, whose history does not tell of it")
    return (*(unknown for _ in range(missing)), *recorded)


def as_oci(layer: Descriptor) -> Descriptor:
    """Give a layer the name that OCI has for what it is."""
    return msgspec.structs.replace(layer, media_type=_OCI_TYPE.get(layer.media_type, layer.media_type))
