"""A Dockerfile's build checks: for `wherry lint`, `wherry build --check`, and for builds that ask for them."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from wherry.app.build.addresses import DOCKER, LAYOUT
from wherry.app.build.sources import Source, arguments_of, ignored_by, named_contexts
from wherry.app.hadolint_program import program_of
from wherry.app.lint_options import LintWanted
from wherry.app.session import Session
from wherry.counted import counted
from wherry.dockerfile.checks import CHECK, CHECK_ARGUMENT, Checks
from wherry.dockerfile.errors import DockerfileError, Lines, nearest
from wherry.dockerfile.instructions import Arg, Instruction
from wherry.dockerfile.lint import Linted, lint
from wherry.dockerfile.notes import Around, Base
from wherry.dockerfile.parser import parse
from wherry.errors import WherryError
from wherry.finding import Severity
from wherry.oci.reference import Reference, familiar
from wherry.platform import Platform

if TYPE_CHECKING:
    from wherry.app.build.options import DockerfileBuild

_INDEX = "index.json"
"""Of the store, an OCI layout."""
_KNOWN = frozenset({
    "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY", "SOURCE_DATE_EPOCH", "TARGETPLATFORM",
    "TARGETOS", "TARGETARCH", "TARGETVARIANT", "TARGETSTAGE", "BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT",
})  # fmt: skip
"""Build arguments that count without an ARG. Source: Dockerfile reference, "Predefined ARGs"."""


def lint_source(session: Session, source: Source, wanted: LintWanted) -> Linted:
    """Check a Dockerfile; an error that ends the check is in the result, after what was found before it."""
    with ExitStack() as stack:
        return lint(source.name, source.text, around_of(session, source, wanted, stack))


def advise_source(session: Session, source: Source, wanted: LintWanted) -> Linted:
    """Check a Dockerfile by BuildKit's rules, by wherry's own, and by hadolint's where it is installed; by line."""
    with ExitStack() as stack:
        around = advised_around(session, source, wanted, stack)
    linted = advise_text(source.name, source.text, around)
    if linted.error is not None or not program_of(session):
        return linted
    from wherry.app.hadolint import checks_of, hadolint

    found = (*linted.findings, *hadolint(session, source, checks_of(source, around.arguments)))
    return Linted(tuple(sorted(found, key=lambda finding: int(finding.place.rpartition(":")[2]))), None)


def advised_around(session: Session, source: Source, wanted: LintWanted, stack: ExitStack) -> Around:
    """Describe what a Dockerfile would be built with, and which of its images are pinned."""
    around = around_of(session, source, wanted, stack)
    return replace(around, pinned=_pinned(source, around.contexts))


def advise_text(name: str, text: str, around: Around) -> Linted:
    """Check a text by BuildKit's rules and by wherry's own."""
    from wherry.dockerfile.advice.advise import advise

    linted = lint(name, text, around)
    own = advise(name, text, around) if linted.error is None else ()
    found = sorted((*linted.findings, *own), key=lambda finding: int(finding.place.rpartition(":")[2]))
    return Linted(tuple(found), linted.error)


def _pinned(source: Source, contexts: Collection[str]) -> Callable[[str], bool]:
    """Look up images in the wherry.lock of a local context; a named context replaces an image."""

    @cache
    def locked() -> Mapping[str, str]:
        from wherry.app.lockfile import lock_file, read_lock

        return read_lock(lock_file(source.folder)) if source.local else {}

    def pinned(name: str) -> bool:
        return familiar(name) in contexts or str(Reference.parse(familiar(name))) in locked()

    return pinned


def refuse(session: Session, source: Source, wanted: LintWanted) -> None:
    """Stop a build if its file says `# check=error=true`, and something was found.

    Raises:
        DockerfileError: something was; all of it was reported as progress.
    """
    if CHECK not in source.text and not any(text.startswith(CHECK_ARGUMENT) for text in wanted.build_args):
        return
    if not Checks.of(source.text, dict(arguments_of(session, wanted.build_args))).fail:
        return
    linted = lint_source(session, source, wanted)
    if not linted.findings:
        return
    for finding in linted.findings:
        session.progress.warn(f"{finding.place}: {finding.rule}: {finding.message}")
    first = int(linted.findings[0].place.rpartition(":")[2])
    rules = ", ".join(dict.fromkeys(finding.rule for finding in linted.findings))
    raise DockerfileError(
        f"lint violation found for rules: {rules}",
        Lines(first, first),
        hint="fix them, or skip rules with # check=skip=RULE above an instruction",
    )


def warn_at_the_end(
    session: Session, source: Source, wanted: "DockerfileBuild", copied_nothing: Sequence[Instruction]
) -> tuple[str, ...]:
    """Show, after a build, what the build checks find in what was built, as `docker buildx build` does.

    Args:
        session: where.
        source: the Dockerfile.
        wanted: how it was built.
        copied_nothing: its COPY and ADD with wildcards that matched nothing.

    Returns:
        The lines that were shown.
    """
    unused = _unused_arguments(session, source, wanted)
    shown = [f"warning: {words}" for words in unused]
    found = [
        (one.lines.first, f"CopyMatchesNothing: {one.word.upper()} copies nothing: no file matches")
        for one in copied_nothing
    ]
    linted = lint_source(session, source, replace(wanted, target=wanted.target or _last_stage(source.text)))
    found += [
        (int(finding.place.rpartition(":")[2]), f"{finding.rule}: {finding.message}")
        for finding in linted.findings
        if finding.severity is not Severity.NOTE
    ]
    if found:
        count = f"{counted(len(found), 'warning')} found"
        shown.append(f"{count} (`wherry lint` says what to do)")
        shown += [f"  {source.name}:{line}: {words}" for line, words in sorted(found)]
    for line in shown:
        session.progress.line(line)
    return tuple(shown)


def _unused_arguments(session: Session, source: Source, wanted: LintWanted) -> Iterator[str]:
    """Find build arguments that no ARG of the file declares, and that no build knows by itself."""
    given = dict(arguments_of(session, wanted.build_args))
    if not given:
        return
    file = parse(source.text)
    every = (*file.preamble, *(one for stage in file.stages for one in stage.instructions))
    declared = {argument.name for one in every if isinstance(one, Arg) for argument in one.arguments}
    for name in sorted(given.keys() - declared):
        if name.upper() not in _KNOWN and not name.startswith("BUILDKIT_"):
            close = nearest(name, sorted(declared))
            yield f"--build-arg {name}: no ARG of {source.name} has this name, so its value is not used{close}"


def _last_stage(text: str) -> str:
    """Name the stage that a build makes where none is named: its checks look into what that needs only."""
    return str(len(parse(text).stages) - 1)


def around_of(session: Session, source: Source, wanted: LintWanted, stack: ExitStack) -> Around:
    """Describe what a Dockerfile would be built with; bases are looked up in the local store."""
    here = Platform.of("linux", os.uname().machine)
    kinds, names, _ = named_contexts(session, wanted.build_contexts, stack)

    def base(name: str, platform: Platform) -> Base | None:
        name = familiar(name)
        if kinds.get(name) == "files" or names.get(name) == f"{DOCKER}scratch":
            return Base(platform=platform, env={}, own_shell=False)
        if not _may_be_stored(session, names.get(name, name)):
            return None
        from wherry.app.build.named_images import NamedImages

        image = NamedImages(session.store, None).at_hand(names.get(name, name), platform)
        if image is None:
            return None
        settings = image.config.runtime
        return Base(
            platform=image.platform,
            env=settings.environment,
            own_shell=bool(settings.shell),
            triggers=settings.on_build or (),
            user=settings.user,
        )

    return Around(
        platform=wanted.platforms[0] if wanted.platforms else here,
        build_platform=here,
        arguments=dict(arguments_of(session, wanted.build_args)),
        target=wanted.target,
        ignored=ignored_by(source),
        contexts=frozenset(kinds),
        base=base,
        valid=_valid,
    )


def _may_be_stored(session: Session, name: str) -> bool:
    """Report whether an image can be in a layout or the local store, without loading what reads a store."""
    if name.startswith(LAYOUT):
        return True
    try:
        names = (session.store_folder / _INDEX).read_bytes()
    except OSError:
        return False
    return name.rpartition("/")[2].partition("@")[0].partition(":")[0].encode() in names


def _valid(name: str) -> bool:
    try:
        Reference.parse(name)
    except WherryError:
        return False
    return True
