"""Which package each compilation unit is of: by where its functions' sources are, and by their names.

The linker writes of every function which unit it was compiled in, and DWARF's compile units are the same ones. A name
alone can mislead: assembly and `go:linkname` give functions names of other packages, wrappers of methods and
comparisons are compiled where they are first needed.

Imported late: it needs numpy. Sources: Go 1.20 to 1.27, cmd/link/internal/ld/pcln.go (`generateFuncnametab`,
`cuOffset`), runtime/runtime2.go (`_func.cuOffset`), cmd/link/internal/ld/dwarf.go (units by package).
"""

import re
from collections import Counter
from collections.abc import Callable

import numpy as np

from wherry.analysis.owners import LINKER, C
from wherry.analysis.spans import NOBODY, Ints
from wherry.golang.functions import NOTHING, Functions
from wherry.golang.names import is_instance

_SURE = 1 << 20
"""Votes of a function with a name that identifies its unit; a function with only a source file has one."""
_INITIAL = re.compile(r"\.init(\.|\Z)")
"""What initialises a package has its name, also where code of other packages was inlined into it."""
_GENERATED = ("type:", "go:")


def unit_owners(functions: Functions, named: Ints, package_of_folder: Callable[[str], int | None]) -> dict[int, int]:
    """Find the package of each compilation unit.

    Args:
        functions: the functions.
        named: the package in each one's name; `NOBODY` where it has none.
        package_of_folder: finds the package of a source folder; None where it has none in the program.

    Returns:
        Owners by unit. Of functions without a unit, which the linker made, nothing is said.
    """
    by_source: dict[int, Counter[int]] = {}
    by_name: dict[int, Counter[int]] = {}
    folders: dict[str, int | None] = {}
    rows = zip(functions.units.tolist(), named.tolist(), functions.file_names(), functions.names, strict=True)
    for unit, owner, file, name in rows:
        if unit == NOTHING or is_instance(name) or name.startswith(_GENERATED):
            continue
        folder = file.rpartition("/")[0]
        if folder and folder not in folders:
            folders[folder] = package_of_folder(folder)
        source = folders.get(folder)
        if owner != NOBODY and (source == owner or _INITIAL.search(name)):
            by_source.setdefault(unit, Counter())[owner] += _SURE
        elif source is not None:
            by_source.setdefault(unit, Counter())[source] += 1
        if owner != NOBODY:
            by_name.setdefault(unit, Counter())[owner] += 1
    found = {unit: votes.most_common(1)[0][0] for unit, votes in by_name.items()}
    return found | {unit: votes.most_common(1)[0][0] for unit, votes in by_source.items()}


def function_owners(functions: Functions, named: Ints, units: dict[int, int], *, origin: bool) -> Ints:
    """Give each function to the package that compiled it.

    Args:
        functions: the functions.
        named: the package in each one's name; `NOBODY` where it has none.
        units: the package of each compilation unit.
        origin: whether instances of generic functions are of the package that wrote them.
    """
    # Without a source file: marks of the linker (`go:textfipsstart`), and code of C where Go's own linker linked it.
    marks = np.fromiter((name.startswith("go:") for name in functions.names), bool, len(functions))
    sourceless = functions.files < 0
    numbers, inverse = np.unique(functions.units, return_inverse=True)
    of_unit = np.array([units.get(unit, NOBODY) for unit in numbers.tolist()], np.int64)[inverse]
    own = np.where(of_unit == NOBODY, np.where(named == NOBODY, LINKER, named), of_unit)
    own = np.where(sourceless, np.where(marks, LINKER, C), own)
    if origin:
        written = np.fromiter(map(is_instance, functions.names), bool, len(functions)) & (named != NOBODY)
        own = np.where(written, named, own)
    return own
