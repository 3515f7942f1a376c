"""Which modules to raise, and to which version, so that holes are gone."""

from collections.abc import Iterable
from dataclasses import dataclass

from wherry.trust.known_holes import STDLIB, TOOLCHAIN, EvidenceLevel, Hole


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A module to raise, and what that mends."""

    module: str
    version: str
    to: str
    holes: tuple[str, ...]
    required_as: str = ""
    """The module that this one replaces, by a line of go.mod."""

    @property
    def command(self) -> str:
        """What changes go.mod so."""
        if self.required_as:
            return f"go mod edit -replace={self.required_as}={self.module}@{self.to}"
        return command_for(self.module, self.to)


def command_for(module: str, version: str) -> str:
    """Give the command that raises a module, or Go itself, to a version."""
    return f"go get {argument_for(module, version)}"


def argument_for(module: str, version: str) -> str:
    """Give what `go get` is asked for."""
    return f"{'toolchain' if module in {STDLIB, TOOLCHAIN} else module}@{version}"


def upgrades(holes: Iterable[Hole], least: EvidenceLevel = EvidenceLevel.MODULE) -> tuple[Upgrade, ...]:
    """Give the smallest change that mends the holes that can be mended, module by module.

    Args:
        holes: what was found.
        least: the weakest evidence that counts.
    """
    from wherry.trust.matching import semver_less

    order = list(EvidenceLevel)
    found: dict[tuple[str, str], Upgrade] = {}
    for hole in holes:
        if not hole.fixed or hole.ecosystem != "Go" or order.index(hole.level) < order.index(least):
            continue
        module = STDLIB if hole.module == TOOLCHAIN else hole.module
        known = found.get((module, hole.required_as))
        to = hole.fixed if known is None or semver_less(known.to, hole.fixed) else known.to
        ids = (*(known.holes if known else ()), hole.id)
        upgrade = Upgrade(module, hole.version, to, tuple(dict.fromkeys(ids)), hole.required_as)
        found[module, hole.required_as] = upgrade
    return tuple(found[key] for key in sorted(found))
