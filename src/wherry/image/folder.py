"""A folder that is there whole or not at all: made next to its place, then renamed into it."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wherry.errors import CannotWrite
from wherry.store.files import cannot_write


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that takes its place when the block ends, and vanishes where the block fails.

    Raises:
        CannotWrite: something is there that is not an empty folder, or the folder around it is not ours.
    """
    target = Path(os.path.realpath(path))
    try:
        taken = target.exists() and not (target.is_dir() and not any(target.iterdir()))
        if taken:
            raise CannotWrite(f"{path}: already exists", hint="use a new directory, or empty this one first")
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{secrets.token_hex(8)}")
        draft.mkdir()
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield draft
        try:
            draft.replace(target)
        except OSError as error:
            raise cannot_write(path, error) from error
    except BaseException:
        _delete(draft)
        raise


def _delete(folder: Path) -> None:
    """Delete a tree of ours, folders that an image made read-only among them."""
    with suppress(OSError):
        folder.chmod(0o700)
        for here, below, _ in os.walk(folder):
            for name in below:
                inner = Path(here, name)
                if not inner.is_symlink():
                    inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
