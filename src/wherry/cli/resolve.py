"""`wherry resolve -f FILE…`: Kubernetes manifests whose references to programs are images that were pushed."""

import click

from wherry.cli.options import HOW, MANIFESTS, NAMING, with_options
from wherry.cli.world import World


@click.command("resolve")
@with_options(MANIFESTS, NAMING, HOW)
@click.pass_obj
def command(world: World, /, **options: object) -> None:
    """Build and push what manifests name as wherry://./cmd/api or ko://IMPORT/PATH; print them with images.

    wherry://SERVICE is one of wherry.toml, wherry://PACKAGE@VERSION a published program. All else in the files,
    comments included, stays as it is. Each program is built once, whatever the number of places that name it.
    """
    from wherry.cli.kubectl import resolved

    names = options.pop("files")
    assert isinstance(names, tuple)  # noqa: S101 - the option is one that repeats
    world.stdout.write(resolved(world, names, options))
