"""`wherry leaks SUBJECT`: find build data embedded in a program or image."""

import json

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("leaks", cls=GroupedCommand)
@click.argument("subject", metavar="IMAGE|BINARY", shell_complete=images)
@click.option("--platform", metavar="PLATFORM", help="Check only this platform.", shell_complete=platforms)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="SEVERITY|RULE",
    help="Exit 1 on a finding of this rule, or of at least this severity: error, warning or note.",
)
@click.option("--find", "wanted", multiple=True, metavar="TEXT", help="Also search for TEXT, such as a host name.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON; `wherry help leaks` has the schema.")
@click.pass_obj
def command(
    world: World,
    /,
    *,
    subject: str,
    platform: str | None,
    fail_on: tuple[str, ...],
    wanted: tuple[str, ...],
    as_json: bool,
) -> int:
    """Find data of the build machine in a program or image: paths, flags, values, secrets.

    Searches build info, Go's file table, DWARF, the dynamic section and all strings; in images also labels,
    annotations, environment, history and commands. Each finding names its place, its cause and a remedy. Secrets are
    never printed in full.
    """
    from wherry.app.leaks import check_words, leaks, matching
    from wherry.report.leaks import document, lines_of

    check_words(fail_on)
    found = leaks(world, subject, platform=platform, find=wanted, hashed=as_json)
    if as_json:
        world.say(json.dumps(document(subject, found), indent=2))
    else:
        for place, one in enumerate(found):
            world.show(("", *lines_of(one)) if place else lines_of(one))
    return int(any(matching(found, fail_on)))
