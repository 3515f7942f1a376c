"""`wherry leaks SUBJECT`: what a program tells that it need not."""

import difflib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from wherry.cli.complete import images, platforms
from wherry.cli.world import World
from wherry.errors import InvalidUsage
from wherry.finding import Finding, Severity

if TYPE_CHECKING:
    from wherry.report.leaks import Told


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
    from wherry.analysis.leaks import leaks_of
    from wherry.analysis.mapped import map_file
    from wherry.app.subjects import NoProgram, documents_of, subjects
    from wherry.report.leaks import Told, document, lines_of

    _check(fail_on, wanted)
    told = [Told(one, leaks) for one, leaks in documents_of(world, subject, platform)]
    try:
        with subjects(world, subject, platform=platform, hashed=as_json) as found:
            told += [Told(one, leaks_of(map_file(one.file, one.name), one.name, wanted)) for one in found]
    except NoProgram:
        if not told:
            raise
    if as_json:
        world.say(json.dumps(document(subject, told), indent=2))
    else:
        for place, one in enumerate(told):
            for line in ("", *lines_of(one)) if place else lines_of(one):
                world.say(line)
    return int(_fails(told, fail_on))


def _check(fail_on: Sequence[str], wanted: Sequence[str]) -> None:
    from wherry.analysis.leaks import RULE_NAMES

    known = (*Severity, *RULE_NAMES)
    for word in fail_on:
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1) or ["error"]
            raise InvalidUsage(f"--fail-on {word}: neither a severity nor a rule", hint=f"did you mean {near[0]}?")
    if any(len(text) < _SHORTEST for text in wanted):
        raise InvalidUsage("--find: a text of fewer than 4 letters is everywhere", hint="name a longer one")


_SHORTEST = 4


def _fails(told: "Sequence[Told]", fail_on: Sequence[str]) -> bool:
    return any(_named(finding, word) for one in told for finding in one.leaks.findings for word in fail_on)


def _named(finding: Finding, word: str) -> bool:
    order = list(Severity)
    bad = word in order and order.index(finding.severity) >= order.index(Severity(word))
    return bad or finding.rule == word
