"""What one file says of what it needs: an ELF file's tables, a script's first line.

Sources: System V gABI; Linux 6.12, fs/binfmt_script.c (what a script's first line may be); execve(2).
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from wherry.analysis.binary import build_info
from wherry.analysis.deps.go_asks import linked_functions
from wherry.elf.dynamic import DF_1_NODEFLIB, DF_1_PIE, Dynamic
from wherry.elf.machine import architecture
from wherry.elf.reader import ET_DYN, ET_EXEC, Elf
from wherry.elf.versions import SymbolVersions
from wherry.errors import InvalidDocument

SCRIPT_START: Final = 256
"""Bytes of a script that the kernel reads (BINPRM_BUF_SIZE)."""

_MOST_TEXT = 1 << 18
"""Bytes of names kept of one file; overlapping names could make 60 MB of a file of 100 kB."""
_SHELL_BLANKS = b" \t"
_SYSTEM_FOLDERS = re.compile(rb"\x00((?:/[\w./-]{1,120}/\x00){2,12})")
"""`system_dirs` in glibc's elf/dl-load.c: the folders it was configured with, each with a slash and a NUL behind it."""
_GLIBC_LOADER = re.compile(r"\Ald(-linux|64|\.so|-[\d.]+\.so)")


@dataclass(frozen=True, slots=True)
class ElfFacts:
    """What an ELF file asks for, and what it offers to others."""

    architecture: str
    """As GOARCH says it."""
    order: str
    """`<` or `>`."""
    executable: bool
    """Whether the kernel can start it; libraries are not, even with a mode of 755."""
    interpreter: str
    dynamic: Dynamic
    versions: SymbolVersions
    go: str
    """The Go version; empty where it is no Go program."""
    functions: frozenset[str]
    """Of the functions in `go_asks.FUNCTIONS`: those that are linked."""
    system_folders: tuple[str, ...] = ()
    """Of glibc's dynamic linker: the folders it was built to search."""

    @classmethod
    def of(cls, elf: Elf) -> Self:
        """Read a file.

        Raises:
            InvalidDocument: a table of its points outside the file.
        """
        dynamic, versions, info = Dynamic.of(elf), SymbolVersions.of(elf), build_info(elf)
        texts = (*dynamic.needed, *versions.defined, *(one.version for one in versions.needed))
        if sum(map(len, texts)) > _MOST_TEXT:
            raise InvalidDocument(elf.name, f"names of libraries and versions have more than {_MOST_TEXT} bytes")
        library = bool(dynamic.soname) and not dynamic.flags_1 & DF_1_PIE
        starts = bool(elf.interpreter) or bool(dynamic.flags_1 & DF_1_PIE) or not dynamic.present
        return cls(
            architecture=architecture(elf),
            order=elf.order,
            executable=bool(elf.entry) and (elf.type == ET_EXEC or (elf.type == ET_DYN and starts and not library)),
            interpreter=elf.interpreter,
            dynamic=dynamic,
            versions=versions,
            go=info.go_version if info else "",
            functions=linked_functions(elf),
            system_folders=_system_folders(elf, dynamic.soname),
        )

    @property
    def only_search(self) -> bool:
        """Whether libraries are looked for in the file's own folders alone (-z nodefaultlib)."""
        return bool(self.dynamic.flags_1 & DF_1_NODEFLIB)


@dataclass(frozen=True, slots=True)
class ScriptFacts:
    """The first line of a script."""

    interpreter: str
    argument: str
    """All that follows, as one word: so the kernel passes it."""


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """An ELF file with a table that cannot be read."""

    problem: str


Facts = ElfFacts | ScriptFacts | BrokenFile


def script_facts(start: bytes) -> ScriptFacts | None:
    """Read a script's first line; None where the kernel would not take it for a script.

    Args:
        start: the first `SCRIPT_START` bytes of the file.
    """
    if not start.startswith(b"#!"):
        return None
    line, newline, _ = start[2:SCRIPT_START].partition(b"\n")
    words = line.strip(_SHELL_BLANKS)
    path, _, rest = words.replace(b"\t", b" ").partition(b" ")
    if not path or (not newline and len(start) >= SCRIPT_START and b" " not in words.replace(b"\t", b" ")):
        return None  # nothing, or a path that is cut off
    return ScriptFacts(_text(path), _text(rest.strip(_SHELL_BLANKS)))


def elf_facts(elf: Elf) -> ElfFacts | BrokenFile:
    """Read an ELF file; one that is broken is a fact too."""
    try:
        return ElfFacts.of(elf)
    except InvalidDocument as error:
        return BrokenFile(error.problem)


def _system_folders(elf: Elf, soname: str) -> tuple[str, ...]:
    if not _GLIBC_LOADER.match(soname):
        return ()
    for section in elf.sections:
        if section.name != ".rodata":
            continue
        for found in _SYSTEM_FOLDERS.finditer(elf.content(section)):
            folders = found[1].decode().rstrip("\0").split("\0")
            if any("lib" in folder for folder in folders):
                return tuple(folder.rstrip("/") for folder in folders)
    return ()


def _text(content: bytes) -> str:
    return content.decode(errors="surrogateescape")
