"""What a program needs at run time, and whether it is there.

Sources: ld.so(8), execve(2); Go 1.26, runtime/debug and plugin (who reads build info).
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from wherry.analysis.deps.facts import ElfFacts
from wherry.analysis.deps.loader import Closure, closure_of
from wherry.analysis.deps.root import ProgramRoot
from wherry.analysis.mapped import map_elf
from wherry.elf.dynamic import Dynamic
from wherry.elf.reader import ET_DYN, ET_EXEC, Elf
from wherry.errors import InvalidDocument
from wherry.finding import Finding, Severity
from wherry.golang import pclntab
from wherry.platform import Platform

_READERS = (
    "runtime/debug.ReadBuildInfo",
    "runtime/debug.ParseBuildInfo",  # debug/buildinfo.Read and ReadFile of the program's own file come by here
    "runtime/debug.modinfo",  # by go:linkname
    "plugin.Open",  # what a plugin calls is not known
)
_CGO = re.compile(rb"(?:\A|\x00)([^\x00]{1,512})\._C2?func_")


@dataclass(frozen=True, slots=True)
class Needs:
    """What an executable asks of the root it starts in."""

    interpreter: str
    """The program that loads it, such as /lib64/ld-linux-x86-64.so.2; empty where the kernel does."""
    libraries: tuple[str, ...]
    """DT_NEEDED: by soname, those of libraries of libraries not among them."""

    @classmethod
    def of(cls, elf: Elf) -> Self:
        """Read them of a local file.

        Raises:
            InvalidDocument: the interpreter or the dynamic section is broken.
        """
        return cls(elf.interpreter, Dynamic.of(elf).needed)

    @property
    def static(self) -> bool:
        """Whether the file alone is enough."""
        return not self.interpreter and not self.libraries


def needs_of(binary: Path) -> Needs:
    """Read what an executable asks for.

    Raises:
        NotFound: there is no such file.
        InvalidDocument: it is not an ELF file, or a broken one.
    """
    return Needs.of(map_elf(binary))


def start_findings(
    binary: Path, *, root: ProgramRoot, platform: Platform | None = None, place: str = ""
) -> tuple[Finding, ...]:
    """Judge whether an executable can start in a root; an empty answer says yes.

    Args:
        binary: the file, here.
        root: where it starts; it need not have the file.
        platform: what the root is made for; its architecture is compared where it is given.
        place: the file's path in the root; its name where that is empty.

    Returns:
        At most one finding of each kind; of severity `error` where it is sure not to start, `warning` where a library
        may still be found by an /etc/ld.so.cache that is broken.

    Raises:
        NotFound: there is no such file.
    """
    place = place or f"/{binary.name}"
    try:
        elf = map_elf(binary, place)
        facts = ElfFacts.of(elf)
    except InvalidDocument as error:
        return (_error("not-an-executable", place, "it is not an executable that Linux can start", error.problem),)
    if elf.type not in {ET_EXEC, ET_DYN} or not elf.entry:
        kind = "a shared library" if elf.type == ET_DYN else "an object file"
        return (_error("not-an-executable", place, f"it is {kind}, not an executable", remedy="build a main package"),)
    closure = closure_of(root, place, facts)
    found = [_wrong_architecture(facts, platform, place)]
    if facts.interpreter and root.find(facts.interpreter) is None:
        found.append(_missing_interpreter(elf, facts, closure, place))
    else:
        found += [_missing_library(elf, facts, closure, place), _missing_version(closure, place)]
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


def _wrong_architecture(facts: ElfFacts, platform: Platform | None, place: str) -> Finding | None:
    if platform is None or facts.architecture == platform.architecture:
        return None
    return _error(
        "wrong-architecture",
        place,
        f"it is built for {facts.architecture}, the image for {platform}",
        remedy=f"build it with GOARCH={platform.architecture}, or the image with --platform linux/{facts.architecture}",
    )


def _missing_interpreter(elf: Elf, facts: ElfFacts, closure: Closure, place: str) -> Finding:
    loader = PurePosixPath(facts.interpreter).name
    missing = (facts.interpreter, *(name for name in _missing(closure) if name != loader))
    lacks = f"the root file system has no {', no '.join(missing)}"
    if not facts.dynamic.needed:
        return _error(
            "pie-on-static-base",
            place,
            f"it needs the dynamic linker {facts.interpreter}, which its base does not have",
            "-buildmode=pie without cgo needs a dynamic linker for relocation, although it uses no library",
            lacks,
            remedy="remove -buildmode=pie, or build it with --pie, which needs no dynamic linker (amd64, arm64)",
        )
    libc = "musl" if "/ld-musl-" in facts.interpreter else "glibc"
    return _error(
        "missing-interpreter", place, _linked(facts), *_why_dynamic(elf), lacks,
        remedy=_remedy(elf, f"choose a base that has {libc}"),
    )  # fmt: skip


def _missing_library(elf: Elf, facts: ElfFacts, closure: Closure, place: str) -> Finding | None:
    missing = _missing(closure)
    if not missing:
        return None
    asked = (
        f"{one.needed_by} needs {one.name}, which the root does not have{f'; {one.problem}' if one.problem else ''}"
        for one in closure.libraries
        if not one.path
    )
    return Finding(
        rule="missing-library",
        severity=Severity.WARNING if closure.notes else Severity.ERROR,
        place=place,
        message=_linked(facts),
        evidence=(*_why_dynamic(elf), *asked, *closure.notes),
        remedy=_remedy(elf, f"choose a base that has {', '.join(missing)}"),
    )


def _missing_version(closure: Closure, place: str) -> Finding | None:
    missing = [one for one in closure.versions if not one.found and not one.weak]
    if not missing:
        return None
    return _error(
        "missing-version",
        place,
        f"{missing[0].path} has no {', '.join(sorted({one.version for one in missing}))}",
        *(f"{one.needed_by} needs {one.version} of {one.library}" for one in missing),
        remedy="build it on a system as old as the base, or choose a newer base",
    )


def _missing(closure: Closure) -> tuple[str, ...]:
    return tuple(one.name for one in closure.libraries if not one.path)


def _linked(facts: ElfFacts) -> str:
    needed = ", ".join(facts.dynamic.needed)
    return f"it is dynamically linked: interpreter {facts.interpreter or 'none'}, needs {needed}"


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
