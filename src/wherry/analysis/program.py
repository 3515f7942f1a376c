"""A Go program, read: its memory, its functions with their owners, and where its tables are.

Imported late: it needs numpy. Sources: those of `golang/pclntab.py`, `golang/functions.py` and `golang/moduledata.py`;
Go 1.26, cmd/compile/internal/noder/reader.go (in which unit a generic function's instance is compiled).
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Self

import numpy as np

from wherry.analysis.binary import build_info
from wherry.analysis.owners import LINKER, Owners
from wherry.analysis.spans import NOBODY, Ints
from wherry.elf.machine import architecture
from wherry.elf.reader import Elf
from wherry.elf.space import AddressSpace
from wherry.errors import InvalidDocument
from wherry.golang import moduledata, pclntab
from wherry.golang.buildinfo import BuildInfo
from wherry.golang.functions import Functions
from wherry.golang.moduledata import ModuleData
from wherry.golang.names import is_instance, package_of, without_promoted
from wherry.golang.pclntab import Pclntab

_VERSION = re.compile(r"@[^/]+")
_PACKED = b"UPX!"
"""What UPX marks its header and its trailer with. Source: UPX 4.2, src/conf.h (`UPX_MAGIC_LE32`)."""
_PACKED_WITHIN = 4096
_DEEPEST_FOLDER = 64
_LONGEST_FOLDER = 4096
"""Linux' PATH_MAX."""


@dataclass(frozen=True)
class Program:
    """What whose-bytes asks of a Go program."""

    elf: Elf
    space: AddressSpace
    info: BuildInfo | None
    functions: Functions
    module: ModuleData
    pclntab_at: int
    """The address of the pclntab."""
    owners: Owners
    function_owners: Ints
    """Who has each function's bytes."""
    name_owners: Ints
    """The same for every name in the table, those of functions that were only inlined too."""
    unit_owners: dict[int, int]
    """Whose functions each compilation unit has."""

    @classmethod
    def of(cls, elf: Elf, *, origin: bool = False) -> Self:
        """Read a program.

        Args:
            elf: the file.
            origin: whether instances of generic functions are of the package that wrote them, and not of the one
                that compiled them.

        Raises:
            InvalidDocument: it has no pclntab, or a broken one.
            UnknownGo: its Go's tables are not known.
        """
        space = AddressSpace.of(elf)
        address, content = _pclntab(elf, space)
        functions = Functions.read(Pclntab.parse(content, elf.name))
        info = build_info(elf)
        module = moduledata.find(space, functions, address, info.go_version if info else "")
        space.read(module["text"], int(functions.starts[-1]))
        owners = Owners()
        names, units = _name_owners(functions, owners), dict[int, int]()
        own = names[functions.name_numbers]
        units.update(_unit_owners(functions, own))
        if not origin:
            _give_instances(functions, own, units)
        first = np.full(len(names), -1)
        first[functions.name_numbers[::-1]] = np.arange(len(functions))[::-1]
        names = np.where(first >= 0, own[first], names)
        return cls(elf, space, info, functions, module, address, owners, own, names, units)

    @property
    def ranks(self) -> Ints:
        """Place packages in an order in which each comes behind those it imports, as far as units tell; by owner.

        Source: Go 1.26, cmd/link/internal/ld/lib.go (`postorder`).
        """
        first = np.full(len(self.owners.names), np.iinfo(np.int64).max)
        first[LINKER] = NOBODY
        for unit, owner in self.unit_owners.items():
            first[owner] = min(int(first[owner]), unit)
        ranks = np.empty(len(first), np.int64)
        ranks[np.argsort(first, kind="stable")] = np.arange(len(first))
        return ranks

    @property
    def architecture(self) -> str:
        """As GOARCH says it."""
        return architecture(self.elf)

    @property
    def text(self) -> int:
        """The address that functions' places count from."""
        return self.module["text"]

    @property
    def funcdata_end(self) -> int:
        """The address behind the last funcdata."""
        gofunc = self.module["gofunc"]
        borders = [self.module["findfunc"], self.module["etypes"], self.pclntab_at + len(self.functions.table.content)]
        return min((border for border in borders if border > gofunc), default=gofunc)

    def written_by(self, addresses: Ints, functions: Ints) -> Ints:
        """Tell who wrote the code at addresses: the package of what was inlined there, else the function's own."""
        gofunc = self.module["gofunc"]
        inlined = self.functions.inlined(self.space.read_on(gofunc)[: self.funcdata_end - gofunc])
        owners = self.function_owners[functions]
        if not len(inlined.start):
            return owners
        row = np.searchsorted(inlined.start, addresses - self.text, side="right") - 1
        inside = (row >= 0) & (inlined.end[row] > addresses - self.text)
        name = np.searchsorted(self.functions.all_names[1], inlined.name[row], side="right") - 1
        return np.where(inside, self.name_owners[name], owners)

    def package_of_folder(self, folder: str) -> int | None:
        """Find the package whose source is in a folder, as the pclntab names it: trimmed, or from somebody's disk."""
        path = _VERSION.sub("", folder[:_LONGEST_FOLDER])
        found = self.package_owner(path) if self.info and path == self.info.path else self.owners.known(path)
        for _ in range(_DEEPEST_FOLDER):
            if found is not None or "/" not in path:
                break
            path = path.partition("/")[2]
            found = self.owners.known(path) if path else None
        return found

    def package_owner(self, path: str) -> int:
        """Number a package by its import path; the main package has another name in symbols."""
        return self.owners.number("main" if self.info and path == self.info.path else path)

    def words(self, addresses: Ints) -> Ints:
        """Read an address at each of some; 0 where the file has none, -1 where it is of no program."""
        return self.space.words(addresses, self.functions.table.pointer)

    def function_at(self, addresses: Ints) -> Ints:
        """Tell which function each address is in; those outside of all get the nearest."""
        row = np.searchsorted(self.functions.starts, addresses - self.text, side="right") - 1
        return np.clip(row, 0, len(self.functions) - 1)


def _pclntab(elf: Elf, space: AddressSpace) -> tuple[int, memoryview]:
    for name in pclntab.SECTIONS:
        section = elf.section(name)
        if section is not None:
            return section.address, space.read(section.address, section.stored)
    problem, hint = _no_pclntab(elf)
    raise InvalidDocument(elf.name, problem, hint=hint)


def _no_pclntab(elf: Elf) -> tuple[str, str]:
    """Say why there is no table of functions, and what now."""
    start, end = bytes(elf.view[:_PACKED_WITHIN]), bytes(elf.view[-_PACKED_WITHIN:])
    if _PACKED in start or _PACKED in end:
        return "it is packed by UPX: what is in it shows once it is unpacked", "run `upx -d` on a copy of it"
    if not elf.sections:
        return "its section table is gone, and with it where Go's tables are", "measure a build that kept it"
    return "it has no pclntab: not a Go program", "name a binary that Go linked"


def _name_owners(functions: Functions, owners: Owners) -> Ints:
    """Number the package of each name; of an instance, the package that wrote it."""
    texts = functions.all_names[0]
    number = owners.number
    # What belongs to no package is assembly of the runtime and wrappers that the linker or cgo made.
    runtime = number("runtime")
    packages = [package_of(text) for text in texts]
    known = dict.fromkeys(packages)
    real = {package: number(without_promoted(package, known)) if package else runtime for package in known}
    return np.fromiter((real[package] for package in packages), np.int64, len(packages))


def _unit_owners(functions: Functions, own: Ints) -> dict[int, int]:
    """Find whose functions each compilation unit has, by those that no other package can have asked for."""
    instances = np.fromiter((is_instance(name) or name.startswith("type:") for name in functions.names), bool)
    counts: dict[int, Counter[int]] = {}
    for unit, owner in zip(functions.units[~instances].tolist(), own[~instances].tolist(), strict=True):
        counts.setdefault(unit, Counter())[owner] += 1
    return {unit: found.most_common(1)[0][0] for unit, found in counts.items()}


def _give_instances(functions: Functions, own: Ints, units: dict[int, int]) -> None:
    """Give instances of generic functions to the package of the unit they were compiled in."""
    for place, name in enumerate(functions.names):
        if is_instance(name):
            own[place] = units.get(int(functions.units[place]), own[place])
