"""Print the findings of build checks, for `wherry lint` and `wherry build --check`."""

import json
from collections.abc import Iterable
from dataclasses import asdict

from wherry import __version__
from wherry.app.build.sources import open_source
from wherry.app.lint import advise_source, lint_source
from wherry.app.lint_options import LintWanted
from wherry.cli.world import World
from wherry.counted import counted
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.lint import Linted
from wherry.errors import InvalidUsage
from wherry.finding import Finding, Severity
from wherry.report.plain import plain


def check(world: World, wanted: LintWanted, form: str, *, own: bool) -> int:
    """Check a Dockerfile and print the findings; return the exit code.

    Args:
        world: where.
        wanted: the build to check.
        form: `text`, `json`, `sarif`, `github` or `gitlab`.
        own: whether wherry's own rules count too.

    Raises:
        DockerfileError: it can't be parsed; earlier findings are printed.
    """
    began = world.clock()
    with open_source(world, wanted.context, wanted.file, lambda: world.binary_in) as source:
        linted = (advise_source if own else lint_source)(world, source, wanted)
        _say(world, linted, source.name, form)
        if linted.error is not None:
            raise linted.error
        if not linted.findings and form in ("text", "github"):
            world.note(f"{source.name}: no findings")
        if own and linted.error is None and not linted.findings:
            from wherry.cli.replay_lint import remember_lint

            noted = f"{plain(source.name)}: no findings\n" if form in ("text", "github") else ""
            printed = "[]\n" if form == "json" else ""
            if form in ("text", "json"):
                remember_lint(world, wanted, source, began=began, printed=printed, noted=noted)
    return _code(linted.findings)


def check_together(*, fix: bool, dry_run: bool, commits: int | None) -> None:
    """Refuse options that say different things.

    Raises:
        InvalidUsage: with what to leave out.
    """
    if dry_run and not fix:
        raise InvalidUsage("--dry-run: nothing to leave unchanged without --fix", hint="add --fix, or remove --dry-run")
    if fix and commits is not None:
        raise InvalidUsage("--fix and --history: cannot be combined", hint="run wherry lint once with each of them")


def replay(world: World, wanted: LintWanted, form: str, commits: int) -> int:
    """Replay a git history against a Dockerfile's cache and print what it costs; return the exit code.

    Formats of findings get those of the file too.

    Raises:
        NotFound, HostUnable, DockerfileError: as `replay_history`.
    """
    from wherry.app.history_replay import replay_history
    from wherry.report.history import history_lines

    with open_source(world, wanted.context, wanted.file, lambda: world.binary_in) as source:
        found = replay_history(world, source, wanted, commits)
        if form in ("sarif", "gitlab", "github"):
            linted = advise_source(world, source, wanted)
            _say(world, Linted((*linted.findings, *found.findings), None), source.name, form)
            return _code((*linted.findings, *found.findings))
        name = source.name
    if form == "json":
        world.say(json.dumps({"version": 1, **asdict(found)}, indent=2))
        return _code(found.findings)
    if found.commits < found.asked:
        why = "the clone is shallow" if found.shallow else "the history has no more"
        world.note(f"{found.commits} of {counted(found.asked, 'commit')}: {why}")
    for line in history_lines(found, name):
        world.say(line)
    say_findings(world, found.findings)
    return _code(found.findings)


def _code(findings: Iterable[Finding]) -> int:
    return 1 if any(finding.severity is not Severity.NOTE for finding in findings) else 0


def _say(world: World, linted: Linted, name: str, form: str) -> None:
    if world.annotates:
        from wherry.report.github import finding_annotation

        for finding in linted.findings:
            world.note(plain(finding_annotation(finding, world.cwd, world.workspace)))
    if form in ("json", "sarif", "gitlab"):
        found = [*linted.findings, *([_unparsed(linted.error, name)] if linted.error else [])]
        world.say(json.dumps(_document(world, found, form), indent=2))
        return
    say_findings(world, linted.findings)


def say_findings(world: World, findings: Iterable[Finding]) -> None:
    """Print findings for people."""
    for finding in findings:
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
