"""What a build of a Dockerfile reads, for a build elsewhere: its context less .dockerignore, and named contexts."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO

from wherry.app.build.addresses import DOCKER, LAYOUT, REMOTE
from wherry.app.build.options import DockerfileBuild
from wherry.app.build.sources import Source, ignored_by, open_source
from wherry.app.gathered import (
    OUTPUT,
    GatheredBuild,
    RemoteBuild,
    common_folder,
    file_entries,
    output_fields,
    relative_inside,
    travelling,
)
from wherry.app.session import Session
from wherry.dockerfile.ignore import read_ignore_file
from wherry.errors import InvalidUsage, NotFound
from wherry.layer.entry import BytesContent, Entry, EntryKind, sort_entries

_GIVEN = ".wherry-Dockerfile"
"""The name of a Dockerfile that came by standard input."""


def of_dockerfile(
    session: Session,
    build: RemoteBuild,
    wanted: DockerfileBuild,
    stack: ExitStack,
    stdin: Callable[[], IO[bytes]] | None,
) -> GatheredBuild:
    """Find out what a build of a Dockerfile reads.

    Raises:
        InvalidUsage, NotFound, DockerfileError: with what to write instead.
    """
    _check_caches(wanted)
    named = [_named(session, text) for text in wanted.build_contexts]
    arguments = tuple(_argument(session, text) for text in wanted.build_args)
    added = tuple(replace(one, file=str(session.cwd / one.file)) for one in wanted.add or ())
    options = travelling(replace(wanted, build_args=arguments, add=added or wanted.add))
    if build.copies > 1:
        options[OUTPUT] = output_fields(wanted, rewrite_timestamp=True)
    images = [text for text, folder in named if folder is None]
    first: tuple[Entry, ...] = ()
    if wanted.context.startswith(REMOTE):
        folder = ""
    else:
        source = stack.enter_context(open_source(session, wanted.context, wanted.file, stdin or _no_stdin))
        first, folder, moved = _packed(session, wanted, source)
        options |= moved
    folders = [(text.partition("=")[0], folder) for text, folder in named if folder is not None]
    return GatheredBuild(
        build=replace(
            build, cache_from=(*build.cache_from, *wanted.cache_from), cache_to=(*build.cache_to, *wanted.cache_to)
        ),
        options={**options, **({"build_contexts": images} if images else {})},
        contexts=(first, *(_context_entries(one) for _, one in folders)),
        folder=folder,
        named={name: number for number, (name, _) in enumerate(folders, 1)},
        environment=_epoch(session, build.copies),
    )


def _packed(
    session: Session, wanted: DockerfileBuild, source: Source
) -> tuple[tuple[Entry, ...], str, dict[str, object]]:
    """Give the entries of the first context, where the command is called in it, and the options that name files."""
    context = Path(os.path.realpath(source.folder)) if source.context else None
    beside = [Path(os.path.realpath(path)) for path in source.read if path.is_file()]
    added = [session.cwd / one.file for one in wanted.add or ()]
    tops = [*([context] if context else ()), *(path.parent for path in (*beside, *added))]
    top = common_folder(tops) if tops else Path("/")
    files: dict[str, Path] = {}
    if context:
        inside = relative_inside(context, top)
        files = {os.path.join(inside, path): context / path for path in _kept(context, ignored_by(source))}  # noqa: PTH118 - relative, in slashes
        files[inside] = context
    files |= {relative_inside(path, top): path for path in (*beside, *added)}
    entries = list(file_entries(files, exact=True))
    moved: dict[str, object] = {"context": relative_inside(context, top) or "." if context else "-"}
    dockerfile = next((path for path in beside if _is_dockerfile(path, source, wanted)), None)
    if wanted.file == "-" or dockerfile is None:
        text = source.text.encode("utf-8", "surrogateescape")
        entries.append(Entry(_GIVEN, EntryKind.FILE, 0o644, size=len(text), content=BytesContent(text)))
        moved["file"] = _GIVEN
    else:
        moved["file"] = relative_inside(dockerfile, top)
    if not context:
        moved["context"] = "."
    if wanted.add:
        moved["add"] = [
            {
                "file": relative_inside(session.cwd / one.file, top),
                "path": one.path,
                "mode": one.mode,
                "uid": one.uid,
                "gid": one.gid,
            }
            for one in wanted.add
        ]
    return tuple(sort_entries(entries)), "", moved


def _is_dockerfile(path: Path, source: Source, wanted: DockerfileBuild) -> bool:
    if path.name.endswith(".dockerignore") or path.name == "wherry.toml":
        return False
    return not wanted.file or path.name == Path(wanted.file).name or path.name == Path(source.name).name


def _kept(folder: Path, patterns: Sequence[str]) -> Iterator[str]:
    """Name what the ignore file leaves of a folder, folders too; links are not followed."""
    from wherry.build.context import LocalContext

    gone = frozenset(LocalContext(folder, tuple(patterns)).left_out)
    waiting = [""]
    while waiting:
        here = waiting.pop()
        with os.scandir(folder / here) as found:
            for one in sorted(found, key=lambda entry: entry.name):
                path = f"{here}/{one.name}" if here else one.name
                if path in gone:
                    continue
                yield path
                if one.is_dir(follow_symlinks=False):
                    waiting.append(path)


def _context_entries(folder: Path) -> tuple[Entry, ...]:
    ignore = folder / ".dockerignore"
    text = ignore.read_text("utf-8", "surrogateescape") if ignore.is_file() else ""
    kept = _kept(folder, tuple(read_ignore_file(text)))
    return file_entries({"": folder, **{path: folder / path for path in kept}}, exact=True)


def _named(session: Session, text: str) -> tuple[str, Path | None]:
    """Give the words of a named context, and its folder where it is one of this machine."""
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise InvalidUsage(f"--build-context {text}: expected NAME=VALUE", hint="write it as NAME=VALUE")
    if value.startswith((DOCKER, *REMOTE)):
        return text, None
    if value.startswith(LAYOUT):
        raise InvalidUsage(
            f"--build-context {text}: a layout is on this machine only",
            hint=f"push it to a registry, and write {name}=docker-image://NAME",
        )
    folder = session.cwd / value
    if not folder.is_dir():
        raise NotFound(f"--build-context {text}: no such directory", hint="give a directory, or docker-image://NAME")
    return text, Path(os.path.realpath(folder))


def _argument(session: Session, text: str) -> str:
    """Give `NAME=VALUE` of a build argument; a name alone is a variable of this machine."""
    return f"{text}={session.environment[text]}" if "=" not in text and text in session.environment else text


def _epoch(session: Session, copies: int) -> dict[str, str]:
    """Give two copies of an image one time: they would differ by when they were built."""
    if copies == 1 or session.environment.get("SOURCE_DATE_EPOCH"):
        return {}
    return {"SOURCE_DATE_EPOCH": str(int(session.clock()))}


def _check_caches(wanted: DockerfileBuild) -> None:
    for option, texts in (("--cache-from", wanted.cache_from), ("--cache-to", wanted.cache_to)):
        for text in texts:
            if "=" in text and "type=registry" not in text.split(","):
                raise InvalidUsage(
                    f"{option} {text}: a directory of this machine can't be reached from elsewhere",
                    hint=f"keep the cache in a registry: {option} type=registry,ref=NAME",
                )


def _no_stdin() -> IO[bytes]:
    raise InvalidUsage("-: stdin is closed", hint="give a file or a directory")
