"""Bases of Debian packages by themselves: which there are, one as an image, and what an update would change."""

from collections.abc import Sequence

import msgspec

from wherry.app.debian import deb_bases
from wherry.app.lockfile import lock_file, newest_debs, read_lock_file, write_lock
from wherry.app.session import Session
from wherry.app.transfer import NamedImage
from wherry.base.deb.mirror import PinnedDeb
from wherry.base.deb.releases import RELEASES, is_deb_name
from wherry.bases import Bases
from wherry.errors import InvalidUsage
from wherry.oci.reference import Reference
from wherry.platform import Platform
from wherry.remote import Policy


class KnownBase(msgspec.Struct, frozen=True, kw_only=True):
    """A base by its name."""

    name: str
    content: tuple[str, ...]
    """Packages, or what an embedded base has."""
    warning: str = ""


class DebChange(msgspec.Struct, frozen=True, kw_only=True):
    """A package that an update changes."""

    base: str
    architecture: str
    package: str
    before: str
    """Its version; empty where it is new."""
    after: str
    """Empty where it is gone."""
    bytes: int
    """By how many bytes the packages differ, as Debian stores them."""


class BaseUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What `wherry base update --json` prints."""

    version: int = 1
    changes: tuple[DebChange, ...]
    written: bool


def known_bases() -> tuple[KnownBase, ...]:
    """List the bases that need no registry."""
    embedded = [KnownBase(name=name, content=(content,)) for name, content in Bases.EMBEDDED.items()]
    debs = [
        KnownBase(name=f"deb{number}:{name}", content=packages, warning=release.warning)
        for number, release in RELEASES.items()
        for name, packages in release.sets.items()
    ]
    return (*embedded, *debs)


def build_base(
    session: Session, name: str, *, tag: str, platforms: Sequence[Platform], offline: bool = False, pull: bool = False
) -> NamedImage:
    """Store a base as an image of its own.

    Args:
        session: where it is stored; wherry.lock counts as for a build.
        name: such as `deb:static` or `deb12:cc:debug`.
        tag: the image's name.
        platforms: one image each, under an index where there are several.
        offline: ask no mirror.
        pull: take the newest packages, locked or not.

    Raises:
        InvalidUsage: there is no such base.
        WherryError: the archive can't be reached, or is not what Debian signed; nothing was named.
    """
    from wherry.image.assemble import assemble_index, described

    if not is_deb_name(name):
        raise InvalidUsage(f"{name}: not a base of Debian's packages", hint="`wherry base list` names them")
    policy = Policy(offline=offline, pull=pull, debs=read_lock_file(lock_file(session.cwd)).debs)
    bases = deb_bases(session, policy)
    reference = str(Reference.parse(tag))
    with session.store.writing():
        images = [bases.image(name, platform, session.store) for platform in platforms]
        root = images[0].descriptor
        if len(images) > 1:
            root = assemble_index(map(described, images), annotations={}, sink=session.store)
        session.store.tag(reference, root)
    return NamedImage(reference, root)


def update_bases(session: Session, *, write: bool = True) -> BaseUpdate:
    """Compare the packages that wherry.lock pins with the newest ones, and pin those.

    Raises:
        WherryError: the archive can't be reached, or is not what Debian signed; nothing was written.
    """
    file = lock_file(session.cwd)
    before = read_lock_file(file)
    after = newest_debs(session, tuple(before.debs), before.debs)
    changes = tuple(
        change
        for base, of in after.items()
        for architecture, packages in of.items()
        for change in _changes(base, architecture, before.debs[base][architecture], packages)
    )
    if changes and write:
        write_lock(file, before.digests, after)
    return BaseUpdate(changes=changes, written=bool(changes and write))


def _changes(
    base: str, architecture: str, before: Sequence[PinnedDeb], after: Sequence[PinnedDeb]
) -> tuple[DebChange, ...]:
    old, new = ({one.name: one for one in packages} for packages in (before, after))
    return tuple(
        DebChange(
            base=base,
            architecture=architecture,
            package=name,
            before=old[name].version if name in old else "",
            after=new[name].version if name in new else "",
            bytes=(new[name].size if name in new else 0) - (old[name].size if name in old else 0),
        )
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    )
