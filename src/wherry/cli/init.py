"""`wherry init`: a wherry.toml from what is here."""

import click

from wherry.cli.world import World


@click.command("init")
@click.option("--force", is_flag=True, help="Write over a wherry.toml that is there.")
@click.option("--stdout", "show", is_flag=True, help="Print it; write nothing.")
@click.pass_obj
def command(world: World, /, *, force: bool, show: bool) -> None:
    """Write a wherry.toml: a service for each main package of the module here, and what .ko.yaml says of it."""
    from wherry.app.init import found_here, init, written

    if show:
        world.stdout.write(written(found_here(world)))
        return
    file, found = init(world, force=force)
    for service in found.services:
        world.say(f"{service.name}  {service.package}")
    for notice in found.notices:
        world.note(notice)
    world.note(f"wrote {file}; `wherry build` makes all of them")
