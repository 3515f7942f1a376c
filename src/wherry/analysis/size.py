"""Attribution of bytes, as a document: what `wherry size --json` prints, what is kept by digest, what reports show.

The sums of kinds, confidence, sections, modules and packages are each the file's size. `docs/reference/size.md`
describes the schema; a change of what is there raises its number.
"""

from typing import Annotated

import msgspec

SCHEMA = "wherry.size/1"

Bytes = Annotated[int, msgspec.Meta(ge=0)]


class _Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What all parts of the document have in common."""


class KindSize(_Document, frozen=True, kw_only=True):
    """All bytes of one kind."""

    kind: str
    bytes: Bytes


class SectionSize(_Document, frozen=True, kw_only=True):
    """A section; one without a name is all that is in none."""

    name: str
    kind: str
    bytes: Bytes


class FunctionSize(_Document, frozen=True, kw_only=True):
    """A function: its code, what tables keep of it alone, and the strings and data that only it mentions."""

    name: str
    bytes: Bytes
    code: Bytes
    generic_from: str = ""
    """The package that wrote the generic function this is an instance of; empty where it is not one."""


class ObjectSize(_Document, frozen=True, kw_only=True):
    """A variable, table, text or embedded file of 256 bytes or more, in the order of addresses."""

    hash: str
    """BLAKE2b of its bytes, 12 bytes in hex."""
    package: str
    """Its owner, as in `packages`."""
    kind: str
    confidence: str
    bytes: Bytes


class PackageSize(_Document, frozen=True, kw_only=True):
    """All bytes of one owner: a package, or what stands for none, in parentheses."""

    path: str
    module: str
    """`std` for Go's own; empty where there is none."""
    bytes: Bytes
    exclusive: Bytes | None = None
    """What would go if it went: its own bytes and those of packages that only it brings in; None: not known."""
    kinds: dict[str, int] = {}
    confidence: dict[str, int] = {}
    functions: tuple[FunctionSize, ...] = ()


class ModuleSize(_Document, frozen=True, kw_only=True):
    """All packages of one module."""

    path: str
    version: str
    sum: str = ""
    """The h1 hash of its source, as build info has it; empty for Go's own, the main module and replaced folders."""
    bytes: Bytes
    exclusive: Bytes | None = None
    packages: int
    routes: tuple[tuple[str, ...], ...] = ()
    """Ways by which the main package comes to import it, where they were asked for."""


class BinarySize(_Document, frozen=True, kw_only=True):
    """One executable; every byte of its file is counted once in each of the lists."""

    name: str
    image: str = ""
    platform: str = ""
    path: str = ""
    layer: int = 0
    """1 is the base's first; 0 for a file outside of images."""
    digest: str
    size: Bytes
    format: str
    """elf, macho or pe."""
    go: str = ""
    package: str = ""
    """The main package's import path."""
    module: str = ""
    settings: dict[str, str] = {}
    """Flags and environment of the build, as build info has them."""
    stripped: bool
    reading: str
    """`full`, or `sections`: then only sections and kinds are known."""
    owners: str = ""
    """What owners of variables rest on: `symbols` of the file, `relink` (symbols of the same program linked again),
    `record` (kept by `build --size-record`), or `tables`: then those that only code mentions are unknown or shared."""
    notes: tuple[str, ...] = ()
    """What could not be read, and why."""
    confidence: dict[str, int]
    kinds: tuple[KindSize, ...]
    sections: tuple[SectionSize, ...]
    modules: tuple[ModuleSize, ...] = ()
    packages: tuple[PackageSize, ...] = ()
    objects: tuple[ObjectSize, ...] = ()


class FileSize(_Document, frozen=True, kw_only=True):
    """A file of a layer."""

    path: str
    bytes: Bytes


class LayerSize(_Document, frozen=True, kw_only=True):
    """A layer of an image."""

    platform: str
    digest: str
    media_type: str
    pulled: Bytes
    """Of the blob: what goes over the wire."""
    unpacked: Bytes
    """Of its files."""
    base: bool | None = None
    """Whether the image's base brought it; None: the image does not tell."""
    made_by: str = ""
    files: tuple[FileSize, ...] = ()


class BudgetCheck(_Document, frozen=True, kw_only=True):
    """A budget compared with the measured size."""

    what: str
    """Such as `pulled`, `module google.golang.org/grpc`, `growth-unpacked`."""
    limit: Bytes
    actual: int
    ok: bool
    image: str = ""
    platform: str = ""
    detail: str = ""
    """What was measured: media type and level, which program; of growth, what it is counted from."""
    most: tuple[str, ...] = ()
    """Of a broken budget: what takes the most of it."""
    remedy: str = ""
    """Of a broken budget: what to look at."""


class Held(_Document, frozen=True, kw_only=True):
    """What `wherry check --json` prints."""

    schema: str = "wherry.budgets/1"
    budgets: tuple[BudgetCheck, ...]


class SizeDocument(_Document, frozen=True, kw_only=True):
    """The whole answer."""

    schema: str = SCHEMA
    name: str
    binaries: tuple[BinarySize, ...]
    layers: tuple[LayerSize, ...] = ()
    budgets: tuple[BudgetCheck, ...] = ()
