"""What a scan gives: the things that were scanned, each with its known holes, and what could not be."""

from collections.abc import Iterator

import msgspec

from wherry.app.vulnerability_data import OpenDatabase
from wherry.trust.known_holes import Hole, ScanResult


class ScannedSubject(msgspec.Struct, frozen=True):
    """One thing that was scanned."""

    name: str
    """What messages call it."""
    kind: str
    """`program`, `go.mod` or `packages`."""
    result: ScanResult
    path: str = ""
    """Inside the image; or the file as it was given."""
    platform: str = ""
    image: str = ""
    """The image's name with the digest of its manifest."""
    digest: str = ""
    """Of the program."""
    go: str = ""
    module: str = ""
    """The main module, with its version where it is known."""
    package: str = ""
    """The main package's import path."""
    target: dict[str, str] = {}
    """GOOS, GOARCH and the like, and the build tags, as build info has them."""
    routes: dict[str, tuple[str, ...]] = {}
    """By package with a hole: the imports that lead to it, from the main package on; where the source is at hand."""
    calls: dict[str, tuple[str, ...]] = {}
    """By vulnerable function: how the program reaches it, function by function; where the source is at hand."""
    lines: dict[str, int] = {}
    """By module: the line of go.mod that decides its version, where go.mod is at hand."""
    routes_note: str = ""
    """Why there are none."""


class Unscanned(msgspec.Struct, frozen=True):
    """A program that nothing can be said of."""

    name: str
    path: str
    platform: str
    reason: str
    remedy: str


class IgnoredHole(msgspec.Struct, frozen=True):
    """A hole that somebody decided to live with, for a time."""

    subject: str
    hole: Hole
    reason: str
    until: str


class Scan(msgspec.Struct, frozen=True):
    """What a scan found."""

    name: str
    database: OpenDatabase
    subjects: tuple[ScannedSubject, ...]
    unscanned: tuple[Unscanned, ...] = ()
    ignored: tuple[IgnoredHole, ...] = ()
    expired: tuple[str, ...] = ()
    """Rules of the ignore file that count no more, and those that match nothing."""
    others: int = 0
    """Programs of images that were not built by Go; nothing is said of them."""

    def holes(self) -> Iterator[tuple[ScannedSubject, Hole]]:
        """Give all holes that count, each with what has it."""
        for subject in self.subjects:
            yield from ((subject, hole) for hole in subject.result.holes)
