"""`wherry scan TARGET`: known holes of an image, a program or a go.mod, with evidence."""

import json

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World

_FORMATS = ("text", "json", "sarif", "cyclonedx", "openvex", "markdown")
_DATED = ("cyclonedx", "openvex")
"""Forms that name the moment at which they were made."""
_UNSCANNED = 5


@click.command("scan", cls=GroupedCommand)
@click.argument("target", required=False, metavar="[IMAGE|BINARY|go.mod]", shell_complete=images)
@click.option(
    "--db",
    "databases",
    multiple=True,
    metavar="DIR|FILE|URL",
    help="Vulnerability data (OSV): a directory, an archive or a mirror. [default: $GOVULNDB, or https://vuln.go.dev]",
)
@click.option("--update", is_flag=True, help="Fetch the database of the mirror, if it has changed.")
@click.option("--offline", is_flag=True, help="Do not fetch a database; exit 4 if none is on this machine.")
@click.option("--platform", metavar="PLATFORM", help="Scan only this platform.", shell_complete=platforms)
@click.option(
    "--source",
    metavar="DIR",
    help="Directory of the module's source: show call paths and lines of go.mod; links the program once.",
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="LEVEL|SEVERITY|ID",
    help="Exit 1 on a finding with at least this evidence (module, package, symbol) or severity (low, medium, high, "
    "critical), on any, or on this id.",
)
@click.option("--reviewed-only", is_flag=True, help="Let entries that are not reviewed never fail the scan.")
@click.option("--ignore", metavar="FILE", help="File of findings to ignore, each with a reason and an expiry date.")
@click.option("--fix", is_flag=True, help="Upgrade modules with findings in go.mod by `go get`, and show the change.")
@click.option("--all", "everything", is_flag=True, help="Also describe findings in code that is not linked.")
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True, help="How to print findings."
)
@click.option("--json", "as_json", is_flag=True, help="Same as --format json; `wherry help scan` has the schema.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    target: str | None,
    databases: tuple[str, ...],
    update: bool,
    offline: bool,
    platform: str | None,
    source: str | None,
    fail_on: tuple[str, ...],
    reviewed_only: bool,
    ignore: str | None,
    fix: bool,
    everything: bool,
    form: str,
    as_json: bool,
) -> int:
    """Find known vulnerabilities in an image, a Go binary or a go.mod, with evidence for each.

    The evidence has three levels: the module is required, a vulnerable package is linked, a vulnerable function is
    linked. Functions are read from the binary's own table, so stripped binaries give the same answer. Exits 4 without a
    database, and 5 if a program cannot be scanned, such as a packed one: neither means "no findings".
    """
    from wherry.app.scan import check_words, failing, scan
    from wherry.errors import InvalidUsage

    began = world.clock()
    world.kept = []
    check_words(fail_on)
    if update:
        from wherry.app.vulnerability_mirror import update as updated

        if offline:
            raise InvalidUsage("--update needs a network", hint="leave out --offline")
        for name in databases or ("",):
            updated(world, name)
        world.note("the database is up to date")
        if target is None:
            return 0
    if target is None:
        raise click.UsageError("Missing argument 'IMAGE|BINARY|go.mod'; or give --update.")
    form = "json" if as_json else form
    found = scan(world, target, databases=databases, platform=platform, offline=offline, ignore=ignore, source=source)
    from wherry.app.history_record import record_scan

    world.replayed = record_scan(world, found, began=began) or world.replayed
    _show(world, found, form, everything=everything)
    if fix and not _fix(world, found, source):
        return 1
    if failing(found, fail_on, reviewed_only=reviewed_only):
        return 1
    if found.unscanned:
        return _UNSCANNED
    if not fix and source is None and (form not in _DATED or world.environment.get("SOURCE_DATE_EPOCH")):
        from wherry.cli.replay_scan import remember_scan

        remember_scan(world, found, began=began, ignore=ignore, as_json=form == "json")
    return 0


def _show(world: World, found: "object", form: str, *, everything: bool) -> None:
    from wherry.app.scan_result import Scan
    from wherry.report import scan as report

    assert isinstance(found, Scan)  # noqa: S101 - what the caller made
    match form:
        case "text":
            world.show(report.lines_of(found, everything=everything))
        case "json":
            world.say(json.dumps(report.document(found), indent=2))
        case "markdown":
            for line in report.markdown(found):
                world.say(line)
        case _:
            from wherry import __version__
            from wherry.report.scan_documents import cyclonedx, openvex, sarif
            from wherry.settings.values import parse_epoch

            epoch = parse_epoch(world.environment.get("SOURCE_DATE_EPOCH", "")) or int(world.clock())
            made = {"sarif": sarif, "cyclonedx": cyclonedx, "openvex": openvex}[form](found, __version__, epoch)
            world.say(json.dumps(made, indent=2))


def _fix(world: World, found: "object", source: str | None) -> bool:
    """Upgrade what can be; report whether nothing failed."""
    from wherry.app.scan_result import Scan
    from wherry.app.scan_source import fix
    from wherry.app.scan_upgrades import upgrades

    assert isinstance(found, Scan)  # noqa: S101 - what the caller made
    at_go_mod = [subject.path for subject in found.subjects if subject.kind == "go.mod"]
    folder = (world.cwd / at_go_mod[0]).parent if at_go_mod else world.cwd / (source or ".")
    done = fix(world, folder, upgrades(hole for _, hole in found.holes()))
    for line in done.diff:
        world.note(line)
    for one in done.upgrades:
        world.note(f"{one.command}: {', '.join(one.holes)}")
    for one, words in done.failed:
        world.note(f"{one.command} failed: {words}")
    if not done.upgrades and not done.failed:
        world.note("nothing to upgrade: no finding has a fixed version")
    if done.upgrades and (folder / "vendor" / "modules.txt").is_file():
        world.note("vendor/ has the old versions: run `go mod vendor`")
    return not done.failed
