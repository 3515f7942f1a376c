"""`wherry verify-platforms IMAGE`: check that the platforms of an image are the same program with the same files."""

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("verify-platforms", cls=GroupedCommand)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.option(
    "--run/--no-run",
    "run",
    default=True,
    show_default=True,
    help="Run each platform once where this machine can, in the sandbox without network; qemu-user for others.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(world: World, /, *, image: str, run: bool, as_json: bool) -> int:
    """Check that all platforms of IMAGE have the same module, version, build settings, files and config.

    Every program must be built for its platform. Each platform is run once with its own command, where this machine
    can, and must end as the others do; those that cannot be run are listed. Exit codes: 0 the platforms agree, 1 they
    do not.
    """
    from wherry.app.verify_platforms import verify_platforms

    document = verify_platforms(world, image, run=run, notice=world.note)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode(document).decode())
        return 1 if document.findings else 0
    from wherry.report.terminal import printable

    for one in document.platforms:
        programs = ", ".join(f"{program.path} {program.module} {program.go}".strip() for program in one.programs)
        world.say(printable(f"{one.platform}  {programs or 'no programs'}"))
        if one.run:
            world.say(printable(f"  {one.run.text}"))
    for finding in document.findings:
        world.say(printable(f"{finding.place}: {finding.message} ({finding.rule})"))
        for line in finding.evidence:
            world.say(printable(f"  {line}"))
        if finding.remedy:
            world.say(printable(f"  {finding.remedy}"))
    if not document.findings:
        count = len(document.platforms)
        world.say(f"{count} platforms agree" if count > 1 else "1 platform: there is no other to compare it with")
    return 1 if document.findings else 0
