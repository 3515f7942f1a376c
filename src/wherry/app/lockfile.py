"""wherry.lock: the digest of each base's tag when it was locked."""

import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.build.base_choice import DECLARED, declared_base, with_release
from wherry.app.build.go_work import AUTO
from wherry.app.session import Session
from wherry.base.deb.releases import is_deb_name
from wherry.bases import Bases
from wherry.digest import Digest, InvalidDigest
from wherry.errors import InvalidSettings
from wherry.oci.reference import InvalidReference, Reference
from wherry.remote import Policy, RemoteBases, reference_of
from wherry.settings.base_table import BaseTable
from wherry.settings.profile import EDGE
from wherry.settings.wherry_toml import FILE, Settings
from wherry.store.files import read_regular, replacing

if TYPE_CHECKING:
    from wherry.base.deb.bases import DebPins

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


@dataclass(frozen=True, slots=True)
class LockFile:
    """What wherry.lock pins."""

    digests: Mapping[str, str] = field(default_factory=dict)
    """Of images, by name."""
    debs: "DebPins" = field(default_factory=dict)
    """Debian packages, by base and architecture."""


def read_lock(file: Path) -> dict[str, str]:
    """Read digests of images by name; empty where there is no file.

    Raises:
        InvalidSettings: as `read_lock_file`.
    """
    return dict(read_lock_file(file).digests)


def read_lock_file(file: Path) -> LockFile:
    """Read all that is pinned; nothing where there is no file.

    Raises:
        InvalidSettings: it is not a lock of a version we know; the name is given.
    """
    content = read_regular(file, _LARGEST)
    if content is None:
        return LockFile()
    try:
        document = tomllib.loads(content.decode())
        if document.get("version") != 1:
            raise InvalidSettings(
                f"{file}: unsupported version {document.get('version')!r}; expected 1", hint="use a newer wherry"
            )
        return LockFile(dict(_entries(document.get("bases", {}))), _debs(document.get("debian"), str(file)))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, InvalidReference, InvalidDigest, AttributeError) as error:
        raise InvalidSettings(f"{file}: {error}", hint="delete it, and run `wherry lock`") from error


def _debs(tables: object, name: str) -> "DebPins":
    if not tables:
        return {}
    from wherry.app.debian import read_deb_pins

    return read_deb_pins(tables, name)


def _entries(bases: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, digest in bases.items():
        yield str(Reference.parse(name)), Digest.parse(str(digest))


def write_lock(file: Path, digests: Mapping[str, str], debs: "DebPins | None" = None) -> None:
    """Write it whole or not at all, in the order of names."""
    lines = [f'"{name}" = "{digests[name]}"\n' for name in sorted(digests)]
    if debs:
        from wherry.app.debian import deb_pin_lines

        lines += deb_pin_lines(debs)
    with replacing(file) as out:
        out.write((_HEAD + "".join(lines)).encode())


@dataclass(frozen=True, slots=True)
class Locked:
    """What bases' tags resolve to."""

    file: Path
    before: Mapping[str, str]
    """Digests by name, as the file had them."""
    now: Mapping[str, str]
    debs_before: "DebPins" = field(default_factory=dict)
    """Debian packages, as the file had them."""
    debs: "DebPins" = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether any digest or package is new."""
        images = any(self.before.get(name) != digest for name, digest in self.now.items())
        return images or any(self.debs_before.get(name) != packages for name, packages in self.debs.items())


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
    before = read_lock_file(file)
    every = dict.fromkeys((*bases_named(session), *bases, *before.digests, *before.debs))
    named = [name for name in every if not is_deb_name(name)]
    if insecure:
        session.insecure |= {Reference.parse(name).registry for name in named}
    debs = newest_debs(session, [name for name in every if is_deb_name(name)], before.debs)
    found = Locked(file, before.digests, looked_up(session, named), before.debs, debs)
    if write and found.changed:
        write_lock(file, found.now, found.debs)
    return found


def newest_debs(session: Session, names: Collection[str], before: "DebPins") -> "DebPins":
    """Find the newest packages of bases, for the architectures that are locked already, else amd64 and arm64.

    Raises:
        WherryError: the archive can't be reached, or is not what Debian signed.
    """
    if not names:
        return {}
    from wherry.app.debian import deb_bases
    from wherry.base.deb.releases import ARCHITECTURES
    from wherry.platform import Platform

    bases = deb_bases(session, Policy(pull=True))
    platforms = {architecture: platform for platform, architecture in ARCHITECTURES.items()}
    return {
        name: {
            architecture: bases.pinned(name, Platform.parse(platforms[architecture]))
            for architecture in before.get(name) or ("amd64", "arm64")
        }
        for name in names
    }


def bases_named(session: Session) -> Iterator[str]:
    """Name the bases of the wherry.toml that counts here."""
    settings = _settings(session)
    if settings is None:
        return
    profiles = ((), (EDGE,)) if settings.edge.options.base else ((),)
    asked = [settings.options(profile=profile) for profile in profiles]
    asked += [settings.resolve(service, profile) for service in settings.services for profile in (None, *profiles)]
    for options in asked:
        if options.base == DECLARED or (settings.declared and not options.base):
            yield declared_base(settings.declared, options.debian).name
        elif options.base and options.base != AUTO:
            yield with_release(options.base, options.debian)


def declared_table(session: Session) -> BaseTable | None:
    """Give the table `[base]` of the wherry.toml that counts here; None where there is none."""
    settings = _settings(session)
    return settings.declared if settings else None


def _settings(session: Session) -> Settings | None:
    for folder in (session.cwd, *session.cwd.parents):
        if (folder / FILE).is_file():
            return Settings.parse((folder / FILE).read_text(errors="replace"), FILE)
    return None


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
