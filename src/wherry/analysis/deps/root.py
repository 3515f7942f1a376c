"""The root that programs start in: an image's files, or this machine's."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from wherry.analysis.deps.facts import SCRIPT_START, BrokenFile, Facts, elf_facts, script_facts
from wherry.analysis.mapped import map_elf
from wherry.elf.reader import MAGIC
from wherry.errors import NotFound, WherryError

LARGEST_TEXT: Final = 4 << 20
"""Bytes of a configuration file that is read; glibc's cache has about 100 an entry."""


class ProgramRoot(Protocol):
    """Where programs start, and where what they need is looked for."""

    def find(self, path: str) -> str | None:
        """Follow links to what an absolute path names; None is nothing."""

    def facts(self, path: str) -> Facts | None:
        """Read the ELF file or script at a path that `find` gave; None for another file."""

    def text(self, path: str) -> bytes | None:
        """Read a configuration file of a dynamic linker; None where it is not there."""

    def environment(self) -> Mapping[str, str]:
        """Give the variables that programs are started with."""


@dataclass(frozen=True, slots=True)
class RootProgram:
    """An executable file of a root."""

    path: str
    facts: Facts


@dataclass(frozen=True)
class MachineRoot:
    """The root directory of this machine, with no environment."""

    variables: Mapping[str, str] = field(default_factory=dict)
    _read: dict[str, Facts | None] = field(default_factory=dict)

    def find(self, path: str) -> str | None:
        """See `ProgramRoot.find`."""
        try:
            return os.path.realpath(path, strict=True)
        except (OSError, ValueError):
            return None

    def facts(self, path: str) -> Facts | None:
        """See `ProgramRoot.facts`."""
        if path not in self._read:
            self._read[path] = file_facts(Path(path), path)
        return self._read[path]

    def text(self, path: str) -> bytes | None:
        """See `ProgramRoot.text`."""
        try:
            with Path(path).open("rb") as file:
                return file.read(LARGEST_TEXT)
        except OSError:
            return None

    def environment(self) -> Mapping[str, str]:
        """See `ProgramRoot.environment`."""
        return self.variables


def file_facts(file: Path, name: str) -> Facts | None:
    """Read a file of this machine; None where it is neither ELF nor a script, or cannot be read."""
    try:
        with file.open("rb") as opened:
            start = opened.read(SCRIPT_START) if file.is_file() else b""
    except OSError:
        return None
    if not start.startswith(MAGIC):
        return script_facts(start)
    try:
        return elf_facts(map_elf(file, name))
    except NotFound:
        return None
    except WherryError as error:
        return BrokenFile(getattr(error, "problem", error.message))
