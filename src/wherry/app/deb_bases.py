"""Bases of Debian packages by themselves: which there are, one as an image, and what an update would change."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from wherry.app.build.base_choice import DECLARED, ChosenBase, declared_base, kept_groups, with_release
from wherry.app.debian import deb_bases
from wherry.app.lockfile import declared_table, lock_file, newest_debs, read_lock_file, write_lock
from wherry.app.session import Session
from wherry.base.deb.bases import DebContents
from wherry.base.deb.mirror import PinnedDeb
from wherry.base.deb.releases import RELEASES, DebName, is_deb_name
from wherry.bases import Bases
from wherry.errors import InvalidUsage, NotFound
from wherry.layer.entry import Entry, EntryKind, FileContent
from wherry.oci.image import Image
from wherry.oci.reference import Reference
from wherry.platform import Platform
from wherry.remote import Policy
from wherry.settings.values import Added


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


class BasePackage(msgspec.Struct, frozen=True, kw_only=True):
    """A package of a base."""

    name: str
    version: str
    bytes: int
    """Of its files that are in the base, unpacked."""
    package: int
    """Bytes of the package, as Debian stores it."""
    scripts: tuple[str, ...] = ()
    """What its maintainer scripts would have done; they were not run."""


class BuiltBasePlatform(msgspec.Struct, frozen=True, kw_only=True):
    """A base of one platform."""

    platform: str
    packages: tuple[BasePackage, ...]
    unpacked: int
    """Bytes of its packages' files."""
    pulled: int
    """Bytes of its layers, as they are pulled."""
    left_out: dict[str, int]
    """Bytes of files that were left out, by group; `--keep` has the groups that can stay."""
    not_taken: tuple[str, ...]
    """Packages that others need only for their scripts, or that `without` names."""


class BuiltBase(msgspec.Struct, frozen=True, kw_only=True):
    """What `wherry base build --json` prints."""

    version: int = 1
    name: str
    digest: str
    platforms: tuple[BuiltBasePlatform, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedBase:
    """A base to be built by itself."""

    name: str
    """Such as `deb:static`, `deb12:cc:debug`, or `declared`: the one of wherry.toml."""
    platforms: tuple[Platform, ...]
    """One image each, under an index where there are several."""
    tag: str = ""
    """The image's name; empty: the base's, with dashes for colons."""
    debian: str | None = None
    keep: tuple[str, ...] = ()
    """Groups of files that stay."""
    offline: bool = False
    """Ask no mirror."""
    pull: bool = False
    """Take the newest packages, locked or not."""


def known_bases() -> tuple[KnownBase, ...]:
    """List the bases that need no registry."""
    embedded = [KnownBase(name=name, content=(content,)) for name, content in Bases.EMBEDDED.items()]
    debs = [
        KnownBase(name=f"deb{number}:{name}", content=packages, warning=release.warning)
        for number, release in RELEASES.items()
        for name, packages in release.sets.items()
    ]
    return (*embedded, *debs)


def build_base(session: Session, wanted: WantedBase) -> BuiltBase:
    """Store a base as an image of its own.

    Args:
        session: where it is stored, and where progress is reported; wherry.lock counts as for a build.
        wanted: which base, and how.

    Raises:
        InvalidUsage: there is no such base.
        WherryError: the archive can't be reached, or is not what Debian signed; nothing was named.
    """
    from wherry.image.assemble import assemble_index, described

    base = _chosen(session, wanted)
    name = base.name
    settings = replace(base.settings, keep=kept_groups(wanted.keep, name))
    extra = [_entry(session.cwd, file) for file in base.files]
    policy = Policy(offline=wanted.offline, pull=wanted.pull, debs=read_lock_file(lock_file(session.cwd)).debs)
    reference = str(Reference.parse(wanted.tag or wanted.name.replace(":", "-").replace(",", "-")))
    with session.progress.step(f"base {wanted.name}") as step:
        bases = deb_bases(session, policy, session.progress.warn, lambda text: step.detail(text.partition(": ")[2]))
        bases.content(name)
        with session.store.writing():
            images = [bases.image(name, one, session.store, settings, extra) for one in wanted.platforms]
            root = images[0].descriptor
            if len(images) > 1:
                root = assemble_index(map(described, images), annotations={}, sink=session.store)
            session.store.tag(reference, root)
    return BuiltBase(
        name=reference,
        digest=str(root.digest),
        platforms=tuple(
            _platform(bases.contents[name, str(platform)], platform, image)
            for platform, image in zip(wanted.platforms, images, strict=True)
        ),
    )


def _chosen(session: Session, wanted: WantedBase) -> ChosenBase:
    if wanted.name == DECLARED:
        return declared_base(declared_table(session), wanted.debian)
    if not is_deb_name(wanted.name):
        raise InvalidUsage(f"{wanted.name}: not a base of Debian's packages", hint="`wherry base list` names them")
    name = with_release(wanted.name, wanted.debian)
    DebName.parse(name)  # before an image is named after it
    return ChosenBase(name)


def _entry(folder: Path, file: Added) -> Entry:
    source = folder / file.file
    if not source.is_file():
        raise NotFound(f"[base] files: {file.file}: no such file", hint="write it as FILE:PATH[:MODE[:OWNER]]")
    mode = file.mode if file.mode is not None else source.stat().st_mode & 0o755
    return Entry(
        path=file.path.strip("/"), kind=EntryKind.FILE, mode=mode, uid=file.uid, gid=file.gid,
        size=source.stat().st_size, content=FileContent(source),
    )  # fmt: skip


def _platform(made: DebContents, platform: Platform, image: Image) -> BuiltBasePlatform:
    return BuiltBasePlatform(
        platform=str(platform),
        packages=tuple(
            BasePackage(
                name=one.name,
                version=one.version,
                bytes=made.sizes.get(one.name, 0),
                package=one.size,
                scripts=made.scripts.get(one.name, ()),
            )
            for one in made.packages
        ),
        unpacked=sum(made.sizes.values()),
        pulled=sum(layer.size for layer in image.manifest.stack),
        left_out=dict(made.dropped),
        not_taken=tuple(f"{name}, for {of}" for name, of in made.left_out),
    )


def update_bases(session: Session, *, write: bool = True) -> BaseUpdate:
    """Compare the packages that wherry.lock pins with the newest ones, and pin those.

    Raises:
        NotFound: it pins none.
        WherryError: the archive can't be reached, or is not what Debian signed; nothing was written.
    """
    file = lock_file(session.cwd)
    before = read_lock_file(file)
    if not before.debs:
        raise NotFound(
            f"{os.path.relpath(file, session.cwd)} pins no Debian packages, so there is nothing to update",
            hint="`wherry lock deb:base` pins those of a base, `wherry lock` those of wherry.toml",
        )
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
