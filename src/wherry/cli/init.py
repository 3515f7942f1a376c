"""`wherry init`: write a wherry.toml for the current module."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("init", cls=GroupedCommand)
@click.option("--force", is_flag=True, help="Overwrite an existing wherry.toml.")
@click.option("--stdout", "show", is_flag=True, help="Print it instead of writing a file.")
@click.pass_obj
def command(world: World, /, *, force: bool, show: bool) -> None:
    """Write a wherry.toml with a service for each main package of the current module, and the settings of .ko.yaml."""
    from wherry.app.init import found_here, init, written

    if show:
        found = found_here(world)
        world.stdout.write(written(found))
        for notice in found.notices:
            world.note(notice)
        return
    file, found = init(world, force=force)
    for service in found.services:
        world.say(f"{service.name}  {service.package}")
    for notice in found.notices:
        world.note(notice)
    world.note(f"wrote {file}; `wherry build` builds all of them")
