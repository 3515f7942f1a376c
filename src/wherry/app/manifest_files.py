"""Manifests on disk: the files that names on a command line mean, with their texts."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from wherry.app.session import Session
from wherry.errors import InvalidUsage, NotFound
from wherry.store.files import read_regular

_ENDINGS = (".yaml", ".yml", ".json")
_LARGEST = 64 << 20


def manifest_texts(
    session: Session, names: Sequence[str], stdin: Callable[[], str], *, recursive: bool
) -> Iterator[tuple[str, str]]:
    """Yield each file's name, relative to the session's folder, and its text.

    Args:
        session: where paths start.
        names: files, folders, or `-` for `stdin`.
        stdin: gives the text of `-`.
        recursive: whether folders below are read too.

    Raises:
        NotFound: there is no such file, or a folder has no manifests.
        InvalidUsage: a file is not UTF-8.
    """
    for name in names:
        if not name:
            raise InvalidUsage("the name of a file is empty", hint="give a file, a directory or -")
        if name == "-":
            yield "stdin", stdin()
            continue
        path = session.cwd / name
        if path.is_dir():
            found = sorted(path.rglob("*") if recursive else path.iterdir())
            inside = [file for file in found if file.suffix in _ENDINGS and file.is_file()]
            if not inside:
                raise NotFound(
                    f"{name}: no manifests found", hint="give a directory with .yaml or .json files, or use -R"
                )
            for file in inside:
                yield os.path.relpath(file, session.cwd), _text(file)
        else:
            yield name, _text(path)


def read_paths(session: Session, names: Sequence[str], *, recursive: bool = False) -> Iterator[Path]:
    """Name the files and folders that decide what `resolve` reads of some names.

    Args:
        session: where paths start.
        names: files and folders.
        recursive: whether folders below are read too.
    """
    for name in names:
        path = session.cwd / name
        yield path
        if path.is_dir():
            yield from path.rglob("*") if recursive else path.iterdir()


def _text(file: Path) -> str:
    content = read_regular(file.resolve(), _LARGEST)
    if content is None:
        raise NotFound(
            f"{file}: no such file or directory", hint="give a manifest, a directory of manifests, or - for stdin"
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidUsage(f"{file}: byte {error.start} is not UTF-8", hint="write manifests in UTF-8") from error
