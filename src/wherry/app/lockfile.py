"""wherry.lock: the digest of each base's tag when it was locked."""

import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.app.build.go_work import AUTO
from wherry.app.session import Session
from wherry.bases import Bases
from wherry.digest import Digest, InvalidDigest
from wherry.errors import InvalidSettings
from wherry.oci.reference import InvalidReference, Reference
from wherry.remote import Policy, RemoteBases, reference_of
from wherry.settings.wherry_toml import FILE, Settings
from wherry.store.files import read_regular, replacing

LOCK = "wherry.lock"
_LARGEST = 1 << 20
_HEAD = """\
# Digests of base images, written by `wherry lock`; builds use these instead of the tags.
# Update with `wherry lock`; `wherry build --pull` ignores this file.
version = 1

[bases]
"""


def lock_file(folder: Path) -> Path:
    """Return the lock file's path for a directory: next to wherry.toml, else next to go.mod."""
    above = (folder, *folder.parents)
    for name in (LOCK, FILE, "go.mod"):
        for place in above:
            if (place / name).is_file():
                return place / LOCK
    return folder / LOCK


def read_lock(file: Path) -> dict[str, str]:
    """Read digests by name; empty where there is no file.

    Raises:
        InvalidSettings: it is not a lock of a version we know; the name is given.
    """
    content = read_regular(file, _LARGEST)
    if content is None:
        return {}
    try:
        document = tomllib.loads(content.decode())
        if document.get("version") != 1:
            raise InvalidSettings(
                f"{file}: unsupported version {document.get('version')!r}; expected 1", hint="use a newer wherry"
            )
        return dict(_entries(document.get("bases", {})))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, InvalidReference, InvalidDigest, AttributeError) as error:
        raise InvalidSettings(f"{file}: {error}", hint="delete it, and run `wherry lock`") from error


def _entries(bases: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, digest in bases.items():
        yield str(Reference.parse(name)), Digest.parse(str(digest))


def write_lock(file: Path, digests: Mapping[str, str]) -> None:
    """Write it whole or not at all, in the order of names."""
    lines = [f'"{name}" = "{digests[name]}"\n' for name in sorted(digests)]
    with replacing(file) as out:
        out.write((_HEAD + "".join(lines)).encode())


@dataclass(frozen=True, slots=True)
class Locked:
    """What bases' tags resolve to."""

    file: Path
    before: Mapping[str, str]
    """Digests by name, as the file had them."""
    now: Mapping[str, str]

    @property
    def changed(self) -> bool:
        """Whether any digest is new."""
        return any(self.before.get(name) != digest for name, digest in self.now.items())


def lock(session: Session, bases: Sequence[str] = (), *, write: bool = True, insecure: bool = False) -> Locked:
    """Resolve the bases of wherry.toml, of wherry.lock and some more, and write their digests to wherry.lock.

    Args:
        session: its folder, or one above, has wherry.toml or go.mod.
        bases: further ones.
        write: whether the file is written where a digest is new.
        insecure: whether their registries may speak plain HTTP.

    Raises:
        InvalidSettings: wherry.lock is invalid.
        WherryError: a registry does not have one, or can't be reached; nothing was written.
    """
    file = lock_file(session.cwd)
    before = read_lock(file)
    named = dict.fromkeys((*bases_named(session), *bases, *before))
    if insecure:
        session.insecure |= {Reference.parse(name).registry for name in named}
    found = Locked(file, before, looked_up(session, named))
    if write and found.changed:
        write_lock(file, found.now)
    return found


def bases_named(session: Session) -> Iterator[str]:
    """Name the bases of the wherry.toml that counts here."""
    for folder in (session.cwd, *session.cwd.parents):
        if (folder / FILE).is_file():
            settings = Settings.parse((folder / FILE).read_text(errors="replace"), FILE)
            for options in (settings.build, *map(settings.resolve, settings.services)):
                if options.base and options.base != AUTO:
                    yield options.base
            return


def looked_up(session: Session, names: Collection[str]) -> dict[str, str]:
    """Ask registries for the digests of names; what is embedded, here, or named by a digest is left out.

    Raises:
        WherryError: a registry has one not, or can't be reached; nothing was written.
    """
    from wherry.app.shipping import remembered

    with remembered(session) as results:
        bases = Bases(session.store, RemoteBases(session.store, lambda: session.registries, results, Policy()))
        there = {name for name in names if bases.is_remote(name)}
    found = {}
    for name in names:
        if name in there and not (reference := reference_of(name)).digest:
            found[str(reference)] = str(session.registries.source(reference).resolve(reference.tag).digest)
    return found
