"""vendor/modules.txt: which modules a vendor folder holds.

Sources: Go modules reference (go1.26), "Vendoring"; Go 1.26, cmd/go/internal/modload/vendor.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from wherry.errors import InvalidDocument
from wherry.golang.modsyntax import LARGEST, sides


@dataclass(frozen=True, slots=True)
class VendoredModule:
    """A module of vendor/, with the packages of it that are there."""

    path: str
    version: str
    """Empty where a replacement stands for all versions."""
    new_path: str = ""
    """What was copied in its place, or empty."""
    new_version: str = ""
    explicit: bool = False
    """Whether go.mod names it."""
    go: str = ""
    packages: tuple[str, ...] = ()
    line: int = field(default=0, compare=False)
    """Of the file."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor/modules.txt file."""

    workspace: bool
    """Whether it was made by `go work vendor`."""
    modules: tuple[VendoredModule, ...]


def parse_vendor(text: str, name: str) -> Vendor:
    """Read a vendor/modules.txt file.

    Raises:
        InvalidDocument: a package or a remark stands before any module, or a module lacks its version; the
            line is named.
    """
    if len(text) > LARGEST:
        raise InvalidDocument(name, f"{len(text)} characters; the limit is {LARGEST}")
    modules: list[VendoredModule] = []
    packages: list[list[str]] = []
    workspace = False
    for number, line in enumerate(text.split("\n"), 1):
        match line.split():
            case []:
                continue
            case ["##", "workspace"] if not modules:
                workspace = True
            case ["#", *words]:
                modules.append(replace(_vendored(words, f"{name}:{number}"), line=number))
                packages.append([])
            case ["##", *_] if modules:
                modules[-1] = _remarked(modules[-1], line.removeprefix("##"))
            case [package] if modules:
                packages[-1].append(package)
            case _:
                raise InvalidDocument(f"{name}:{number}", f"{line[:100]!r} has no module line above it")
    whole = (replace(module, packages=tuple(mine)) for module, mine in zip(modules, packages, strict=True))
    return Vendor(workspace, tuple(whole))


def _vendored(words: Sequence[str], place: str) -> VendoredModule:
    both = sides(words)
    if both is None or not (both[0][1] or both[1][0]):
        raise InvalidDocument(place, "expected a module and its version")
    return VendoredModule(*both[0], *both[1])


def _remarked(module: VendoredModule, remarks: str) -> VendoredModule:
    for remark in map(str.strip, remarks.split(";")):
        if remark == "explicit":
            module = replace(module, explicit=True)
        elif remark.startswith("go "):
            module = replace(module, go=remark.removeprefix("go ").strip())
    return module
