"""`wherry verify-store`: check every blob against its digest."""

import json
from dataclasses import asdict

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.counted import counted
from wherry.finding import Severity


@click.command("verify-store", cls=GroupedCommand)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_obj
def command(world: World, /, *, as_json: bool) -> int:
    """Check every blob of the local store against its digest, and that every image is complete.

    Exits 1 if a blob is damaged or missing.
    """
    from wherry.report.plain import plain

    findings = list(world.store.verify())
    broken = any(finding.severity is not Severity.NOTE for finding in findings)
    if as_json:
        world.say(json.dumps([asdict(finding) for finding in findings], indent=2))
        return 1 if broken else 0
    for finding in findings:
        world.say(f"{finding.rule}  {plain(finding.place)}: {plain(finding.message)}")
        for evidence in finding.evidence:
            world.say(f"  {plain(evidence)}")
        if finding.remedy:
            world.say(f"  remedy: {plain(finding.remedy)}")
    if not broken:
        usage = world.store.usage()
        world.say(f"{counted(usage.blobs, 'blob')} of {counted(len(usage.names), 'name')}: all complete")
    return 1 if broken else 0
