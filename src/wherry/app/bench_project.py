"""A copy of a build context to measure with, and its files that are changed: a source, a list of dependencies."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wherry.app.build.sources import Source, ignored_by
from wherry.dockerfile.ignore import Patterns
from wherry.errors import InvalidUsage, NotFound

_MARKS = {
    ".c": "//", ".cc": "//", ".cpp": "//", ".cs": "//", ".dart": "//", ".ex": "#", ".exs": "#", ".go": "//",
    ".java": "//", ".js": "//", ".jsx": "//", ".kt": "//", ".mjs": "//", ".php": "//", ".py": "#", ".rb": "#",
    ".rs": "//", ".scala": "//", ".sh": "#", ".swift": "//", ".ts": "//", ".tsx": "//",
}  # fmt: skip
"""What begins a comment in a source, by its end of name."""
_LISTS = {
    "go.mod": "//", "requirements.txt": "#", "Cargo.toml": "#", "pyproject.toml": "#", "Pipfile": "#", "Gemfile": "#",
    "mix.exs": "#", "package.json": "", "pom.xml": "", "composer.json": "",
}  # fmt: skip
"""Files that list dependencies; where there are no comments, a blank line is added."""


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file that each round changes by a line that means nothing."""

    scenario: str
    path: str
    """In the context."""
    file: Path
    mark: str
    """What begins a comment; empty: only a line end is added."""

    def apply(self, number: int) -> None:
        """Add a line."""
        with self.file.open("ab") as file:
            file.write(f"\n{self.mark} wherry bench {number}\n".encode() if self.mark else b"\n")


def copy_context(source: Source, into: Path) -> Path:
    """Copy what a build would take of a context, links as links.

    Raises:
        NotFound: a file of it can't be read.
    """
    patterns = Patterns(ignored_by(source))
    root = str(source.folder)

    def left_out(folder: str, names: list[str]) -> list[str]:
        inside = os.path.relpath(folder, root)
        found = []
        for name in names:
            path = name if inside == "." else f"{inside}/{name}"
            whole = os.path.isdir(f"{folder}/{name}") and patterns.has_exceptions  # noqa: PTH112 - a name at a time
            if (patterns.fit(path) and not whole) or _special(f"{folder}/{name}"):
                found.append(name)
        return found

    try:
        shutil.copytree(root, into, symlinks=True, ignore=left_out)
    except (OSError, shutil.Error) as error:
        raise NotFound(
            f"{root}: cannot copy the context: {error}", hint="make its files readable, or ignore them"
        ) from error
    own = source.read[0].with_name(f"{source.read[0].name}.dockerignore") if source.read else None
    if own is not None and own.is_file():
        (into / ".dockerignore").unlink(missing_ok=True)  # the Dockerfile's own is what counted
    return into


def _special(path: str) -> bool:
    return not (os.path.isfile(path) or os.path.isdir(path) or os.path.islink(path))  # noqa: PTH112, PTH113, PTH114 - a name at a time


def files_to_change(context: Path, chosen: str) -> list[ChangedFile]:
    """Choose a source that gets a line, and a list of dependencies at the top of the context if there is one.

    Args:
        context: a copy of the context.
        chosen: the source that the user named; empty: one is looked for, a main package first.

    Raises:
        InvalidUsage: there is none.
    """
    path = chosen or _source_of(context)
    file = context / path
    if not path or not file.is_file() or not file.resolve().is_relative_to(context.resolve()):
        raise InvalidUsage(
            f"{chosen or 'no source file'}: nothing to change for the builds that follow",
            hint="name a file of the context with --change FILE",
        )
    found = [ChangedFile("one line changed", path, file, _MARKS.get(file.suffix, ""))]
    for name, mark in _LISTS.items():
        if (context / name).is_file():
            found.append(ChangedFile("dependencies changed", name, context / name, mark))
            break
    return found


def _source_of(context: Path) -> str:
    """Find a source: of Go a file of a main package, else the largest."""
    best = ("", -1)
    for path, size in _sources(context):
        if path.endswith(".go"):
            with (context / path).open("rb") as file:
                if b"package main" in file.read(1 << 16):
                    return path
        if size > best[1]:
            best = path, size
    return best[0]


def _sources(context: Path) -> Iterator[tuple[str, int]]:
    for folder, names, files in os.walk(context):
        names[:] = sorted(name for name in names if name not in ("vendor", "node_modules", "testdata", ".git", "docs"))
        for name in sorted(files):
            file = Path(folder) / name
            if file.suffix in _MARKS and not name.endswith("_test.go") and not file.is_symlink():
                yield str(file.relative_to(context)), file.stat().st_size


def check_folder(place: Path, folder: str, file: str, *, stages: bool) -> None:
    """Refuse a folder that has nothing to compare.

    Raises:
        NotFound: it has no Dockerfile, or, without `stages`, no Go module.
    """
    if not place.is_dir() or file == "-":
        return
    if not stages and not any((above / "go.mod").is_file() for above in (place, *place.resolve().parents)):
        raise NotFound(
            f"{folder}: no go.mod, so there is no Go module to compare with its Dockerfile",
            hint="use `wherry bench stages` to compare a Dockerfile with its stages merged",
        )
    if not file and not any((place / name).is_file() for name in ("Dockerfile", "dockerfile")):
        what = "the stages of a Dockerfile" if stages else "a Go module with its Dockerfile"
        raise NotFound(f"{folder}: no Dockerfile", hint=f"this compares {what}: name it with -f FILE, or write one")
