"""`wherry logout [REGISTRY]`: forget who we are to a registry."""

import click

from wherry.cli.world import World


@click.command("logout")
@click.argument("registry", default="docker.io")
@click.pass_obj
def command(world: World, /, *, registry: str) -> None:
    """Take REGISTRY's entry, by default Docker Hub's, out of Docker's config and out of the helper that it names."""
    from wherry.app.credentials import forget, registry_named

    registry = registry_named(registry)
    found = forget(world, registry)
    world.note(f"logged out of {registry}" if found else f"not logged in to {registry}")
