"""Files and folders that are there whole or not at all: made beside their place, then renamed into it."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from wherry.errors import CannotWrite


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes its place when the block ends, and vanishes where the block fails.

    A symbolic link is followed, and what is no plain file (a pipe, `/dev/stdout`) is written as it is.

    Raises:
        CannotWrite: the folder is missing, full, or not ours; what was there before is untouched.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with _written_to(path), target.open("wb") as stream:
            yield stream
        return
    draft = target.with_name(f".{target.name[:200]}.{secrets.token_hex(6)}")
    try:
        with _written_to(path):
            with draft.open("xb") as stream:
                yield stream
            draft.replace(target)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that takes its place when the block ends, and vanishes where the block fails.

    Raises:
        CannotWrite: something is there that is no empty folder, or the folder around it is not ours.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise CannotWrite(f"{path}: there is something already", hint="name a new folder, or empty this one first")
    draft = target.with_name(f".{target.name[:200]}.{secrets.token_hex(6)}")
    try:
        with _written_to(path):
            draft.mkdir(parents=True)
            yield draft
            draft.replace(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


@contextmanager
def _written_to(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotWrite(
            f"{path}: {error.strerror or error}", hint="make room there, or name a place that you may write to"
        ) from error
