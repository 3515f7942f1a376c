"""`wherry apply -f FILE… -- KUBECTL FLAGS`: `wherry resolve`, piped to `kubectl apply`."""

import click

from wherry.cli.ko_words import KO, KoCommand
from wherry.cli.options import HOW, MANIFESTS, NAMING, with_options
from wherry.cli.world import World


@click.command("apply", cls=KoCommand)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED, metavar="[-- KUBECTL FLAGS]")
@with_options(MANIFESTS, NAMING, KO, HOW)
@click.pass_obj
def command(world: World, /, flags: tuple[str, ...], **options: object) -> int:
    """Build and push the Go packages that manifests reference, and pass the manifests to `kubectl apply -f -`.

    Arguments after -- are passed to kubectl. Exits with kubectl's exit code.
    """
    from wherry.cli.kubectl import hand_over

    return hand_over(world, "apply", flags, options)
