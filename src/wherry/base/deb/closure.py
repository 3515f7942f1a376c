"""What packages need: their dependencies, and those of these, in the versions that an archive has.

Recommended packages are left out, and what is there for maintainer scripts alone, since those are not run.

Source: Debian policy 4.7, sections 7.1 (versions, alternatives), 7.2 (Depends, Pre-Depends), 7.5 (Provides).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from wherry.base.deb.mirror import PinnedDeb
from wherry.debian.control import Relation, parse_depends
from wherry.errors import InvalidDocument, NotFound

_FOR_SCRIPTS: Mapping[str, frozenset[str]] = {
    "": frozenset(
        {
            "adduser", "awk", "cdebconf", "debconf", "debconf-2.0", "dpkg", "init-system-helpers", "mawk",
            "perl-base", "sensible-utils", "ucf",
        }
    ),
    "ca-certificates": frozenset({"openssl"}),
}  # fmt: skip
"""Packages that only scripts of a package use; under the empty name, of every package. One that is asked for stays."""
_MOST = 500


@dataclass(frozen=True, slots=True)
class IndexedDeb:
    """A package of an index, with what it needs."""

    pinned: PinnedDeb
    needs: str = ""
    """`Pre-Depends` and `Depends`, joined."""


class PackageIndex(Protocol):
    """Finds packages of one architecture, the newest of all suites."""

    def newest(self, names: Collection[str]) -> Mapping[str, IndexedDeb]:
        """Give packages by name; those that are not there are left out."""

    def providers(self, names: Collection[str]) -> Mapping[str, tuple[IndexedDeb, ...]]:
        """Give the packages that provide virtual ones, by the virtual name."""


@dataclass(frozen=True, slots=True)
class PackageClosure:
    """Packages, and what was left out of what they need."""

    packages: tuple[PinnedDeb, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    """A package and one that needs it."""


@dataclass
class _Resolving:
    index: PackageIndex
    without: frozenset[str]
    asked: frozenset[str]
    chosen: dict[str, IndexedDeb] = field(default_factory=dict)
    known: dict[str, IndexedDeb | None] = field(default_factory=dict)
    provided: dict[str, tuple[IndexedDeb, ...]] = field(default_factory=dict)
    left_out: dict[tuple[str, str], None] = field(default_factory=dict)

    def look(self, names: Iterable[str]) -> None:
        """Read what is not known yet, in one pass over the index."""
        wanted = {name for name in names if name not in self.known}
        if wanted:
            found = self.index.newest(wanted)
            self.known |= {name: found.get(name) for name in wanted}
        virtual = {name for name in wanted if self.known[name] is None}
        if virtual:
            self.provided |= dict(self.index.providers(virtual))

    def skipped(self, name: str, of: str) -> bool:
        if name in self.asked and name not in self.without:
            return False
        return name in self.without or name in _FOR_SCRIPTS[""] or name in _FOR_SCRIPTS.get(of, ())

    def satisfied(self, group: tuple[Relation, ...]) -> bool:
        return any(
            (one.name in self.chosen and one.holds(self.chosen[one.name].pinned.version))
            or any(two.pinned.name in self.chosen for two in self.provided.get(one.name, ()))
            for one in group
        )

    def choose(self, group: tuple[Relation, ...], of: str) -> IndexedDeb:
        """Take the first alternative that there is, else the first package that provides one.

        Raises:
            NotFound: there is none.
        """
        for one in group:
            real = self.known.get(one.name)
            if real is not None and one.holds(real.pinned.version):
                return real
            providing = self.provided.get(one.name, ())
            if real is None and providing:
                return min(providing, key=lambda two: two.pinned.name)
        shown = " or ".join(f"{one.name}{f' ({one.sign} {one.version})' * bool(one.sign)}" for one in group)
        raise NotFound(
            f"{of} needs {shown}, which this Debian does not have for its architecture",
            hint="use another release of Debian, or leave it out with `without` if your program never uses it",
        )


def closure_of(index: PackageIndex, names: Collection[str], without: Collection[str], what: str) -> PackageClosure:
    """Find packages and all that they need.

    Args:
        index: where they are found.
        names: what is asked for; a virtual name stands for the package that provides it.
        without: packages that are left out, and what only they need.
        what: names release and architecture in messages.

    Raises:
        NotFound: one is not there, or needs what is not.
        InvalidDocument: a package's relations can't be read, or there are too many.
    """
    work = _Resolving(index, frozenset(without), frozenset(names))
    work.look(names)
    absent = [name for name in sorted(names) if work.known[name] is None and not work.provided.get(name)]
    if absent:
        raise NotFound(f"{what} has no {', '.join(absent)}", hint="check the name, or leave that platform out")
    waiting = [work.choose((Relation(name),), "the base") for name in sorted(names)]
    work.chosen = {one.pinned.name: one for one in waiting}
    while waiting:
        groups = [(group, one.pinned.name) for one in waiting for group in _groups(one)]
        work.look(one.name for group, of in groups for one in group if not work.skipped(one.name, of))
        waiting = []
        for group, of in groups:
            # A group that scripts alone need is left out with all its alternatives.
            if work.satisfied(group):
                continue
            if any(work.skipped(one.name, of) for one in group):
                work.left_out[group[0].name, of] = None
                continue
            found = work.choose(group, of)
            if found.pinned.name not in work.chosen:
                work.chosen[found.pinned.name] = found
                waiting.append(found)
        if len(work.chosen) > _MOST:
            raise InvalidDocument(what, f"more than {_MOST} packages are needed", hint="name fewer packages")
    packages = tuple(work.chosen[name].pinned for name in sorted(work.chosen))
    return PackageClosure(packages, tuple(work.left_out))


def _groups(one: IndexedDeb) -> tuple[tuple[Relation, ...], ...]:
    return parse_depends(one.needs, f"{one.pinned.name} {one.pinned.version}: Depends")
