"""What a build does before anything is compiled, for those who have to rely on it: modules are verified."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.progress import Progress
from wherry.app.session import Session
from wherry.counted import counted
from wherry.errors import WherryError

if TYPE_CHECKING:
    from wherry.trust.verify_modules import ModuleRow, ModulesDocument

_SHOWN = 3
_VENDOR = "vendor/modules.txt"
_VERIFIED = "go.sum; the module was verified"
_SAME, _OTHER = "unchanged", "changed"
"""`ModuleRow.vendor` and `cache`."""


class ModulesUnverified(WherryError):
    """The modules of a build are not what `[trust] modules` of wherry.toml asks for; nothing was built."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class VerifiedModules:
    """What is known of modules that were verified, by path and version."""

    sums: Mapping[tuple[str, str], str] = field(default_factory=dict)
    sum_notes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Where a hash is from, or why there is none."""
    proofs: Mapping[tuple[str, str], str] = field(default_factory=dict)


def require_modules(
    session: Session, wanted: Sequence[tuple[Path, str]], progress: Progress, *, offline: bool
) -> VerifiedModules:
    """Verify the modules of each folder as its wherry.toml asks.

    Args:
        session: where.
        wanted: folders of modules, with `sumdb` or `vendor+sumdb`.
        progress: where it is reported.
        offline: whether nothing may be asked; what is not kept then is unverified.

    Raises:
        ModulesUnverified: something is wrong, or could not be verified.
        WherryError: a file is malformed, or there is no Go.
    """
    from wherry.app.modules import ModulesOptions, verify_modules

    sums: dict[tuple[str, str], str] = {}
    proofs: dict[tuple[str, str], str] = {}
    for folder, words in dict.fromkeys(wanted):
        with progress.step("verify modules") as step:
            options = ModulesOptions(folder=str(folder), offline=offline, vendor="vendor" in words)
            document = verify_modules(session, options)
            _refuse(document, words)
            step.done(f"verified {counted(len(document.modules), 'module')}")
        for row in document.modules:
            sums[row.path, row.version] = row.h1
            if row.record is not None and document.database:
                proofs[row.path, row.version] = f"record {row.record} of {document.database.name}"
    return VerifiedModules(sums, dict.fromkeys(sums, _VERIFIED), proofs)


def vendored_sums(session: Session, folders: Sequence[Path], progress: Progress) -> VerifiedModules:
    """Find the hashes of modules of which vendor/ is built, for documents: the program itself has none.

    A module of which vendor/ has something else than its zip gets none. Nothing is fetched, and nothing that is wrong
    stops the build: that is what `[trust] modules` is for.
    """
    from wherry.app.modules import ModulesOptions, verify_modules

    sums: dict[tuple[str, str], str] = {}
    notes: dict[tuple[str, str], str] = {}
    for folder in dict.fromkeys(folders):
        if not (folder / _VENDOR).is_file():
            continue
        with progress.step("compare vendor/ with go.sum") as step:
            try:
                document = verify_modules(session, ModulesOptions(folder=str(folder), offline=True, database=False))
            except WherryError as error:
                step.done(f"not compared: {error.message}; the documents have no hashes of modules")
                continue
            for row in document.modules:
                sums[row.path, row.version], notes[row.path, row.version] = _vendored(row)
            compared = sum(row.vendor == _SAME for row in document.modules)
            step.done(f"compared {compared} modules with their zips")
    return VerifiedModules({key: text for key, text in sums.items() if text}, notes)


def _vendored(row: "ModuleRow") -> tuple[str, str]:
    """Give a module's hash, or none, and why."""
    if row.vendor == _SAME and row.cache == _SAME:
        return row.h1, "go.sum; vendor/ was compared with the module's zip"
    if _OTHER in {row.vendor, row.cache}:
        return (
            "",
            f"{'vendor/' if row.vendor == _OTHER else 'the zip in the module cache'} differs from go.sum's module",
        )
    return row.h1, "go.sum; vendor/ was not compared, since the module's zip is not in the module cache"


def _refuse(document: "ModulesDocument", words: str) -> None:
    problems = [f"{one.place}: {one.message}" for one in document.findings] + list(document.unverified)
    if document.database_off:
        problems.append(f"the checksum database was not asked: {document.database_off}")
    if problems:
        more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ModulesUnverified(
            f'modules are not verified, and [trust] of wherry.toml has modules = "{words}"\n  '
            + "\n  ".join(problems[:_SHOWN])
            + more,
            hint="see all with `wherry modules verify`; nothing was built",
        )
