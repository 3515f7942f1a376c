"""Where images go once they are built: outputs, registries, a daemon, files with their digests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from wherry.app.progress import Progress
from wherry.cli.world import World
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.settings.outputs import Output, OutputType

if TYPE_CHECKING:
    from wherry.image.export import Form


class Delivered(Protocol):
    """An image that was built."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its tags."""

    @property
    def title(self) -> str:
        """What it is called among others."""

    @property
    def root(self) -> Descriptor:
        """Of the manifest, or of the index."""

    @property
    def images(self) -> tuple[Image, ...]:
        """One for each platform."""


class Wanted(Protocol):
    """Where a user wants images."""

    @property
    def load(self) -> bool:
        """Whether a daemon gets them."""

    @property
    def push(self) -> bool:
        """Whether registries do."""

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Files, folders and more."""

    @property
    def metadata_file(self) -> Path | None:
        """What is written about them."""

    @property
    def iidfile(self) -> Path | None:
        """Where the image's id is written."""


def deliver(world: World, wanted: Wanted, images: Sequence[Delivered], progress: Progress) -> None:
    """Put what was built where it shall go.

    Raises:
        WherryError: whatever stopped it; the images are in the store.
    """
    named = {name: image.root for image in images for name in image.names}
    if wanted.load or any(output.loads for output in wanted.outputs):
        _load(world, progress, named)
    if wanted.push:
        _push(world, progress, named)
    for output in wanted.outputs:
        if output.loads:
            continue
        if output.type is OutputType.IMAGE:
            _store_or_push(world, output, images, progress)
            continue
        from wherry.image.export import export

        roots = {name: image.root for image in images for name in output.names or image.names}
        place = world.binary_out if output.stdout else world.cwd / output.dest
        lost = export(_form(output), roots, world.store, place, tar=output.tar, split=output.platform_split)
        for line in lost:
            progress.warn(line)
        progress.line(f"wrote {output.type} to {'stdout' if output.stdout else output.dest}")
    if wanted.metadata_file:
        from wherry.image.metadata import metadata_of, write_metadata

        described = {image.title: metadata_of(image.root, image.images, image.names) for image in images}
        write_metadata(wanted.metadata_file, described if len(described) > 1 else next(iter(described.values())))
    if wanted.iidfile:
        from wherry.image.metadata import write_image_id

        for image in images:
            write_image_id(wanted.iidfile, image.root, image.images)


def _form(output: Output) -> "Form":
    return cast("Form", output.type.value)


def _push(world: World, progress: Progress, images: Mapping[str, Descriptor]) -> None:
    from wherry.app.transfer import push_roots

    push_roots(world, world.store, images, progress)


def _load(world: World, progress: Progress, images: Mapping[str, Descriptor]) -> None:
    from wherry.app.network import docker_config
    from wherry.daemon.find import find_daemon
    from wherry.daemon.give import give
    from wherry.host.kernel import Kernel

    daemon = find_daemon(world.runner, world.environment, docker_config(world).parent)
    with progress.step(f"load into {daemon.name}") as step:
        for given in give(daemon, world.store, images, Kernel.of_host().platform):
            for notice in given.notices:
                progress.line(notice)
            step.detail(given.names[0])
        step.done(", ".join(images))


def _store_or_push(world: World, output: Output, built: Sequence[Delivered], progress: Progress) -> None:
    images = {name: image.root for image in built for name in output.names or image.names}
    for name, root in images.items():
        world.store.tag(name, root)
    if output.push:
        _push(world, progress, images)
