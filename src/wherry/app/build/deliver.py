"""Deliver images that are built: to outputs, registries, a daemon, files with their digests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, cast

from wherry.app.build.options import CommonOptions
from wherry.app.build.result import BuiltImage, names_and_roots
from wherry.app.progress import Progress
from wherry.app.session import Session
from wherry.errors import InvalidUsage
from wherry.oci.descriptor import Descriptor
from wherry.oci.reference import Reference
from wherry.platform import Platform
from wherry.settings.outputs import Output, OutputType

if TYPE_CHECKING:
    from wherry.image.export import Form


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Where a user wants images."""

    outputs: tuple[Output, ...] = ()
    metadata_file: Path | None = None
    iidfile: Path | None = None
    image_refs: Path | None = None
    tag_only: bool = False
    push: bool = False
    """Whether registries get them under their names."""
    load: bool = False
    """Whether a local daemon gets them."""

    @classmethod
    def of(cls, folder: Path, wanted: CommonOptions) -> Self:
        """Read what options say of it; paths start at a folder."""
        return cls(
            outputs=wanted.outputs,
            metadata_file=folder / wanted.metadata_file if wanted.metadata_file else None,
            iidfile=folder / wanted.iidfile if wanted.iidfile else None,
            image_refs=folder / wanted.image_refs if wanted.image_refs else None,
            tag_only=wanted.tag_only,
            push=bool(wanted.push),
            load=wanted.load,
        )

    @property
    def stdout(self) -> bool:
        """Whether an output goes to standard output, where nothing else may be printed then."""
        return any(output.stdout for output in self.outputs)


def check_names(session: Session, names: Sequence[str], delivery: Delivery, *, insecure: bool) -> None:
    """Refuse names that can't be pushed before anything is built; let those of `--insecure` be insecure.

    Raises:
        InvalidUsage: a name has no registry.
    """
    from wherry.app.places import pushable

    pushed = list(names) if delivery.push else []
    for output in delivery.outputs:
        if output.push:
            pushed += output.names or names
        if output.insecure:
            session.insecure |= {Reference.parse(name).registry for name in output.names}
    for name in pushed:
        reference = pushable(name)
        if insecure:
            session.insecure.add(reference.registry)


def check_platforms(platforms: Sequence[Platform], outputs: Sequence[Output]) -> None:
    """Refuse an archive for Docker of several platforms.

    Raises:
        InvalidUsage: one is asked for.
    """
    if len(platforms) > 1 and any(output.type is OutputType.DOCKER and output.dest for output in outputs):
        raise InvalidUsage(
            f"a docker archive holds one platform, but {', '.join(map(str, platforms))} were requested",
            hint="use type=oci, or build one platform with --platform",
        )


def deliver(
    session: Session,
    wanted: Delivery,
    images: Sequence[BuiltImage],
    progress: Progress,
    stdout: Callable[[], IO[bytes]],
) -> None:
    """Put what was built where it is wanted.

    Raises:
        WherryError: whatever stopped it; the images are in the store.
    """
    named = names_and_roots(images)
    if wanted.load or any(output.loads for output in wanted.outputs):
        _load(session, progress, named)
    if wanted.push:
        _push(session, progress, named)
    for output in wanted.outputs:
        if output.loads:
            continue
        if output.type is OutputType.IMAGE:
            _store_or_push(session, output, images, progress)
            continue
        from wherry.image.export import export

        roots = {name: image.root for image in images for name in output.names or image.names}
        place = stdout() if output.stdout else session.cwd / output.dest
        lost = export(_form(output), roots, session.store, place, tar=output.tar, split=output.platform_split)
        for line in lost:
            progress.warn(line)
        progress.line(f"wrote {output.type} to {'stdout' if output.stdout else output.dest}")
    _describe(wanted, images)


def _describe(wanted: Delivery, images: Sequence[BuiltImage]) -> None:
    """Write the files that say what was built."""
    if wanted.metadata_file:
        from wherry.image.metadata import metadata_of, write_metadata

        described = {image.title: metadata_of(image.root, image.images, image.names) for image in images}
        write_metadata(wanted.metadata_file, described if len(described) > 1 else next(iter(described.values())))
    if wanted.image_refs:
        from wherry.store.files import replacing

        lines = [f"{published_reference(image, tag_only=wanted.tag_only)}\n" for image in images]
        with replacing(wanted.image_refs) as file:
            file.write("".join(lines).encode())
    if wanted.iidfile:
        from wherry.image.metadata import write_image_id

        for image in images:
            write_image_id(wanted.iidfile, image.root, image.images)


def published_reference(image: BuiltImage, *, tag_only: bool = False) -> str:
    """Write an image as a manifest names it: a tag that says nothing is left out, unless nothing else is there.

    Args:
        image: which.
        tag_only: whether the digest is left out.
    """
    reference = Reference.parse(image.names[0])
    if tag_only:
        return f"{reference.name}:{reference.tag}"
    tag = f":{reference.tag}" if reference.tag != "latest" else ""
    return f"{reference.name}{tag}@{image.root.digest}"


def _form(output: Output) -> "Form":
    return cast("Form", output.type.value)


def _push(session: Session, progress: Progress, images: Mapping[str, Descriptor]) -> None:
    from wherry.app.transfer import push_roots

    push_roots(session, session.store, images, progress)


def _load(session: Session, progress: Progress, images: Mapping[str, Descriptor]) -> None:
    from wherry.app.network import docker_config
    from wherry.daemon.find import find_daemon
    from wherry.daemon.give import give
    from wherry.host.kernel import Kernel

    daemon = find_daemon(session.runner, session.environment, docker_config(session).parent)
    with progress.step(f"load into {daemon.name}") as step:
        for given in give(daemon, session.store, images, Kernel.of_host().platform):
            for notice in given.notices:
                progress.line(notice)
            step.detail(given.names[0])
        step.done(", ".join(images))


def _store_or_push(session: Session, output: Output, built: Sequence[BuiltImage], progress: Progress) -> None:
    images = {name: image.root for image in built for name in output.names or image.names}
    for name, root in images.items():
        session.store.tag(name, root)
    if output.push:
        _push(session, progress, images)
