"""`wherry lint --fix`: the safe fixes of a Dockerfile, shown as a diff and written in one move."""

import difflib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from wherry.app.build.sources import Source
from wherry.app.lint import advise_text, advised_around
from wherry.app.lint_options import LintWanted
from wherry.app.session import Session
from wherry.dockerfile.fixes.written import split_lines
from wherry.errors import CannotWrite, InvalidUsage
from wherry.finding import Finding

_LARGEST_MANIFEST = 4 << 20


@dataclass(frozen=True, slots=True)
class LintFixes:
    """What was fixed, and what is left."""

    file: str
    """As the user knows it."""
    changed: bool
    """Whether the fixes change the file."""
    written: bool
    diff: str
    """Unified; empty where nothing changes."""
    fixed: tuple[Finding, ...]
    findings: tuple[Finding, ...]
    """Those that are left, by their places in the fixed file."""


def fix_source(session: Session, source: Source, wanted: LintWanted, *, write: bool) -> LintFixes:
    """Fix what can be fixed without changing what a Dockerfile builds.

    Args:
        session: where.
        source: the Dockerfile and its context.
        wanted: how it is built: arguments, target, platform.
        write: whether the file is written; it is replaced in one move, and keeps its mode.

    Raises:
        DockerfileError: it can't be parsed.
        InvalidUsage: it is to be written, and is no file of this machine.
        CannotWrite: it changed meanwhile, or can't be written.
    """
    from wherry.dockerfile.fixes.apply import fix

    file = source.read[0] if source.read and source.local and source.name != "-" else None
    if write and file is None:
        raise InvalidUsage(
            f"{source.name}: --fix writes files of this machine only", hint="add --dry-run to see the diff"
        )
    with ExitStack() as stack:
        around = advised_around(session, source, wanted, stack)
        linted = advise_text(source.name, source.text, around)
        if linted.error is not None:
            raise linted.error
        fixed = fix(
            source.text,
            around,
            lambda text: advise_text(source.name, text, around).findings,
            lambda path: context_file(source, path),
        )
    changed = fixed.text != source.text
    if changed and write and file is not None:
        _write(file, source, fixed.text)
    return LintFixes(
        file=source.name,
        changed=changed,
        written=changed and write,
        diff=unified_diff(source.name, source.text, fixed.text),
        fixed=fixed.fixed,
        findings=fixed.left,
    )


def context_file(source: Source, path: str) -> bytes | None:
    """Read a file of a local context; None: there is none, or it is larger than a list of dependencies is."""
    if not source.local:
        return None
    try:
        with (source.folder / path).open("rb") as file:
            content = file.read(_LARGEST_MANIFEST + 1)
    except OSError:
        return None
    return content if len(content) <= _LARGEST_MANIFEST else None


def unified_diff(name: str, before: str, after: str) -> str:
    """Give the difference of two texts as `patch` reads it; line ends are compared too."""
    found = difflib.unified_diff(split_lines(before), split_lines(after), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in found)


def _write(file: Path, source: Source, text: str) -> None:
    from wherry.store.edits import editing

    encoded = text.encode("utf-8", "surrogateescape")
    try:
        same = file.read_bytes() == source.text.encode("utf-8", "surrogateescape")
    except OSError as error:
        raise CannotWrite(f"{source.name}: {error.strerror}", hint="check the file") from error
    if not same:
        raise CannotWrite(f"{source.name}: changed while it was checked", hint="run it again")
    with editing(file) as sink:
        sink.write(encoded)
