"""hadolint's rules in a lint, where that program is installed, without its known false alarms.

hadolint 2.15 does not read heredocs, and stops at a flag or an instruction that it does not know: such instructions are
given to it as comments, so that lines stay and all else is checked. What wherry's own rules or Docker's checks say more
exactly is left out.

Source: hadolint's README, "Rules", "Configure", "Output formats" (json).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import msgspec

from wherry.app.build.sources import Source
from wherry.app.hadolint_program import VARIABLE, program_of
from wherry.app.session import Session
from wherry.dockerfile import instructions as of
from wherry.dockerfile.checks import Checks
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.fixes.written import split_lines
from wherry.dockerfile.parser import parse
from wherry.errors import WherryError
from wherry.finding import Finding, Severity
from wherry.host.process import Command

_COVERED = frozenset({
    "DL3000", "DL3002", "DL3006", "DL3007", "DL3009", "DL3012", "DL3022", "DL3024", "DL3025", "DL3029", "DL4000",
    "DL4003", "DL4004",
})  # fmt: skip
"""Rules that others here say more exactly: WorkdirRelativePath, root-user, latest-tag, apt-lists-left,
MultipleInstructionsDisallowed, DuplicateStageName, JSONArgsRecommended, MaintainerDeprecated and others. DL3022 wants
each `COPY --from` to name a stage, and many name an image."""
_CACHE = "DL3042"
"""pip keeps its cache: without meaning in a step that has a cache mount for it."""
_UNREADABLE = "DL1000"
_TRIES = 20
_SEVERITIES: Mapping[str, Severity] = {
    "error": Severity.ERROR, "warning": Severity.WARNING, "info": Severity.NOTE, "style": Severity.NOTE,
}  # fmt: skip


class _Said(msgspec.Struct):
    """One finding of hadolint's."""

    code: str
    level: str
    line: Annotated[int, msgspec.Meta(ge=0)]
    message: str


def hadolint(session: Session, source: Source, checks: Checks) -> tuple[Finding, ...]:
    """Have hadolint check a Dockerfile that can be parsed; what keeps it from that is a note.

    Its own configuration counts (`.hadolint.yaml` in the context, or in the home directory), and `# hadolint ignore=`;
    `# check=skip=DL3008` leaves its rules out too.

    Cost: a process, and another for each instruction that it does not know.
    """
    program = program_of(session)
    if not program:
        return ()
    try:
        every = _all_of(parse(source.text))
        said = _asked(session, program, source, every)
    except (WherryError, msgspec.DecodeError) as error:
        reason = error.message if isinstance(error, WherryError) else "its output is not what hadolint 2 prints"
        message = f"hadolint did not check this file: {reason}"
        remedy = f"run `hadolint Dockerfile` yourself, or set {VARIABLE}=off"
        return (Finding("hadolint-failed", Severity.NOTE, f"{source.name}:1", message, (), remedy),)
    return tuple(_findings(said, source.name, every, checks))


def _all_of(file: of.Dockerfile) -> list[of.Instruction]:
    return [*file.preamble, *(one for stage in file.stages for one in (stage.base, *stage.instructions))]


def _asked(session: Session, program: str, source: Source, every: Sequence[of.Instruction]) -> list[_Said]:
    """Ask, with what hadolint can't read as comments; more of them, as long as it stops at one."""
    hidden = {one.lines.first for one in every if _has_heredoc(one)}
    for _ in range(_TRIES):
        said = _run(session, program, source, _without(source.text, every, hidden))
        stops = [one.line for one in said if one.code == _UNREADABLE]
        if not stops:
            return said
        more = {one.lines.first for one in every if one.lines.first <= stops[0]} - hidden
        if not more:
            return [one for one in said if one.code != _UNREADABLE]
        hidden.add(max(more))
    return [one for one in said if one.code != _UNREADABLE]


def _has_heredoc(one: of.Instruction) -> bool:
    if isinstance(one, of.Run):
        return bool(one.command.heredocs)
    return isinstance(one, of.Add | of.Copy) and bool(one.contents)


def _without(text: str, every: Sequence[of.Instruction], hidden: set[int]) -> str:
    lines = split_lines(text)
    for one in every:
        if one.lines.first in hidden:
            for number in range(one.lines.first - 1, min(one.lines.last, len(lines))):
                lines[number] = "#\n"
    return "".join(lines)


def _run(session: Session, program: str, source: Source, text: str) -> list[_Said]:
    folder = source.folder if source.local else session.cwd
    command = Command(
        (program, "--format", "json", "--no-fail", "-"),
        folder,
        dict(session.environment),
        text.encode("utf-8", "replace"),
    )
    outcome = session.runner.run(command)
    if outcome.returncode != 0:
        raise WherryError(f"exit code {outcome.returncode}: {outcome.words[:200]}")
    return msgspec.json.decode(outcome.stdout, type=list[_Said])


def _findings(said: Sequence[_Said], name: str, every: Sequence[of.Instruction], checks: Checks) -> Iterator[Finding]:
    for one in said:
        where = next((other for other in every if other.lines.first <= one.line <= other.lines.last), None)
        skip = (checks.above(where.comments) if where else checks).skip
        if one.code in _COVERED or one.code in skip or "all" in skip or one.code == _UNREADABLE:
            continue
        if one.code == _CACHE and where is not None and "type=cache" in where.text:
            continue
        severity = _SEVERITIES.get(one.level, Severity.NOTE)
        yield Finding(one.code, severity, f"{name}:{max(one.line, 1)}", one.message, (), _remedy(one.code))


def _remedy(code: str) -> str:
    wiki = "https://www.shellcheck.net/wiki/" if code.startswith("SC") else "https://github.com/hadolint/hadolint/wiki/"
    return f"see {wiki}{code}, or leave the rule out with # check=skip={code}"


def checks_of(source: Source, arguments: Mapping[str, str]) -> Checks:
    """Give what a file asks for; nothing where that can't be read."""
    try:
        return Checks.of(source.text, arguments)
    except DockerfileError:
        return Checks()
