"""Programs that would keep a search busy: it ends, and says so."""

from dataclasses import replace

from wherry.analysis.deps.facts import ElfFacts, Facts
from wherry.analysis.deps.loader import closure_of
from wherry.elf.dynamic import Dynamic
from wherry.elf.versions import SymbolVersions

PLAIN = ElfFacts(
    "amd64",
    "<",
    executable=True,
    interpreter="/lib64/ld-linux-x86-64.so.2",
    dynamic=Dynamic(present=True),
    versions=SymbolVersions(),
    go="",
    functions=frozenset(),
)


class Root:
    """Every library is there, in a folder that is searched last, and needs the next ones."""

    def __init__(self) -> None:
        self.looked_at = 0

    def find(self, path: str) -> str | None:
        """Give what begins as the last folder does."""
        self.looked_at += 1
        return path if path.startswith("/last/") else None

    def facts(self, path: str) -> Facts | None:
        """Ask for ten more, with as many folders."""
        number = int(path.rsplit("lib", 1)[1])
        return replace(PLAIN, dynamic=dynamic(*range(number + 1, number + 11)))

    def text(self, path: str) -> bytes | None:
        """Give nothing."""

    def environment(self) -> dict[str, str]:
        """Give nothing."""
        return {}


def dynamic(*numbers: int) -> Dynamic:
    """A dynamic section with libraries by number, and an rpath as long as can be."""
    rpath = (*(f"/{place}" for place in range(500)), "/last")
    return Dynamic(present=True, needed=tuple(f"lib{number}" for number in numbers), rpath=rpath)


def test_a_search_without_end_is_given_up():
    """Each library that is found brings 500 folders more for the next ones."""
    root = Root()

    closure = closure_of(root, "/app", replace(PLAIN, dynamic=dynamic(0)))

    assert root.looked_at < 100_000
    assert any("were tried" in library.problem for library in closure.libraries)
