"""Print what `wherry lint --fix` changed, and what is left."""

import json
from dataclasses import asdict

from wherry.app.build.sources import open_source
from wherry.app.lint_fix import fix_source
from wherry.app.lint_options import LintWanted
from wherry.cli.lint_lines import say_findings
from wherry.cli.world import World
from wherry.errors import InvalidUsage
from wherry.finding import Severity
from wherry.report.patch import patch_lines


def fix_file(world: World, wanted: LintWanted, form: str, *, write: bool) -> int:
    """Fix a Dockerfile and print the diff and the findings that are left; return the exit code.

    Raises:
        InvalidUsage: the format is one of findings alone, or the file can't be written.
        DockerfileError: it can't be parsed.
    """
    if form not in ("text", "json"):
        raise InvalidUsage(f"--format {form}: --fix has no such format", hint="use --format text or json")
    with open_source(world, wanted.context, wanted.file, lambda: world.binary_in) as source:
        found = fix_source(world, source, wanted, write=write)
    if form == "json":
        world.say(json.dumps({"version": 1, **asdict(found)}, indent=2))
    else:
        for line in patch_lines(found.diff):
            world.say(line)
        say_findings(world, found.findings)
        rest = f"{len(found.findings)} left" if found.findings else "nothing left"
        done = "fixed" if write else "can be fixed"
        world.note(f"{found.file}: {len(found.fixed)} {done}, {rest}")
    broken = any(one.severity is not Severity.NOTE for one in found.findings)
    return 1 if broken or (found.changed and not write) else 0
