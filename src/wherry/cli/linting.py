"""A Dockerfile's build checks, said: for `wherry lint`, and for `wherry build --check`."""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from wherry.cli.staging import Source, arguments_of, ignored_by, named_contexts
from wherry.cli.world import World
from wherry.dockerfile.checks import Checks
from wherry.dockerfile.errors import DockerfileError, Lines
from wherry.dockerfile.lint import Linted, lint
from wherry.dockerfile.notes import Around, Base
from wherry.dockerfiles import DOCKER, StageImages
from wherry.errors import WherryError
from wherry.finding import Severity
from wherry.oci.reference import Reference
from wherry.plan.from_dockerfile import familiar
from wherry.platform import Platform
from wherry.report.views import plain
from wherry.settings.values import parse_platforms


def check(world: World, source: Source, options: Mapping[str, Any]) -> int:
    """Check a Dockerfile and print what was found; give the exit code.

    Raises:
        DockerfileError: it can't be understood; what was found before that is printed.
    """
    with ExitStack() as stack:
        linted = lint(source.name, source.text, _around(world, source, options, stack))
    _say(world, linted, as_json=options["as_json"])
    if linted.error is not None:
        raise linted.error.shown(source.name, source.text)
    if not linted.findings and not options["as_json"]:
        world.note(f"{source.name}: nothing found")
    return 1 if any(finding.severity is not Severity.NOTE for finding in linted.findings) else 0


def refuse(world: World, source: Source, options: Mapping[str, Any]) -> None:
    """Stop a build whose file says `# check=error=true`, where something was found.

    Raises:
        DockerfileError: something was; all of it is told on stderr.
    """
    if not Checks.of(source.text, dict(arguments_of(world, options["build_args"]))).fail:
        return
    with ExitStack() as stack:
        linted = lint(source.name, source.text, _around(world, source, options, stack))
    if not linted.findings:
        return
    for finding in linted.findings:
        world.note(plain(f"{finding.place}: {finding.rule}: {finding.message}"))
    first = int(linted.findings[0].place.rpartition(":")[2])
    rules = ", ".join(dict.fromkeys(finding.rule for finding in linted.findings))
    raise DockerfileError(
        f"lint violation found for rules: {rules}",
        Lines(first, first),
        hint="mend them, or leave rules out with # check=skip=RULE above an instruction",
    )


def _say(world: World, linted: Linted, *, as_json: bool) -> None:
    if as_json:
        world.say(json.dumps([asdict(finding) for finding in linted.findings], indent=2))
        return
    for finding in linted.findings:
        world.say(plain(f"{finding.place}: {finding.rule}: {finding.message}"))
        for evidence in finding.evidence:
            world.say(f"  {plain(evidence)}")
        world.say(f"  remedy: {plain(finding.remedy)}")


def _around(world: World, source: Source, options: Mapping[str, Any], stack: ExitStack) -> Around:
    here = Platform.of("linux", os.uname().machine)
    kinds, names, _ = named_contexts(world, options["build_contexts"], stack)
    images = StageImages(world.store, None)

    def base(name: str, platform: Platform) -> Base | None:
        name = familiar(name)
        if kinds.get(name) == "files" or names.get(name) == f"{DOCKER}scratch":
            return Base(platform=platform, env={}, own_shell=False)
        image = images.at_hand(names.get(name, name), platform)
        if image is None:
            return None
        settings = image.config.runtime
        return Base(
            platform=image.platform,
            env=settings.environment,
            own_shell=bool(settings.shell),
            triggers=settings.on_build or (),
        )

    return Around(
        platform=parse_platforms(options["platforms"])[0] if options["platforms"] else here,
        build_platform=here,
        arguments=dict(arguments_of(world, options["build_args"])),
        target=options["target"],
        ignored=ignored_by(source),
        contexts=frozenset(kinds),
        base=base,
        valid=_valid,
    )


def _valid(name: str) -> bool:
    try:
        Reference.parse(name)
    except WherryError:
        return False
    return True
