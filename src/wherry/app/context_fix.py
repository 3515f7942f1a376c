"""`wherry context --fix`: the safe lines of a context's ignore file, shown as a diff and written in one move."""

from dataclasses import dataclass
from pathlib import Path

from wherry.app.build.sources import Source, ignored_by
from wherry.app.context_files import ContextContent, IgnoreLine, walk_context
from wherry.app.lint_fix import unified_diff
from wherry.app.session import Session
from wherry.dockerfile.fixes.unread_lines import is_legal
from wherry.dockerfile.ignore import Patterns, read_ignore_file
from wherry.errors import CannotWrite


@dataclass(frozen=True, slots=True)
class IgnoreFix:
    """What was added to an ignore file."""

    file: str
    """As the user knows it."""
    written: bool
    diff: str
    """Unified; empty where there is nothing to add."""
    lines: tuple[IgnoreLine, ...]
    left: tuple[IgnoreLine, ...]
    """Lines that a person has to decide on."""


def fix_ignore_file(session: Session, source: Source, content: ContextContent, *, write: bool) -> IgnoreFix:
    """Add the lines that leave out nothing that is read.

    Args:
        session: where.
        source: the Dockerfile and its context, a folder of this machine.
        content: the context as it is.
        write: whether the file is written.

    Raises:
        CannotWrite: it can't be.
    """
    files = [file for file in source.read if file.name.endswith(".dockerignore")]
    file = next((file for file in files if file.is_file()), source.folder / ".dockerignore")
    before = file.read_bytes().decode("utf-8", "surrogateescape") if file.is_file() else ""
    safe = [line for line in content.suggested if line.safe and not is_legal(line.pattern)]
    lines = _that_hold(source, before, safe)
    end = "\r\n" if "\r\n" in before else "\n"
    gap = end if before and not before.endswith("\n") else ""
    after = before + gap + "".join(f"{line.pattern}{end}" for line in lines) if lines else before
    if lines and write:
        _write(file, after)
    shown = _shown(session, file)
    return IgnoreFix(
        file=shown,
        written=bool(lines) and write,
        diff=unified_diff(shown, before, after),
        lines=tuple(lines),
        left=tuple(line for line in content.suggested if line not in lines),
    )


def _that_hold(source: Source, before: str, lines: list[IgnoreLine]) -> list[IgnoreLine]:
    """Take the lines that, together with those of the file, leave out what they are meant to and nothing else."""
    paths = [path for path, _ in walk_context(str(source.folder), Patterns(ignored_by(source)))]
    old = read_ignore_file(before)
    meant = sum(line.files for line in lines)
    own = {str(file.relative_to(source.folder)) for file in source.read if file.is_relative_to(source.folder)}
    patterns = Patterns([*old, *read_ignore_file("".join(f"{line.pattern}\n" for line in lines))])
    gone = sum(patterns.fit(path) for path in paths if path not in own)
    if gone == meant:
        return lines
    kept: list[IgnoreLine] = []
    for line in lines:
        alone = Patterns([*old, *read_ignore_file(f"{line.pattern}\n")])
        if sum(alone.fit(path) for path in paths if path not in own) == line.files:
            kept.append(line)
    return kept


def _shown(session: Session, file: Path) -> str:
    return str(file.relative_to(session.cwd)) if file.is_relative_to(session.cwd) else str(file)


def _write(file: Path, text: str) -> None:
    from wherry.store.edits import editing

    try:
        with editing(file) as sink:
            sink.write(text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise CannotWrite(f"{file}: {error.strerror}", hint="check the permissions of the directory") from error
