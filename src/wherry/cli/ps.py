"""`wherry ps`: list containers."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("ps", cls=GroupedCommand)
@click.option("-a", "--all", "every", is_flag=True, help="List those that ended, too.")
@click.option("-q", "--quiet", is_flag=True, help="Print IDs only.")
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(world: World, /, *, every: bool, quiet: bool, as_json: bool) -> None:
    """List the containers of this user and store that run.

    A container in the foreground is listed while it runs; one started with -d is kept until `wherry stop --rm`, unless
    it was started with --rm.
    """
    from wherry.app.running import list_containers

    found = list_containers(world, ended=every)
    if as_json:
        import msgspec

        from wherry.app.container_listing import ContainerList

        document = msgspec.json.encode(ContainerList(containers=found.containers))
        world.say(msgspec.json.format(document, indent=2).decode())
    elif quiet:
        for one in found.containers:
            world.say(one.id)
    elif found.containers:
        from wherry.report.containers import container_rows
        from wherry.report.terminal import table

        for line in table(list(container_rows(found.containers))):
            world.say(line)
    for problem in found.damaged:
        world.note(f"left out: {problem.message}; {problem.hint}")
    if not (found.containers or as_json or quiet):
        world.note("no containers run; `wherry ps -a` lists those that ended" if not every else "no containers")
