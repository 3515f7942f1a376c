"""Where images go once they are built: outputs, registries, a daemon, files with their digests."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from wherry.cli.requests import Asked
from wherry.cli.world import World
from wherry.oci.descriptor import Descriptor
from wherry.pipeline import Report
from wherry.report.progress import Progress
from wherry.settings.outputs import Output, OutputType

if TYPE_CHECKING:
    from wherry.image.export import Form


def deliver(world: World, asked: Asked, report: Report, progress: Progress) -> None:
    """Put what was built where it shall go.

    Raises:
        WherryError: whatever stopped it; the images are in the store.
    """
    images = [(image, [built.image for built in image.platforms]) for image in report.images]
    if asked.load or any(output.loads for output in asked.outputs):
        _load(world, progress, {name: image.root for image in report.images for name in image.request.names})
    if asked.push:
        _push(world, progress, {name: image.root for image in report.images for name in image.request.names})
    for output in asked.outputs:
        if output.loads:
            continue
        if output.type is OutputType.IMAGE:
            _store_or_push(world, output, report, progress)
            continue
        from wherry.image.export import export

        roots = {name: image.root for image in report.images for name in output.names or image.request.names}
        place = world.binary_out if output.stdout else world.cwd / output.dest
        lost = export(_form(output), roots, world.store, place, tar=output.tar, split=output.platform_split)
        for line in lost:
            progress.warn(line)
        progress.line(f"wrote {output.type} to {'stdout' if output.stdout else output.dest}")
    if asked.metadata_file:
        from wherry.image.metadata import metadata_of, write_metadata

        described = {
            image.request.package.name: metadata_of(image.root, within, image.request.names) for image, within in images
        }
        write_metadata(asked.metadata_file, described if len(described) > 1 else next(iter(described.values())))
    if asked.iidfile:
        from wherry.image.metadata import write_image_id

        for image, within in images:
            write_image_id(asked.iidfile, image.root, within)


def _form(output: Output) -> "Form":
    return cast("Form", output.type.value)


def _push(world: World, progress: Progress, images: Mapping[str, Descriptor]) -> None:
    from wherry.cli.shipping import push

    push(world, progress, world.store, images)


def _load(world: World, progress: Progress, images: Mapping[str, Descriptor]) -> None:
    from wherry.cli.network import docker_config
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


def _store_or_push(world: World, output: Output, report: Report, progress: Progress) -> None:
    images = {name: image.root for image in report.images for name in output.names or image.request.names}
    for name, root in images.items():
        world.store.tag(name, root)
    if output.push:
        _push(world, progress, images)
