"""`wherry resolve -f FILE…`: print Kubernetes manifests with image digests."""

import click

from wherry.cli.ko_words import KO, KoCommand
from wherry.cli.options import HOW, MANIFESTS, NAMING, with_options
from wherry.cli.world import World


@click.command("resolve", cls=KoCommand)
@with_options(MANIFESTS, NAMING, KO, HOW)
@click.pass_obj
def command(world: World, /, **options: object) -> None:
    """Build and push what manifests reference as wherry://./cmd/api or ko://IMPORT/PATH; print them with image digests.

    wherry://SERVICE is a service of wherry.toml, wherry://PACKAGE@VERSION a published program. Everything else in the
    files, including comments, is unchanged. Each program is built once, however often it is referenced.
    """
    from wherry.cli.kubectl import resolved

    names = options.pop("files")
    assert isinstance(names, tuple)  # noqa: S101 - the option is one that repeats
    world.stdout.write(resolved(world, names, options, keep=True))
