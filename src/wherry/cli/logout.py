"""`wherry logout [REGISTRY]`: remove the credentials of a registry."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("logout", cls=GroupedCommand)
@click.argument("registry", default="docker.io")
@click.pass_obj
def command(world: World, /, *, registry: str) -> None:
    """Remove the entry of REGISTRY (default: Docker Hub) from Docker's config and its credential helper."""
    from wherry.app.credentials import forget, registry_named

    registry = registry_named(registry)
    found = forget(world, registry)
    world.note(f"logged out of {registry}" if found else f"not logged in to {registry}")
