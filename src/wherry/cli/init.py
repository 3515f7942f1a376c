"""`wherry init`: a wherry.toml from what is here."""

import click

from wherry.cli.world import World


@click.command("init")
@click.option("--force", is_flag=True, help="Write over a wherry.toml that is there.")
@click.option("--stdout", "show", is_flag=True, help="Print it; write nothing.")
@click.pass_obj
def command(world: World, /, *, force: bool, show: bool) -> None:
    """Write a wherry.toml: a service for each main package of the module here, and what .ko.yaml says of it."""
    from wherry.cli.initial import found_here, written
    from wherry.errors import CannotWrite
    from wherry.settings.wherry_toml import FILE, Settings
    from wherry.store.files import replacing

    found = found_here(world)
    text = written(found)
    Settings.parse(text)
    if show:
        world.stdout.write(text)
        return
    file = found.module / FILE
    if file.exists() and not force:
        raise CannotWrite(
            f"{file}: is there already", hint="look at what would be written with --stdout, or use --force"
        )
    with replacing(file) as out:
        out.write(text.encode())
    for service in found.services:
        world.say(f"{service.name}  {service.package}")
    for notice in found.notices:
        world.note(notice)
    world.note(f"wrote {file}; `wherry build` makes all of them")
