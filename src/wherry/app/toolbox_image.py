"""The toolbox as an image of one layer, pushed next to the image of a pod: no other registry is needed."""

from typing import TYPE_CHECKING

from wherry.errors import InvalidUsage

if TYPE_CHECKING:
    from wherry.app.session import Session
    from wherry.layer.entry import Entry
    from wherry.oci.descriptor import Descriptor
    from wherry.runtime.debug.shell import DebugTools


def pushed_toolbox(session: "Session", tools: "DebugTools", image: str) -> str:
    """Push the toolbox to the repository of an image; give its reference, by digest.

    Args:
        session: who the user is at the registry.
        tools: a program that is many.
        image: the pod's, as it is written there.

    Raises:
        AccessDenied, RegistryError: the registry does not take it.
    """
    from wherry.app.progress import Silent
    from wherry.app.transfer import push_roots
    from wherry.oci.reference import Reference

    reference = Reference.parse(image)
    with session.store.writing():
        root = _written(session, tools)
    name = f"{reference.name}:wherry-toolbox-{root.digest.partition(':')[2][:12]}"
    push_roots(session, session.store, {name: root}, Silent())
    return f"{reference.name}@{root.digest}"


def expected_image(image: str) -> str:
    """Say where the toolbox would be pushed to; nothing is."""
    from wherry.oci.reference import Reference

    return f"{Reference.parse(image).name}:wherry-toolbox"


def _written(session: "Session", tools: "DebugTools") -> "Descriptor":
    """Store the image: the same toolbox gives the same digest."""
    from wherry.host.kernel import Kernel
    from wherry.layer.compress import Encoding, pack
    from wherry.oci import media
    from wherry.oci.config import ImageConfig, RootFS, RuntimeConfig
    from wherry.oci.manifest import Manifest
    from wherry.store.contract import write_document

    platform = Kernel.of_host().platform
    layer = pack(_entries(tools), Encoding.default(), session.store)
    config = ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        config=RuntimeConfig(entrypoint=("/bin/sh",), env=("PATH=/bin",)),
        rootfs=RootFS(diff_ids=(layer.diff_id,)),
    )
    stored = write_document(session.store, media.OCI_CONFIG, config.encoded())
    return write_document(session.store, media.OCI_MANIFEST, Manifest.of(stored, (layer.blob,)).encoded())


def _entries(tools: "DebugTools") -> "list[Entry]":
    from wherry.layer.entry import Entry, EntryKind, FileContent, with_parents

    program = tools.program
    if program is None or "sh" not in tools.names:
        raise InvalidUsage(
            "--toolbox: a pod takes an image of a registry, or busybox",
            hint="push an image with a shell at /bin/sh, and name it: --toolbox REGISTRY/NAME:TAG",
        )
    file = Entry(
        path="bin/busybox", kind=EntryKind.FILE, mode=0o755, size=program.stat().st_size, content=FileContent(program)
    )
    names = sorted(set(tools.names) - {"busybox"})
    links = [Entry(path=f"bin/{name}", kind=EntryKind.SYMLINK, mode=0o777, target="busybox") for name in names]
    return list(with_parents(sorted([file, *links], key=lambda one: one.path)))
