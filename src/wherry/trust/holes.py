"""Known holes of a program, a go.mod or Debian packages, each with the strongest evidence that holds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from wherry.golang.buildinfo import BuildInfo
from wherry.trust.database import DEBIAN, GO, Advisory, VulnerabilityIndex, Vulnerable
from wherry.trust.known_holes import NOT_PRESENT, STDLIB, TOOLCHAIN, EvidenceLevel, Hole, HoleStatus, ScanResult
from wherry.trust.linked import linked_modules, linked_symbols
from wherry.trust.matching import debian_affected, debian_fixed, go_affected, go_fixed
from wherry.trust.versions import DEVEL, go_name, go_release, semver

if TYPE_CHECKING:
    from wherry.golang.modfile import GoMod
    from wherry.trust.distribution import DebianPackages
    from wherry.trust.programs import Program


@dataclass(frozen=True, slots=True)
class Required:
    """A module in a version, as it counts."""

    path: str
    version: str
    original: str = ""
    """The path that imports use, where it is replaced."""


_ORDER: Final = list(EvidenceLevel)


@dataclass(frozen=True, slots=True)
class LinkedCode:
    """What of the vulnerable code is there."""

    symbols: Mapping[str, frozenset[str]]
    """Functions that were asked about and are there, by package; a package that is there without them has none."""
    modules: frozenset[str]
    """Modules with any package that is there, of those that were asked about."""
    imported: bool = False
    """Whether imports were read and not a program: then no functions are known."""


def program_holes(program: "Program", index: VulnerabilityIndex) -> ScanResult:
    """Find the known holes of a Go program."""
    info = program.info
    modules, unknown = _modules_of(info)
    found = list(_affecting(modules, index, info.settings.get("GOOS", ""), info.settings.get("GOARCH", "")))
    if program.unreadable:
        unknown = (*unknown, f"which functions are linked: {program.unreadable}")
    linked = None if program.unreadable else _linked(program, found)
    return _result([_hole(*one, linked) for one in found], unknown, len(modules))


def _linked(program: "Program", found: Sequence["_Found"]) -> LinkedCode:
    info = program.info
    wanted: dict[str, set[str]] = {}
    for one, _, parts in found:
        for package in (package for part in parts for package in part.packages):
            wanted.setdefault(_import_path(one, package.path), set()).update(package.symbols)
    whole = {one.original or one.path for one, _, parts in found if any(not part.packages for part in parts)}
    known = {one.path for one in (*info.modules, *((info.main,) if info.main else ()))}
    return LinkedCode(
        linked_symbols(program.functions, wanted, info.path),
        linked_modules(program.functions, whole, known),
    )


def go_mod_holes(
    go_mod: "GoMod", index: VulnerabilityIndex, imported: frozenset[str] | None = None, release: str = ""
) -> ScanResult:
    """Find the known holes of what a go.mod requires.

    Args:
        go_mod: the file.
        index: the database.
        imported: the packages that the module's own need, where Go was asked; None: not known.
        release: the Go that builds it, such as `go1.26.8`; empty: the least that go.mod allows.
    """
    modules = [_replaced(one.path, one.version, go_mod) for one in go_mod.require]
    unknown = [f"{one.original or one.path}: replaced by a directory" for one in modules if not one.version]
    release = go_release(release or go_mod.toolchain or f"go{go_mod.go}")
    if semver(release) is not None:
        modules += [Required(name, release) for name in (STDLIB, TOOLCHAIN)]
    else:
        unknown.append("the standard library: go.mod has no go line")
    found = list(_affecting([one for one in modules if one.version], index, "", ""))
    linked = None if imported is None else LinkedCode(dict.fromkeys(imported, frozenset()), frozenset(), imported=True)
    return _result([_hole(*one, linked) for one in found], tuple(unknown), len(modules))


def debian_holes(packages: "DebianPackages", index: VulnerabilityIndex) -> ScanResult:
    """Find the known holes of Debian packages, by their source package; nothing where there is no data for them."""
    ecosystem = f"{DEBIAN}:{packages.release}" if packages.release else DEBIAN
    names = {(one.source, one.source_version): one for one in packages.installed}
    if not index.covers(ecosystem):
        return ScanResult((), (), (f"{len(names)} Debian packages: the database has nothing of {ecosystem}",))
    holes = []
    for source, version in sorted(names):
        for advisory in index.of(ecosystem, source):
            parts = tuple(part for part in advisory.affected if debian_affected(version, part))
            if parts:
                holes.append(_debian_hole(source, version, advisory, debian_fixed(version, parts)))
    return _result(holes, (), len(names))


def _debian_hole(source: str, version: str, advisory: Advisory, fixed: str) -> Hole:
    said = f"Debian source package {source} {version} is installed"
    hole = Hole(advisory.id, source, version, EvidenceLevel.MODULE, (), (), fixed, evidence=said, ecosystem=DEBIAN)
    return _described(hole, advisory)


def _modules_of(info: BuildInfo) -> tuple[list[Required], tuple[str, ...]]:
    """Give the modules with a version, and the names of those without one."""
    modules: list[Required] = []
    unknown: list[str] = []
    release = go_release(info.go_version)
    if release:
        modules.append(Required(STDLIB, release))
    else:
        unknown.append(f"the standard library: {info.go_version or 'its Go'} is no release")
    for one in (*info.modules, *((info.main,) if info.main else ())):
        by = one.replace or one
        if by.version in {"", DEVEL} or semver(by.version) is None:
            unknown.append(
                f"{one.path}: its version is not known" + (" (replaced by a directory)" if one.replace else "")
            )
        else:
            modules.append(Required(by.path, by.version, one.path if by.path != one.path else ""))
    return modules, tuple(unknown)


def _replaced(path: str, version: str, go_mod: "GoMod") -> Required:
    for one in sorted(go_mod.replace, key=lambda line: not line.old_version):  # a line about one version counts first
        if one.old_path == path and one.old_version in {"", version}:
            return Required(one.new_path, one.new_version, path)
    return Required(path, version)


_Found = tuple[Required, Advisory, tuple[Vulnerable, ...]]


def _affecting(modules: Iterable[Required], index: VulnerabilityIndex, goos: str, goarch: str) -> Iterator[_Found]:
    for required in modules:
        for advisory in index.of(GO, required.path):
            parts = tuple(
                part for part in advisory.affected
                if go_affected(required.version, part) and _on_platform(part, goos, goarch)
            )  # fmt: skip
            if parts:
                yield required, advisory, parts


def _on_platform(part: Vulnerable, goos: str, goarch: str) -> bool:
    """Tell whether a hole is on a system at all: some packages are only compiled for others."""
    return not part.packages or any(
        (not goos or not one.goos or goos in one.goos) and (not goarch or not one.goarch or goarch in one.goarch)
        for one in part.packages
    )


def _import_path(required: Required, path: str) -> str:
    """Give the path by which a package of a replaced module is imported."""
    if required.original and (path == required.path or path.startswith(f"{required.path}/")):
        return required.original + path[len(required.path) :]
    return path


def _hole(required: Required, advisory: Advisory, parts: tuple[Vulnerable, ...], linked: LinkedCode | None) -> Hole:
    evidence = _evidence(required, parts, linked)
    is_go = required.path in {STDLIB, TOOLCHAIN}
    fixed = go_fixed(required.version, parts)
    hole = Hole(
        id=advisory.id,
        module=required.path,
        version=go_name(required.version) if is_go else required.version,
        level=evidence.level,
        symbols=evidence.symbols,
        packages=evidence.packages,
        fixed="" if not fixed else go_name(fixed) if is_go else f"v{fixed.removeprefix('v')}",
        required_as=required.original,
        status=evidence.status,
        justification=NOT_PRESENT if evidence.status is HoleStatus.NOT_AFFECTED else "",
        evidence=evidence.words,
    )
    return _described(hole, advisory)


@dataclass(frozen=True, slots=True)
class _Evidence:
    level: EvidenceLevel
    status: HoleStatus
    words: str
    packages: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()


def _evidence(required: Required, parts: Sequence[Vulnerable], linked: LinkedCode | None) -> _Evidence:
    """Say how near the hole is, and what follows: without its code a program is not affected."""
    module = required.original or required.path
    if linked is None:
        return _Evidence(EvidenceLevel.MODULE, HoleStatus.INVESTIGATED, "which code is linked is not known")
    wanted = [(_import_path(required, one.path), one.symbols) for part in parts for one in part.packages]
    if linked.imported:
        return _imported(wanted, linked)
    if any(not part.packages for part in parts):
        if module not in linked.modules:
            return _Evidence(EvidenceLevel.MODULE, HoleStatus.NOT_AFFECTED, "no package of the module is linked")
        words = "the entry names no packages, so all of the module counts, and some of it is linked"
        return _Evidence(EvidenceLevel.SYMBOL, HoleStatus.AFFECTED, words, (), (f"{module}/*",))
    return _linked_evidence(wanted, linked)


def _linked_evidence(wanted: Sequence[tuple[str, tuple[str, ...]]], linked: LinkedCode) -> _Evidence:
    packages = tuple(sorted({path for path, _ in wanted if path in linked.symbols}))
    if not packages:
        return _Evidence(EvidenceLevel.MODULE, HoleStatus.NOT_AFFECTED, "no vulnerable package is linked")
    symbols: set[str] = set()
    for path, names in wanted:
        symbols |= {f"{path}.{name}" for name in linked.symbols.get(path, frozenset()).intersection(names)}
        if path in linked.symbols and not names:
            symbols.add(f"{path}.*")
    if not symbols:
        words = "a vulnerable package is linked, and none of its vulnerable functions"
        return _Evidence(EvidenceLevel.PACKAGE, HoleStatus.NOT_AFFECTED, words, packages)
    words = "vulnerable functions are linked into the program"
    return _Evidence(EvidenceLevel.SYMBOL, HoleStatus.AFFECTED, words, packages, tuple(sorted(symbols)))


def _imported(wanted: Sequence[tuple[str, tuple[str, ...]]], linked: LinkedCode) -> _Evidence:
    packages = tuple(sorted({path for path, _ in wanted if path in linked.symbols}))
    if packages:
        return _Evidence(EvidenceLevel.PACKAGE, HoleStatus.INVESTIGATED, "a vulnerable package is imported", packages)
    if not wanted:
        return _Evidence(EvidenceLevel.MODULE, HoleStatus.INVESTIGATED, "the entry names no packages")
    return _Evidence(EvidenceLevel.MODULE, HoleStatus.NOT_AFFECTED, "no vulnerable package is imported")


def _described(hole: Hole, advisory: Advisory) -> Hole:
    return replace(
        hole, aliases=advisory.aliases, summary=advisory.summary, url=advisory.url, severity=advisory.severity,
        reviewed=advisory.reviewed, withdrawn=advisory.withdrawn,
    )  # fmt: skip


def _result(holes: Iterable[Hole], unknown: tuple[str, ...], modules: int) -> ScanResult:
    ordered = sorted(holes, key=lambda one: (-_ORDER.index(one.level), one.reviewed is False, one.module, one.id))
    return ScanResult(
        tuple(one for one in ordered if not one.withdrawn),
        tuple(one for one in ordered if one.withdrawn),
        unknown,
        modules,
    )
