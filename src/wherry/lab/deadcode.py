"""What switches the linker's dead-code elimination off, read from what the linker says while it links.

A program that may call a method by a name that is known only when it runs keeps every exported method of every type
that can be reached. The linker marks such functions `<ReflectMethod>`. Those it meets before it has kept methods for
that reason are causes; those it meets later may be there only because of it.

`-dumpdep` prints an edge for each symbol when it is first reached: a spanning tree, in which a second way to the same
function does not show. `-c` prints every call. Together they give all ways.

Sources: Go 1.22 to 1.27, cmd/link/internal/ld/deadcode.go (`deadcode`, `flood`, `mark`, `dumpDepAddFlags`) and
stackcheck.go (`-c`).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wherry.analysis.imports import ImportGraph
from wherry.golang.moduledata import minor_of
from wherry.golang.names import package_of

FLAGS = "-dumpdep -c"
_EDGE = re.compile(r"(\S.*?)(?: <([A-Za-z,<> ]*)>)? -> (\S.*?)(?: <([A-Za-z,<> ]*)>)?$")
_CALL = re.compile(r"(\S.*) calls (\S.*)$")
_REFLECT = "ReflectMethod"
_OLDEST = 21
"""The first Go version with a linker that marks functions; Go 1.21 marks the called function of reflect."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A function for which the linker keeps methods that nothing else needs."""

    function: str
    package: str
    chain: tuple[str, ...]
    """One way from the program's start, function by function."""
    routes: tuple[tuple[str, ...], ...]
    """A way from the main package for each package that uses the function's, package by package."""


@dataclass(frozen=True, slots=True)
class DeadCode:
    """What was found."""

    causes: tuple[Cause, ...]
    consequences: tuple[str, ...]
    """Functions that do the same, and may be there only because of the causes."""
    symbols: int
    """How many the linker reached."""
    told: bool = True
    """Whether the linker marks such functions; if it does not, nothing is known."""

    @property
    def eliminated(self) -> bool:
        """Whether the linker is known to have left out methods that nothing calls."""
        return self.told and not self.causes


@dataclass(slots=True)
class _Dump:
    """The lines, taken in one after another."""

    parent: dict[str, str] = field(default_factory=dict)
    round_: dict[str, int] = field(default_factory=dict)
    """In which of the linker's rounds each symbol was first reached."""
    marked: dict[str, int] = field(default_factory=dict)
    """Functions with the mark, and their round."""
    uses: dict[str, set[str]] = field(default_factory=dict)
    """Packages that the code of a package uses."""
    _number: int = 0
    _keeping: bool = False

    def edge(self, source: str, target: str, flags: str) -> None:
        keeping = _keeps_method(source, target)
        if keeping and not self._keeping:
            self._number += 1
        self._keeping = keeping
        if target not in self.parent:
            self.parent[target] = source
            self.round_[target] = self._number
        if _REFLECT in flags:
            self.marked.setdefault(target, self._number)
        self.link(source, target)

    def link(self, source: str, target: str) -> None:
        here, there = package_of(source.removesuffix("·f")), package_of(target.removesuffix("·f"))
        if here and there and here != there:
            self.uses.setdefault(here, set()).add(there)


def read(lines: Iterable[str], imports: Mapping[str, Sequence[str]], version: str) -> DeadCode:
    """Read what `go tool link -dumpdep -c` printed.

    Args:
        lines: without line ends; lines of another kind are passed over.
        imports: what each package imports; the main one is called `main`.
        version: the Go, such as `go1.26.8`.

    Cost: one pass; memory for the symbols' names.
    """
    dump = _Dump()
    for line in lines:
        if found := _EDGE.match(line):
            dump.edge(found[1], found[3], found[4] or "")
        elif found := _CALL.match(line):
            dump.link(found[1], found[2])
    if not dump.marked:
        return DeadCode((), (), len(dump.parent), told=(minor_of(version) or 0) >= _OLDEST)
    first = min(dump.marked.values())
    graph = _graph(dump.uses, imports)
    causes = [_cause(name, dump, graph) for name, number in dump.marked.items() if number == first]
    later = tuple(name for name, number in dump.marked.items() if number > first)
    return DeadCode(tuple(causes), later, len(dump.parent))


def chains(lines: Iterable[str], wanted: Callable[[str], bool]) -> dict[str, tuple[str, ...]]:
    """Give a way from the program's start to each of some functions, function by function.

    Args:
        lines: what `go tool link -dumpdep` printed.
        wanted: whether a function, by its linker's name, is one of them.

    Returns:
        By the linker's name. Each step is a call or another use; it need not be the shortest way. A function that was
        inlined everywhere is not there, nor is one that is only reached through a type's methods without a way by code.
    """
    parent: dict[str, str] = {}
    for line in lines:
        if found := _EDGE.match(line):
            parent.setdefault(found[3], found[1])
    return {
        name.removesuffix("·f"): tuple(
            step.removesuffix("·f") for step in _chain(name, parent) if not step.startswith(("type:", "go:"))
        )
        for name in parent
        if wanted(name.removesuffix("·f"))
    }


def _graph(uses: Mapping[str, set[str]], imports: Mapping[str, Sequence[str]]) -> ImportGraph:
    """Leave of the imports those by which code is used.

    A package that no code uses is linked for its initialisation: then the import alone counts.
    """
    used = set().union(*uses.values())
    return ImportGraph({
        package: tuple(one for one in imported if one in uses.get(package, ()) or one not in used)
        for package, imported in imports.items()
    })  # fmt: skip


def _keeps_method(source: str, target: str) -> bool:
    """Report whether an edge is a type's method that is kept, which no other edge from a type to code is."""
    return source.startswith("type:") and not target.startswith(("type:", "runtime.", "go:")) and "." in target


def _cause(name: str, dump: _Dump, graph: ImportGraph) -> Cause:
    package = package_of(name)
    return Cause(name, package, _chain(name, dump.parent), tuple(graph.routes({package})))


def _chain(name: str, parent: Mapping[str, str]) -> tuple[str, ...]:
    chain = [name]
    while (above := parent.get(chain[-1], "")) and above not in chain and above != "_":
        chain.append(above)
    return tuple(reversed(chain))
