"""A Go module or workspace on disk: its go.mod, go.sum and go.work files, and what is vendored."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import NotFound
from wherry.golang.gosum import SumLine, parse_go_sum
from wherry.golang.modfile import GoMod, GoWork, Replacement, parse_go_mod, parse_go_work
from wherry.golang.modsyntax import LARGEST
from wherry.golang.vendor import Vendor, parse_vendor
from wherry.store.files import read_regular
from wherry.trust.module_cache import ModuleSums


@dataclass(frozen=True, slots=True)
class MainModule:
    """A module that is built from a folder of the user's: no checksum covers it."""

    folder: Path
    go_mod: GoMod
    file: str
    """Its go.mod, as the user knows it."""


@dataclass(frozen=True, slots=True)
class ReplacedFolder:
    """A folder that takes a module's place."""

    path: str
    folder: Path
    place: str
    """The line that says so."""


@dataclass(frozen=True, slots=True)
class GoProject:
    """What a build reads of versions and hashes."""

    folder: Path
    """With go.mod, or go.work in a workspace."""
    mains: tuple[MainModule, ...]
    work: GoWork | None
    sums: tuple[SumLine, ...]
    vendor: Vendor | None
    vendor_file: str = "vendor/modules.txt"

    @property
    def replacements(self) -> tuple[tuple[str, Replacement], ...]:
        """All `replace` lines with their file; those of go.work count before those of go.mod files."""
        own = [("go.work", one) for one in self.work.replace] if self.work else []
        return (*own, *((main.file, one) for main in self.mains for one in main.go_mod.replace))

    @property
    def folders(self) -> tuple[ReplacedFolder, ...]:
        """Folders that take a module's place by `replace`."""
        bases = {"go.work": self.folder} | {main.file: main.folder for main in self.mains}
        return tuple(
            ReplacedFolder(one.old_path, Path(os.path.normpath(bases[file] / one.new_path)), f"{file}:{one.line}")
            for file, one in self.replacements
            if one.is_local
        )

    def modules(self) -> Iterator[ModuleSums]:
        """Give every module version that go.sum has a line of; of lines that contradict each other the first."""
        zips: dict[tuple[str, str], SumLine] = {}
        mods: dict[tuple[str, str], SumLine] = {}
        for line in self.sums:
            (mods if line.go_mod else zips).setdefault((line.path, line.version), line)
        for key in dict.fromkeys((line.path, line.version) for line in self.sums):
            both = zips.get(key), mods.get(key)
            first = next(line for line in both if line)
            h1, go_mod = (line.hash if line else "" for line in both)
            yield ModuleSums(*key, h1, go_mod, f"{first.file}:{first.line}")


def read_project(folder: Path, go_work: str, cwd: Path) -> GoProject:
    """Read a module, or the workspace that it is in.

    Args:
        folder: the module's, or one in it.
        go_work: path of the go.work file that counts; empty: none.
        cwd: what paths are shown relative to.

    Raises:
        NotFound: there is no go.mod.
        InvalidDocument: a file is malformed; the line is named.
    """
    work = Path(go_work) if go_work and go_work != "off" else None
    module = next((up for up in (folder, *folder.parents) if (up / "go.mod").is_file()), None)
    if module is None and work is None:
        raise NotFound(f"{folder}: no go.mod in it or its parents", hint="give the directory of a Go module")
    root = work.parent if work else module
    assert root is not None  # noqa: S101 - one of the two is there
    parsed = parse_go_work(_text(work), _shown(work, cwd)) if work else None
    folders: Sequence[Path] = [Path(os.path.normpath(root / use)) for use in parsed.use] if parsed else [root]
    mains = tuple(
        MainModule(one, parse_go_mod(_text(one / "go.mod"), _shown(one / "go.mod", cwd)), _shown(one / "go.mod", cwd))
        for one in folders
    )
    files = [one / "go.sum" for one in folders] + ([root / "go.work.sum"] if work else [])
    sums = tuple(line for file in files if file.is_file() for line in parse_go_sum(_text(file), _shown(file, cwd)))
    listing = root / "vendor" / "modules.txt"
    vendor = parse_vendor(_text(listing), _shown(listing, cwd)) if listing.is_file() else None
    return GoProject(root, mains, parsed, sums, vendor, _shown(listing, cwd))


def _text(path: Path) -> str:
    content = read_regular(path, LARGEST)
    if content is None:
        raise NotFound(f"{path}: no such file", hint="go.work names a directory without a go.mod: go work edit")
    return content.decode(errors="replace")


def _shown(path: Path, cwd: Path) -> str:
    return os.path.relpath(path, cwd) if path.is_relative_to(cwd) else str(path)
