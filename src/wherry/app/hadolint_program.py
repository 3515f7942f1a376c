"""Where hadolint is; loads nothing, since most lints go without it."""

import os
from importlib.util import find_spec
from pathlib import Path

from wherry.app.session import Session

VARIABLE = "WHERRY_HADOLINT"
"""The program's path, or `off`."""
CONFIGS = (".hadolint.yaml", ".hadolint.yml")


def program_of(session: Session) -> str:
    """Find hadolint: what WHERRY_HADOLINT names, in PATH, or next to wherry's Python; empty if there is none."""
    named = session.environment.get(VARIABLE)
    if named is not None:
        return "" if named in ("", "off", "0") else str(session.cwd / named)
    folders = [Path(folder) for folder in session.environment.get("PATH", os.defpath).split(os.pathsep) if folder]
    library = find_spec("msgspec")  # it is installed as the extra's wheel is, so its scripts are in the same place
    if library is not None and library.origin is not None:
        folders.append(Path(library.origin).parents[4] / "bin")
    places = (folder / "hadolint" for folder in folders)
    return next((str(place) for place in places if os.access(place, os.X_OK) and place.is_file()), "")
