"""`wherry deps IMAGE|BINARY`: what programs need at run time."""

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("deps", cls=GroupedCommand)
@click.argument("name", metavar="IMAGE|BINARY", shell_complete=images)
@click.option("--platform", metavar="PLATFORM", help="Check only this platform.", shell_complete=platforms)
@click.option("--all", "every", is_flag=True, help="Show also the programs that lack nothing.")
@click.option(
    "--fail-on",
    multiple=True,
    metavar="SEVERITY|RULE",
    help="Exit 1 on a finding of this rule or severity (error, warning, note). [default: error]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole document; `wherry help deps` has its schema.")
@click.pass_obj
def command(
    world: World, /, *, name: str, platform: str | None, every: bool, fail_on: tuple[str, ...], as_json: bool
) -> int:
    """Show what programs need at run time, and whether it is there. Nothing is run.

    For each executable of an image: the interpreter, all libraries as the dynamic linker of glibc or musl finds them
    in the image, symbol versions, and what starts a script. For Go programs: the files that linked packages can ask
    for, such as certificates and time zones, and the smallest of wherry's bases that has them.

    A BINARY is checked against the files of this machine. Exits 1 where a program cannot be loaded.
    """
    from wherry.app.deps import deps, failures

    document = deps(world, name, platform=platform)
    broken = failures(document, fail_on)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode(document).decode())
    else:
        from wherry.report.deps import lines_of

        for line in lines_of(document, every=every):
            world.say(line)
    return 1 if broken else 0
