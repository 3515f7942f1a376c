"""vendor/ against what it was copied from, and vendor/modules.txt against go.mod.

Source: Go 1.26, cmd/go/internal/modcmd/vendor.go (which files `go mod vendor` copies) and
cmd/go/internal/modload/vendor.go (`checkVendorConsistency`).
"""

import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wherry.finding import Finding, Severity
from wherry.golang.vendor import Vendor, VendoredModule
from wherry.trust.constraint import could_build
from wherry.trust.project import GoProject, ReplacedFolder
from wherry.trust.unpacked import FolderCheck

_LARGEST_LOCAL = 64 << 20
_MANIFEST = "modules.txt"
_AGAIN = "run go mod vendor, and look at what it changes"


@dataclass(frozen=True, slots=True)
class VendoredFolders:
    """What is in vendor/, by the module that modules.txt says it is of."""

    checks: Mapping[str, FolderCheck]
    """By path and version of what was copied, `PATH@VERSION`; of a folder by its path alone."""
    modules: Mapping[str, VendoredModule]
    strays: tuple[Finding, ...]
    """Files that belong to no module."""


def vendored_folders(project: GoProject, cwd: Path) -> VendoredFolders:
    """List the files of vendor/, each with the module that it is of.

    Args:
        project: with a vendor folder.
        cwd: what paths are shown relative to.
    """
    vendor, folder = project.vendor, project.folder / "vendor"
    assert vendor is not None  # noqa: S101 - the caller looked
    own = {module.path: module for module in vendor.modules if module.packages}
    files: dict[str, dict[str, str]] = {path: {} for path in own}
    shown = os.path.relpath(folder, cwd) if folder.is_relative_to(cwd) else str(folder)
    strays = []
    for inside, path, owner in _walk(str(folder), own):
        if owner:
            files[owner][f"{_name(own[owner])}/{inside[len(owner) + 1 :]}"] = path
        elif inside != _MANIFEST:
            strays.append(Finding(
                "added-file", Severity.ERROR, f"{shown}/{inside}", "added: no module of vendor/modules.txt has it", (),
                "delete it, or find out who added it: go mod vendor does not write it",
            ))  # fmt: skip
    checks = {_key(module): _check(module, files[path], shown) for path, module in own.items()}
    return VendoredFolders(checks, {_key(module): module for module in own.values()}, tuple(strays))


def _check(module: VendoredModule, files: dict[str, str], shown: str) -> FolderCheck:
    prefix = f"{_name(module)}/"
    packages = {package.removeprefix(module.path).strip("/") for package in module.packages}

    def needed(name: str, content: bytes) -> bool:
        folder, base = posixpath.split(name.removeprefix(prefix))
        if folder not in packages or base.endswith("_test.go") or base in {"go.mod", "go.sum"}:
            return False
        return not base.endswith(".go") or could_build(content)

    source = f"the zip of {_name(module)}" if module.new_version or not module.new_path else module.new_path
    return FolderCheck(files, lambda name: f"{shown}/{module.path}/{name.removeprefix(prefix)}", source, needed)


def show_folder(check: FolderCheck, module: VendoredModule, folder: ReplacedFolder) -> None:
    """Compare what is vendored of a folder that takes a module's place with that folder."""
    prefix = f"{_name(module)}/"
    for here, below, names in os.walk(folder.folder):
        below[:] = [
            name for name in below if name not in {".git", "vendor"} and not Path(here, name, "go.mod").exists()
        ]
        for name in names:
            path = Path(here, name)
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST_LOCAL:
                check.see(prefix + path.relative_to(folder.folder).as_posix(), path.read_bytes())


def _key(module: VendoredModule) -> str:
    return module.path if module.new_path and not module.new_version else _name(module)


def _name(module: VendoredModule) -> str:
    """Name what was copied: the prefix of its files in a zip."""
    if module.new_path:
        return f"{module.new_path}@{module.new_version}" if module.new_version else module.path
    return f"{module.path}@{module.version}"


def _walk(folder: str, modules: Mapping[str, VendoredModule]) -> Iterator[tuple[str, str, str]]:
    """Give each file with the innermost module that its folder is of; empty where there is none."""
    waiting = [(folder, "", "")]
    while waiting:
        here, inside, owner = waiting.pop()
        with os.scandir(here) as entries:
            for entry in entries:
                name = f"{inside}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{name}/", name if name in modules else owner))
                else:
                    yield name, entry.path, owner


def listing_findings(project: GoProject) -> Iterator[Finding]:
    """Compare vendor/modules.txt with go.mod, as `go build -mod=vendor` does, and with `exclude`, which it does not.

    In a workspace versions come from several go.mod files, so only replacements are compared.
    """
    vendor, file = project.vendor, project.vendor_file
    if vendor is None:
        return
    if bool(project.work) != vendor.workspace:
        yield _listing(f"{file}:1", "made for a workspace" if vendor.workspace else "made without the workspace")
        return
    listed = {(module.path, module.version): module for module in vendor.modules if module.version}
    if not vendor.workspace:
        yield from _requirements(project, listed)
    yield from _replacements(project, vendor)
    excluded = {
        (one.path, one.version): f"{main.file}:{one.line}" for main in project.mains for one in main.go_mod.exclude
    }
    for key, module in listed.items():
        if key in excluded:
            yield _listing(f"{file}:{module.line}", f"{key[0]} {key[1]} is excluded in {excluded[key]}")


def _requirements(project: GoProject, listed: Mapping[tuple[str, str], VendoredModule]) -> Iterator[Finding]:
    required = {
        (one.path, one.version): f"{main.file}:{one.line}" for main in project.mains for one in main.go_mod.require
    }
    versions = dict(listed.keys())
    for (path, version), place in required.items():
        module = listed.get((path, version))
        if module is None:
            other = versions.get(path)
            what = f"{project.vendor_file} has {other}" if other else f"{project.vendor_file} does not have it"
            yield _listing(place, f"go.mod requires {path} {version}, {what}")
        elif not module.explicit:
            yield _listing(
                f"{project.vendor_file}:{module.line}", f"{path} {version} is required in {place}, but not explicit"
            )
    for key, module in listed.items():
        if module.explicit and key not in required:
            yield _listing(
                f"{project.vendor_file}:{module.line}", f"{key[0]} {key[1]} is explicit, but go.mod does not require it"
            )


def _replacements(project: GoProject, vendor: Vendor) -> Iterator[Finding]:
    said = {(one.old_path, one.old_version): (one, file) for file, one in reversed(project.replacements)}
    for module in vendor.modules:
        there = said.get((module.path, module.version)) or said.get((module.path, ""))
        place = f"{project.vendor_file}:{module.line}"
        if module.new_path and there is None:
            yield _listing(place, f"{module.path} is replaced by {module.new_path}, but not in go.mod")
        elif there and (module.new_path, module.new_version) != (there[0].new_path, there[0].new_version):
            theirs = f"{there[0].new_path} {there[0].new_version}".strip()
            yield _listing(place, f"{module.path} is replaced by {theirs} in {there[1]}:{there[0].line}, but not here")


def _listing(place: str, problem: str) -> Finding:
    return Finding("vendor-inconsistent", Severity.ERROR, place, problem, (), _AGAIN)
