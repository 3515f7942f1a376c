"""A known hole of something, with the strongest evidence that holds: the values that a scan gives, and keeps."""

from enum import StrEnum
from typing import Final

import msgspec

from wherry.trust.severity import RatedSeverity

STDLIB: Final = "stdlib"
TOOLCHAIN: Final = "toolchain"
"""What entries call Go's own library, and its command."""
NOT_PRESENT: Final = "vulnerable_code_not_present"


class EvidenceLevel(StrEnum):
    """How near a hole is to what runs, from the weakest evidence on."""

    MODULE = "module"
    """The module is required, in a version that has the hole."""
    PACKAGE = "package"
    """The package that has it is linked."""
    SYMBOL = "symbol"
    """A function that has it is linked."""


class HoleStatus(StrEnum):
    """What a VEX document says of it. Source: OpenVEX 0.2.0, "Status Labels"."""

    AFFECTED = "affected"
    NOT_AFFECTED = "not_affected"
    INVESTIGATED = "under_investigation"


class Hole(msgspec.Struct, frozen=True, array_like=True):
    """A known hole of something that was scanned."""

    id: str
    module: str
    """Or a Debian source package; `stdlib` is Go's own."""
    version: str
    level: EvidenceLevel
    symbols: tuple[str, ...]
    """Those that have the hole and are linked, with their package."""
    packages: tuple[str, ...]
    """The packages that have the hole and are linked."""
    fixed: str
    """The first version without it, as go.mod writes it; empty where there is none."""
    aliases: tuple[str, ...] = ()
    summary: str = ""
    url: str = ""
    severity: RatedSeverity = RatedSeverity()
    reviewed: bool | None = None
    withdrawn: str = ""
    status: HoleStatus = HoleStatus.AFFECTED
    justification: str = ""
    evidence: str = ""
    """What the level rests on, as a sentence."""
    ecosystem: str = "Go"
    required_as: str = ""
    """The module that go.mod names, where another one replaces it."""


class ScanResult(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one thing."""

    holes: tuple[Hole, ...]
    """The strongest evidence first."""
    withdrawn: tuple[Hole, ...] = ()
    """Those that their database took back."""
    unknown: tuple[str, ...] = ()
    """What could not be checked, and why."""
    modules: int = 0
    """How many modules or packages were checked."""
