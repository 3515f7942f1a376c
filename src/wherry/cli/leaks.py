"""`wherry leaks SUBJECT`: what a program tells that it need not."""

import json

import click

from wherry.cli.complete import images, platforms
from wherry.cli.world import World


@click.command("leaks")
@click.argument("subject", metavar="IMAGE|BINARY", shell_complete=images)
@click.option(
    "--platform", metavar="PLATFORM", help="Of an image with several: only this one.", shell_complete=platforms
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="SEVERITY|RULE",
    help="Exit 1 where there is a finding of this rule, or as bad as this: error, warning or note.",
)
@click.option("--find", "wanted", multiple=True, metavar="TEXT", help="Look for TEXT too, such as a host's name.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the findings as JSON; docs/reference/leaks.md has the schema."
)
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
    """Find what a program tells of the machine that built it: paths, flags, values, secrets.

    It looks into build info, Go's table of files, DWARF, the dynamic section and all strings; of an image also into
    labels, annotations, environment, history and commands. Each finding says where it is, what put it there and what
    to do. Secrets are never printed whole.
    """
    from wherry.app.leaks import check_words, leaks, matching
    from wherry.report.leaks import document, lines_of

    check_words(fail_on)
    found = leaks(world, subject, platform=platform, find=wanted, hashed=as_json)
    if as_json:
        world.say(json.dumps(document(subject, found), indent=2))
    else:
        for place, one in enumerate(found):
            for line in ("", *lines_of(one)) if place else lines_of(one):
                world.say(line)
    return int(any(matching(found, fail_on)))
