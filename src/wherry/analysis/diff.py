"""What grew between two programs or images, as a document: what `wherry diff --json` prints.

The changes of kinds, modules and packages each sum up to the program's; those of layers to the image's. Rows that did
not change are left out, and the largest change comes first. `docs/reference/diff.md` describes the schema.
"""

import msgspec

SCHEMA = "wherry.diff/1"


class ChangedBytes(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something's bytes, before and after."""

    before: int
    after: int

    @property
    def change(self) -> int:
        """Bytes it grew by; below 0 where it shrank."""
        return self.after - self.before


class KindChange(ChangedBytes, frozen=True, kw_only=True):
    """All bytes of one kind."""

    kind: str


class FunctionChange(ChangedBytes, frozen=True, kw_only=True):
    """A function, with what tables keep of it alone; 0 where it is not there."""

    name: str
    package: str


class PackageChange(ChangedBytes, frozen=True, kw_only=True):
    """A package, or what stands for none, in parentheses."""

    path: str
    module: str


class ModuleChange(ChangedBytes, frozen=True, kw_only=True):
    """A module; its change is `grown` and `new` and `rest` less `removed`."""

    path: str
    """`std` is Go's own; empty is what is not a package's."""
    version_before: str = ""
    version_after: str = ""
    cause: str
    """`added`, `removed`, `version`, `code` (main module, or a folder in its place); of a module whose source is the
    same `toolchain`, `flags`, or `linked` (more or less of it is reached); empty of what is not a package's."""
    grown: int
    """Bytes that functions which are in both grew by."""
    new: int
    """Bytes of functions that are new."""
    removed: int
    """Bytes of functions that are gone, above 0."""
    rest: int
    """Change of what is not a function's: types, texts, data."""
    expected: int | None = None
    """Of changed code under another toolchain: the part of `grown` that the toolchain would have brought anyway, an
    estimate; None where there is none."""


class SettingChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A build setting that differs; empty where it is not set."""

    name: str
    before: str
    after: str


class ToolchainShare(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What another Go, or other flags, are taken to have brought."""

    before: str
    after: str
    bytes: int
    """An estimate: the change of Go's own packages and of modules with the same source, and what is expected of the
    functions that are in both elsewhere."""
    ratio: float | None = None
    """Bytes after by bytes before of the functions that `basis` names; None: unknown."""
    basis: str = ""
    basis_bytes: int = 0
    """Of those functions, before."""


class BinaryDiff(ChangedBytes, frozen=True, kw_only=True):
    """Two programs; 0 bytes for one that is not there."""

    name_before: str
    name_after: str
    platform: str
    path: str = ""
    """Inside the image; empty for a bare file."""
    kinds: tuple[KindChange, ...]
    modules: tuple[ModuleChange, ...]
    packages: tuple[PackageChange, ...]
    functions: tuple[FunctionChange, ...]
    settings: tuple[SettingChange, ...] = ()
    toolchain: ToolchainShare | None = None
    """None where both have the same Go and the same flags."""
    notes: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        """Bytes that are neither the toolchain's, by the estimate, nor those of what is not a package's."""
        return self.change - self.tables - (self.toolchain.bytes if self.toolchain else 0)

    @property
    def tables(self) -> int:
        """Change of what is not a package's: tables of the linker, symbols, headers."""
        return sum(one.change for one in self.modules if not one.path)


class LayerChange(ChangedBytes, frozen=True, kw_only=True):
    """A layer; `before` and `after` are its files' bytes, the digest is empty where it is not there."""

    platform: str
    digest_before: str
    digest_after: str
    pulled_before: int
    pulled_after: int
    made_by: str

    @property
    def pulled(self) -> int:
        """Bytes that it grew by over the wire."""
        return self.pulled_after - self.pulled_before


class FileChange(ChangedBytes, frozen=True, kw_only=True):
    """A name that containers of one image see, or that has other content there."""

    path: str
    cause: str
    """`added`, `removed`, `changed`, or `mode`: only mode or owner differ."""


class FilesChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What containers of two images see: how many names differ, and the largest changes."""

    added: int
    removed: int
    changed: int
    mode: int
    change: int
    """Bytes that all of them together grew by."""
    files: tuple[FileChange, ...]


class WasteChange(ChangedBytes, frozen=True, kw_only=True):
    """Bytes that no container sees; `duplicates` are further copies of visible content."""

    duplicates_before: int
    duplicates_after: int


class PlatformChange(ChangedBytes, frozen=True, kw_only=True):
    """An image of one platform; `before` and `after` are its layers' files."""

    platform: str
    pulled_before: int
    pulled_after: int
    layers: tuple[LayerChange, ...]
    files: FilesChange | None = None
    waste: WasteChange | None = None

    @property
    def pulled(self) -> int:
        """Bytes that it grew by over the wire."""
        return self.pulled_after - self.pulled_before


class DiffDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The whole answer."""

    schema: str = SCHEMA
    before: str
    after: str
    images: tuple[PlatformChange, ...] = ()
    """Of two images: each platform that both have."""
    binaries: tuple[BinaryDiff, ...]
    notes: tuple[str, ...] = ()
    """What could not be compared."""
