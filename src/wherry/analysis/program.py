"""A Go program, read: its memory, its functions with their owners, and where its tables are.

Imported late: it needs numpy. Sources: those of `golang/pclntab.py`, `golang/functions.py` and `golang/moduledata.py`;
those of `units.py`.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wherry.analysis.binary import build_info
from wherry.analysis.folders import Folders
from wherry.analysis.named_data import NamedData, named_data
from wherry.analysis.owners import LINKER, Owners
from wherry.analysis.spans import NOBODY, Ints
from wherry.analysis.units import function_owners, unit_owners
from wherry.elf.machine import architecture
from wherry.elf.reader import Elf
from wherry.elf.space import AddressSpace
from wherry.errors import InvalidDocument
from wherry.golang import moduledata, pclntab
from wherry.golang.buildinfo import BuildInfo
from wherry.golang.functions import NOTHING, Functions
from wherry.golang.moduledata import ModuleData
from wherry.golang.names import package_of, without_promoted
from wherry.golang.pclntab import Pclntab

_PACKED = b"UPX!"
"""What UPX marks its header and its trailer with. Source: UPX 4.2, src/conf.h (`UPX_MAGIC_LE32`)."""
_PACKED_WITHIN = 4096


@dataclass(frozen=True)
class AttributedProgram:
    """What attribution asks of a Go program."""

    elf: Elf
    space: AddressSpace
    info: BuildInfo | None
    functions: Functions
    module: ModuleData
    pclntab_at: int
    """The address of the pclntab."""
    owners: Owners
    function_owners: Ints
    """The package that compiled each function."""
    name_owners: Ints
    """The same for every name in the table, those of functions that were only inlined too."""
    unit_owners: dict[int, int]
    """The package of each compilation unit."""
    folders: Folders
    named: NamedData
    """Variables that symbols name: its own, or those of the same program linked with them."""

    @classmethod
    def of(cls, elf: Elf, *, origin: bool = False, symbols: NamedData | None = None) -> Self:
        """Read a program.

        Args:
            elf: the file.
            origin: whether instances of generic functions are of the package that wrote them, and not of the one
                that compiled them.
            symbols: variables of the same program linked with symbols, where it has none itself.

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
        named = _name_owners(functions, owners)
        folders = Folders(owners, info.path if info else "")
        units = unit_owners(functions, named[functions.name_numbers], folders.package)
        own = function_owners(functions, named[functions.name_numbers], units, origin=origin)
        first = np.full(len(named), -1)
        first[functions.name_numbers[::-1]] = np.arange(len(functions))[::-1]
        # What was only inlined is of the package in its name; what has none there is assembly of the runtime.
        inlined = np.where(named == NOBODY, owners.number("runtime"), named)
        names = np.where(first >= 0, own[first], inlined)
        return cls(
            elf,
            space,
            info,
            functions,
            module,
            address,
            owners,
            own,
            names,
            units,
            folders,
            named_data(elf) if symbols is None else symbols,
        )

    @property
    def guessed(self) -> NDArray[np.bool_]:
        """Report which functions have their owner by their name alone: their unit is unknown."""
        units = self.functions.units
        known = np.isin(units, np.fromiter(self.unit_owners, np.int64, len(self.unit_owners)))
        guessed: NDArray[np.bool_] = ~known & (units != NOTHING)
        return guessed

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

    def package_owner(self, path: str) -> int:
        """Number a package by its import path; the main package has another name in symbols."""
        return self.folders.number(path)

    def words(self, addresses: Ints) -> Ints:
        """Read an address at each of some; 0 where the file has none, -1 where it is of no program."""
        return self.space.words(addresses, self.functions.table.pointer)

    def function_at(self, addresses: Ints) -> Ints:
        """Report which function each address is in; those outside of all get the nearest."""
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
        return "it is packed by UPX and must be unpacked first", "run `upx -d` on a copy of it"
    if not elf.sections:
        return "it has no section table, which is needed to find Go's tables", "use a build that kept the section table"
    return "it has no pclntab: not a Go program", "give a binary built by Go"


def _name_owners(functions: Functions, owners: Owners) -> Ints:
    """Number the package in each name, of an instance the package that wrote it; `NOBODY` where there is none."""
    texts = functions.all_names[0]
    packages = [package_of(text) for text in texts]
    known = dict.fromkeys(packages)
    real = {package: owners.number(without_promoted(package, known)) if package else NOBODY for package in known}
    return np.fromiter((real[package] for package in packages), np.int64, len(packages))
