"""`[base]` of wherry.toml: a base of Debian packages that the user declares.

[base]
packages = ["libsqlite3-0", "ca-certificates"]   # and all that they need
without = ["libgcc-s1"]                          # but not these
debian = "13"
files = ["etc/app.conf:/etc/app.conf:0644"]
users = ["app:10001:10001:/srv"]
env = { TZ = "Europe/Paris" }
"""

from dataclasses import dataclass

from wherry.errors import InvalidUsage
from wherry.settings.options import Pairs
from wherry.settings.readers import (
    FilePosition,
    UnsuitableValue,
    read_add,
    read_pairs,
    read_table,
    read_text,
    read_texts,
)
from wherry.settings.values import Added

_KEYS = ("packages", "without", "debian", "files", "users", "env")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseTable:
    """What the table says."""

    packages: tuple[str, ...]
    without: tuple[str, ...] = ()
    debian: str = ""
    """Empty: the default."""
    files: tuple[Added, ...] = ()
    users: tuple[str, ...] = ()
    """As `NAME:UID[:GID[:HOME]]`."""
    env: Pairs = ()


def read_base(place: FilePosition, value: object) -> BaseTable:
    """Read the table.

    Raises:
        WrongKey: a key is unknown, or has a value that does not fit.
    """
    table = read_table(place, value, "[base]")
    for key in table:
        if key not in _KEYS:
            raise place.below(key).wrong("is unknown", "the keys are " + ", ".join(_KEYS))
    if not table.get("packages"):
        raise place.wrong("has no packages", 'add a line packages = ["libsqlite3-0"]')
    try:
        texts = {key: read_texts(place.below(key), table.get(key, [])) for key in ("packages", "without", "users")}
        return BaseTable(
            packages=texts["packages"],
            without=texts["without"],
            debian=read_text(place.below("debian"), table["debian"]) if "debian" in table else "",
            files=read_add(place.below("files"), table.get("files", [])),
            users=texts["users"],
            env=read_pairs(place.below("env"), table.get("env", {})),
        )
    except UnsuitableValue as error:
        raise error.place.wrong(str(error), "see `wherry help wherry-toml`") from None
    except InvalidUsage as error:
        raise place.wrong(f"is invalid: {error.message}", error.hint) from error
