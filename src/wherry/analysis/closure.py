"""What a program needs at run time, and whether it is there.

Sources: ld.so(8), execve(2); Go 1.26, runtime/debug and plugin (who reads build info).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from wherry.analysis.mapped import map_elf
from wherry.elf.dynamic import DF_1_NODEFLIB, Dynamic
from wherry.elf.machine import architecture, library_folders
from wherry.elf.reader import ET_DYN, ET_EXEC, Elf
from wherry.errors import InvalidDocument
from wherry.finding import Finding, Severity
from wherry.golang import pclntab
from wherry.platform import Platform

Has = Callable[[str], bool]
"""Reports whether an absolute path exists, following links, in the root that a program starts in."""

_READERS = (
    "runtime/debug.ReadBuildInfo",
    "runtime/debug.ParseBuildInfo",  # debug/buildinfo.Read and ReadFile of the program's own file come by here
    "runtime/debug.modinfo",  # by go:linkname
    "plugin.Open",  # what a plugin calls is not known
)
_CGO = re.compile(rb"(?:\A|\x00)([^\x00]{1,512})\._C2?func_")
_MUSL = re.compile(r"/ld-musl-[^/]*\Z")
_MUSL_OWN = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.")
"""Libraries that musl's dynamic linker is itself (ldso/dynlink.c, `load_library`)."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What an executable asks of the root it starts in."""

    architecture: str
    """As GOARCH says it."""
    interpreter: str
    """The program that loads it, such as /lib64/ld-linux-x86-64.so.2; empty where the kernel does."""
    libraries: tuple[str, ...]
    """DT_NEEDED: by soname, those of libraries of libraries not among them."""
    search: tuple[str, ...]
    """Folders that the file itself has libraries looked for in; `$ORIGIN` stands as written."""
    only_search: bool
    """Whether libraries are looked for nowhere else."""

    @classmethod
    def of(cls, elf: Elf) -> Self:
        """Read them of a local file.

        Raises:
            InvalidDocument: the interpreter or the dynamic section is broken.
        """
        dynamic = Dynamic.of(elf)
        return cls(
            architecture(elf), elf.interpreter, dynamic.needed, dynamic.search, bool(dynamic.flags_1 & DF_1_NODEFLIB)
        )

    @property
    def static(self) -> bool:
        """Whether the file alone is enough."""
        return not self.interpreter and not self.libraries

    @property
    def musl(self) -> bool:
        """Whether it is linked against musl."""
        return _MUSL.search(self.interpreter) is not None

    def folders(self, place: str) -> tuple[str, ...]:
        """List where its libraries are looked for, when it is at `place`."""
        origin = str(PurePosixPath(place).parent)
        own = tuple(re.sub(r"\$ORIGIN\b|\$\{ORIGIN\}", lambda _: origin, folder) for folder in self.search)
        return own if self.only_search else own + library_folders(self.architecture)

    def missing(self, has: Has, place: str) -> tuple[str, ...]:
        """List the libraries that a root has in none of the folders."""
        return tuple(library for library in self.libraries if not self._finds(library, has, place))

    def _finds(self, library: str, has: Has, place: str) -> bool:
        if "/" in library:
            return has(library)
        if library == PurePosixPath(self.interpreter).name or (self.musl and _MUSL_OWN.match(library)):
            return has(self.interpreter)
        return any(has(f"{folder.rstrip('/')}/{library}") for folder in self.folders(place))


def needs_of(binary: Path) -> Needs:
    """Read what an executable asks for.

    Raises:
        NotFound: there is no such file.
        InvalidDocument: it is not an ELF file, or a broken one.
    """
    return Needs.of(map_elf(binary))


def start_findings(binary: Path, *, has: Has, platform: Platform | None = None, place: str = "") -> tuple[Finding, ...]:
    """Judge whether an executable can start in a root; an empty answer says yes.

    Args:
        binary: the file, here.
        has: what the root has.
        platform: what the root is made for; its architecture is compared where it is given.
        place: the file's path in the root; its name where that is empty.

    Returns:
        At most one finding of each kind; of severity `error` where it is sure not to start, `warning` where
        a library may still be found by an /etc/ld.so.cache, which is not read.

    Raises:
        NotFound: there is no such file.
    """
    place = place or f"/{binary.name}"
    try:
        elf = map_elf(binary, place)
        needs = Needs.of(elf)
    except InvalidDocument as error:
        return (_error("not-an-executable", place, "it is not an executable that Linux can start", error.problem),)
    if elf.type not in {ET_EXEC, ET_DYN} or not elf.entry:
        kind = "a shared library" if elf.type == ET_DYN else "an object file"
        return (_error("not-an-executable", place, f"it is {kind}, not an executable", remedy="build a main package"),)
    found = [_wrong_architecture(needs, platform, place), _missing_interpreter(elf, needs, has, place)]
    if not found[1]:
        found.append(_missing_library(elf, needs, has, place))
    return tuple(finding for finding in found if finding)


def reads_build_info(binary: Path) -> bool:
    """Report whether a Go program may read its own build info (modules, VCS state) when it runs.

    It goes by the functions that the linker kept, so a call that is never reached does not count. Where that
    is unknown (no pclntab, an unknown Go version) the answer is yes: then nothing is taken from the program.

    Raises:
        NotFound: there is no such file.
        InvalidDocument: it is not an ELF file, or a broken one.

    Cost: one search over the names of functions, some milliseconds for 30 MB.
    """
    table = _functions(map_elf(binary))
    return table is None or table.has_any(_READERS)


def _functions(elf: Elf) -> pclntab.Pclntab | None:
    """Find the pclntab of a Go program; None where there is none, or none that we can read."""
    section = next(filter(None, map(elf.section, pclntab.SECTIONS)), None)
    if section is None:
        return None
    try:
        return pclntab.Pclntab.parse(elf.content(section), elf.name)
    except InvalidDocument:
        return None


def _wrong_architecture(needs: Needs, platform: Platform | None, place: str) -> Finding | None:
    if platform is None or needs.architecture == platform.architecture:
        return None
    return _error(
        "wrong-architecture",
        place,
        f"it is built for {needs.architecture}, the image for {platform}",
        remedy=f"build it with GOARCH={platform.architecture}, or the image with --platform linux/{needs.architecture}",
    )


def _missing_interpreter(elf: Elf, needs: Needs, has: Has, place: str) -> Finding | None:
    if not needs.interpreter or has(needs.interpreter):
        return None
    loader = PurePosixPath(needs.interpreter).name
    missing = (needs.interpreter, *(library for library in needs.missing(has, place) if library != loader))
    lacks = f"the root file system has no {', no '.join(missing)}"
    if not needs.libraries:
        return _error(
            "pie-on-static-base",
            place,
            f"it needs the dynamic linker {needs.interpreter}, which its base does not have",
            "-buildmode=pie without cgo needs a dynamic linker for relocation, although it uses no library",
            lacks,
            remedy="remove -buildmode=pie, or choose a base with a dynamic linker",
        )
    return _error(
        "missing-interpreter", place, _linked(needs), *_why_dynamic(elf), lacks,
        remedy=_remedy(elf, f"choose a base that has {'musl' if needs.musl else 'glibc'}"),
    )  # fmt: skip


def _missing_library(elf: Elf, needs: Needs, has: Has, place: str) -> Finding | None:
    missing = needs.missing(has, place)
    if not missing:
        return None
    unsure = has("/etc/ld.so.cache") and not needs.musl
    return Finding(
        rule="missing-library",
        severity=Severity.WARNING if unsure else Severity.ERROR,
        place=place,
        message=_linked(needs),
        evidence=(*_why_dynamic(elf), f"the root has no {', no '.join(missing)} in {', '.join(needs.folders(place))}"),
        remedy=_remedy(elf, f"choose a base that has {', '.join(missing)}"),
    )


def _linked(needs: Needs) -> str:
    return f"it is dynamically linked: interpreter {needs.interpreter or 'none'}, needs {', '.join(needs.libraries)}"


def _why_dynamic(elf: Elf) -> tuple[str, ...]:
    """Say what of a Go program uses C; nothing for a program of another language."""
    table = _functions(elf)
    if table is None:
        return ()
    packages = sorted({found.decode(errors="replace") for found in _CGO.findall(table.funcnames)} - {"runtime/cgo"})
    users = " and ".join([", ".join(packages[:-1]), packages[-1]] if packages[1:] else packages)
    if users:
        return (f"{users} use{'' if packages[1:] else 's'} cgo, which was enabled in the build (CGO_ENABLED=1)",)
    return ("it was linked by the C compiler (cgo, or -linkmode=external)",)


def _remedy(elf: Elf, base: str) -> str:
    return base if _functions(elf) is None else f"build it with CGO_ENABLED=0 (wherry's default), or {base}"


def _error(rule: str, place: str, message: str, *evidence: str, remedy: str = "") -> Finding:
    return Finding(rule, Severity.ERROR, place, message, evidence, remedy)
