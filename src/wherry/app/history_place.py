"""Where the history is, and whether one is kept: what each call asks, so little is loaded for it."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from wherry.app.places import TOML, toml_folder
from wherry.app.session import Session
from wherry.errors import WherryError

VARIABLE: Final = "WHERRY_HISTORY"
_OFF: Final = frozenset({"off", "no", "none", "false", "0"})
_FOLDER: Final = "history"


def history_folder(session: Session) -> Path | None:
    """Name the folder of the history; None where none is kept.

    It is next to the store in its usual place, inside of a store that was named, or where WHERRY_HISTORY says.
    """
    said = session.environment.get(VARIABLE, "")
    if said.lower() in _OFF or not _recorded(session):
        return None
    if said and said.lower() != "on":
        return (session.cwd / said).absolute()
    store = session.store_folder
    if store.parts[-2:] == ("wherry", "store"):
        return store.with_name(_FOLDER)
    return store / ".wherry" / _FOLDER


def _recorded(session: Session) -> bool:
    """Report whether wherry.toml leaves the history on; one that cannot be read does."""
    with suppress(OSError, WherryError):
        folder = toml_folder(session.cwd, ())
        if folder is None:
            return True
        text = (folder / TOML).read_text(errors="replace")
        if _FOLDER in text:
            from wherry.settings.wherry_toml import Settings

            return Settings.parse(text).history
    return True
