"""Print the findings of build checks, for `wherry lint` and `wherry build --check`."""

import json
from dataclasses import asdict

from wherry import __version__
from wherry.app.build.dockerfile import open_source
from wherry.app.build.options import DockerfileBuild
from wherry.app.lint import advise_source, lint_source
from wherry.cli.streams import streams_of
from wherry.cli.world import World
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.lint import Linted
from wherry.finding import Finding, Severity
from wherry.report.views import plain


def check(world: World, wanted: DockerfileBuild, form: str, *, own: bool) -> int:
    """Check a Dockerfile and print the findings; return the exit code.

    Args:
        world: where.
        wanted: the build to check.
        form: `text`, `json`, `sarif`, `github` or `gitlab`.
        own: whether wherry's own rules count too.

    Raises:
        DockerfileError: it can't be parsed; earlier findings are printed.
    """
    with open_source(world, wanted, streams_of(world)) as source:
        linted = (advise_source if own else lint_source)(world, source, wanted)
        _say(world, linted, source.name, form)
        if linted.error is not None:
            raise linted.error
        if not linted.findings and form in ("text", "github"):
            world.note(f"{source.name}: no findings")
    return 1 if any(finding.severity is not Severity.NOTE for finding in linted.findings) else 0


def _say(world: World, linted: Linted, name: str, form: str) -> None:
    if world.annotates:
        from wherry.report.github import finding_annotation

        for finding in linted.findings:
            world.note(plain(finding_annotation(finding, world.cwd, world.workspace)))
    if form in ("json", "sarif", "gitlab"):
        found = [*linted.findings, *([_unparsed(linted.error, name)] if linted.error else [])]
        world.say(json.dumps(_document(world, found, form), indent=2))
        return
    for finding in linted.findings:
        world.say(plain(f"{finding.place}: {finding.rule}: {finding.message}"))
        for evidence in finding.evidence:
            world.say(f"  {plain(evidence)}")
        world.say(f"  remedy: {plain(finding.remedy)}")


def _document(world: World, found: list[Finding], form: str) -> object:
    if form == "json":
        return [asdict(finding) for finding in found]
    from wherry.report import code_quality

    if form == "gitlab":
        return code_quality.gitlab(found, world.cwd, world.workspace)
    return code_quality.sarif(found, world.cwd, world.workspace, __version__)


def _unparsed(error: DockerfileError, name: str) -> Finding:
    """Give what keeps a Dockerfile from being understood as a finding, for JSON."""
    place = f"{name}:{error.lines.first}" if error.lines else name
    return Finding("syntax", Severity.ERROR, place, error.problem, remedy=error.hint)
