"""One module against its line in go.sum: its zip, the go.mod file, what is unpacked of it, what is vendored of it.

Everything is unpacked once, in memory: the hash of the zip, and the bytes that other folders should have.
Source: Go 1.26, cmd/go/internal/modcmd/verify.go, which compares the zip and the unpacked folder by a hash each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from wherry.errors import InvalidDocument
from wherry.finding import Finding, Severity
from wherry.golang.modpath import escape
from wherry.trust.module_files import LARGEST_GO_MOD
from wherry.trust.module_zip import ModuleZip, ZipEntry, go_mod_h1
from wherry.trust.unpacked import FolderCheck, files_below


class CopyState(StrEnum):
    """What became of one copy of a module."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    ABSENT = "absent"
    UNKNOWN = "unknown"
    """There is nothing to compare it with."""


@dataclass(frozen=True, slots=True)
class ModuleSums:
    """What go.sum says of one module version."""

    path: str
    version: str
    h1: str
    """Of the zip; empty where go.sum has only the line of its go.mod file."""
    go_mod_h1: str
    place: str
    """Its line in go.sum, `go.sum:12`."""

    @property
    def name(self) -> str:
        """As messages call it."""
        return f"{self.path}@{self.version}"


@dataclass(frozen=True, slots=True)
class CheckedModule:
    """What the module cache and vendor/ have of a module."""

    sums: ModuleSums
    zip: CopyState
    unpacked: CopyState
    files: int = 0
    """Compared with the zip, in the cache and in vendor/."""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class ModuleCache:
    """The Go command's module cache."""

    folder: Path

    def zip_of(self, path: str, version: str) -> Path:
        """Give the place of a module's zip."""
        return self._download(path, version).with_suffix(".zip")

    def check(self, sums: ModuleSums, others: Sequence[FolderCheck] = ()) -> CheckedModule:
        """Check all that the cache has of a module.

        Args:
            sums: what go.sum says.
            others: further folders that hold files of it; they are shown each file, and not finished.
        """
        findings = list(self._go_mod(sums))
        zip_path = self.zip_of(sums.path, sums.version)
        if not sums.h1 or not zip_path.is_file():
            unpacked = self._unpacked_folder(sums)
            state = CopyState.UNKNOWN if sums.h1 and unpacked.is_dir() else CopyState.ABSENT
            return CheckedModule(sums, CopyState.ABSENT, state, findings=tuple(findings))
        folder = self._folder_check(sums)
        checks = [*others, *([folder] if folder else [])]

        def see(entry: ZipEntry, content: bytes) -> None:
            for check in checks:
                check.see(entry.name, content)

        try:
            with ModuleZip.open(zip_path) as opened:
                found = opened.h1(see)
                problem = opened.checked(f"{sums.name}/").problem if found != sums.h1 else ""
        except InvalidDocument as error:
            findings.append(_wrong_zip(sums, "the zip in the module cache is damaged", (error.message,)))
            return CheckedModule(sums, CopyState.CHANGED, CopyState.UNKNOWN, findings=tuple(findings))
        if found != sums.h1:
            evidence = (f"{sums.place}: {sums.h1}", f"{zip_path.name}: {found}", *([problem] if problem else []))
            findings.append(_wrong_zip(sums, "the zip in the module cache is not the one of go.sum", evidence))
        added = list(folder.finish()) if folder else []
        unpacked_state = (CopyState.CHANGED if added else CopyState.UNCHANGED) if folder else CopyState.ABSENT
        return CheckedModule(
            sums, CopyState.CHANGED if found != sums.h1 else CopyState.UNCHANGED, unpacked_state,
            folder.files if folder else 0, tuple(findings + added),
        )  # fmt: skip

    def _folder_check(self, sums: ModuleSums) -> FolderCheck | None:
        unpacked = self._unpacked_folder(sums)
        prefix = f"{sums.name}/"
        try:
            files = files_below(str(unpacked), prefix)
        except OSError:
            return None
        return FolderCheck(files, lambda name: f"{unpacked}/{name.removeprefix(prefix)}", f"the zip of {sums.name}")

    def _go_mod(self, sums: ModuleSums) -> Iterator[Finding]:
        path = self._download(sums.path, sums.version).with_suffix(".mod")
        if not sums.go_mod_h1 or not path.is_file() or path.stat().st_size > LARGEST_GO_MOD:
            return
        found = go_mod_h1(path.read_bytes())
        if found != sums.go_mod_h1:
            yield Finding(
                "go-mod-mismatch", Severity.ERROR, sums.place,
                f"{sums.name}: its go.mod file in the module cache is not the one of go.sum",
                (f"go.sum: {sums.go_mod_h1}", f"{path.name}: {found}"),
                "run go clean -modcache and go mod download; find out who changed it",
            )  # fmt: skip

    def _download(self, path: str, version: str) -> Path:
        # `with_suffix` replaces what is behind the last dot, so one stands there.
        return self.folder / "cache" / "download" / escape(path) / "@v" / f"{escape(version)}.x"

    def _unpacked_folder(self, sums: ModuleSums) -> Path:
        return self.folder / f"{escape(sums.path)}@{escape(sums.version)}"


def _wrong_zip(sums: ModuleSums, what: str, evidence: tuple[str, ...]) -> Finding:
    return Finding(
        "zip-mismatch", Severity.ERROR, sums.place, f"{sums.name}: {what}", evidence,
        "do not build; run go clean -modcache and go mod download; if it stays so, go.sum or the proxy is not honest",
    )  # fmt: skip
