"""Which packages and functions are linked into a program, asked by name.

The table of names also has functions that were only inlined. Names are split once, and those of the packages that are
asked about are read. Sources: Go 1.26, cmd/internal/objabi/path.go (`PathToPrefix`), cmd/compile/internal/ir (names of
closures and wrappers).
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

_MADE = re.compile(r"(?:-fm|\.func\d+(?:\.\d+)*|\.gowrap\d+|\.deferwrap\d+|-range\d+|·f|-wrapper)+\Z")
_POINTER = re.compile(r"\(\*([^()]*)\)")
_OWNER = re.compile(rb"(?:\(\*)?([^.\[\])(-]*)")
_PLAIN = re.compile(r"(?:[A-Za-z0-9_.~+/-]*/)?[A-Za-z0-9_~+-]*")
"""Paths that stand in symbols as they are; nearly all do."""
_LONGEST = 1024
_PART = 1 << 18
"""Bytes of names that are split at a time."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked of one package."""

    path: str
    symbols: frozenset[str]
    owners: frozenset[bytes]
    """Functions, and types that have methods."""

    @classmethod
    def of(cls, path: str, symbols: Collection[str]) -> "_Wanted":
        """Take an import path and functions."""
        return cls(path, frozenset(symbols), frozenset(one.partition(".")[0].encode() for one in symbols))


def linked_symbols(functions: bytes, wanted: Mapping[str, Collection[str]], main: str) -> Mapping[str, frozenset[str]]:
    """Find packages in a program, and which of some functions it has.

    Args:
        functions: the table of names, each with a NUL behind it.
        wanted: by import path, functions, and methods as `Type.Method`.
        main: the import path of the main package, which symbols call `main`.

    Returns:
        By import path, those that are there. A package that is not linked is not there.

    Cost: one pass over the names, some 15 ms for 80,000, however many functions are asked about.
    """
    packages = {
        f"{'main' if path == main else escape(path)}.".encode(): _Wanted.of(path, symbols)
        for path, symbols in wanted.items()
        if path
    }
    width = min(map(len, packages), default=0)
    heads = {prefix[:width] for prefix in packages}
    found: dict[str, set[str]] = {}
    for part in _parts(functions) if packages else ():
        for name in [name for name in part.split(b"\0") if name[:width] in heads]:
            one, end = _package(name[:_LONGEST], packages)
            if one is not None and len(name) <= _LONGEST:
                there = found.setdefault(one.path, set())
                owner = _OWNER.match(name, end)
                if owner is not None and owner[1] in one.owners:
                    there.add(symbol_of(name[end:].decode(errors="replace")))
    return {one.path: frozenset(found[one.path] & one.symbols) for one in packages.values() if one.path in found}


def _package(name: bytes, packages: Mapping[bytes, _Wanted]) -> tuple[_Wanted | None, int]:
    """Find the package that a name begins with, and where the rest begins.

    Every dot may be the one behind the package: a method of an embedded type has another package's path in its name.
    """
    end = name.find(b".") + 1
    while end:
        one = packages.get(name[:end])
        if one is not None:
            return one, end
        end = name.find(b".", end) + 1
    return None, 0


def _parts(functions: bytes) -> Iterator[bytes]:
    """Cut the table between names, so that not all of them are in memory at once."""
    start = 0
    while start < len(functions):
        end = functions.find(b"\0", start + _PART) + 1 or len(functions)
        yield functions[start:end]
        start = end


def linked_modules(functions: bytes, modules: Collection[str], known: Collection[str]) -> frozenset[str]:
    """Find the modules of which any package is linked.

    Args:
        functions: the table of names.
        modules: paths, as imports have them.
        known: all modules of the program, since one may be in a directory of another.
    """
    return frozenset(module for module in modules if module and _has_module(functions, module, known))


def _has_module(functions: bytes, module: str, known: Collection[str]) -> bool:
    if _at_start(functions, f"{escape(module)}.".encode()) >= 0:
        return True
    inner = tuple(f"{one}/".encode() for one in known if one.startswith(f"{module}/"))
    inner += tuple(f"{escape(one)}.".encode() for one in known if one.startswith(f"{module}/"))
    below = f"{module}/".encode()
    at = _at_start(functions, below)
    while at >= 0 and functions.startswith(inner, at):
        at = _at_start(functions, below, at + 1)
    return at >= 0


def _at_start(functions: bytes, prefix: bytes, start: int = 0) -> int:
    """Find where a name begins so, from a place on; -1: none does."""
    if start == 0 and functions.startswith(prefix):
        return 0
    found = functions.find(b"\0" + prefix, max(start - 1, 0))
    return found + 1 if found >= 0 else -1


def symbol_of(rest: str) -> str:
    """Give what source calls a function: `(*T[…]).M.func1` is `T.M`.

    Args:
        rest: the linker's name, without the package in front.
    """
    start = rest.find("[")
    while start >= 0:
        end = _closing(rest, start)
        rest = rest[:start] + rest[end:]
        start = rest.find("[")
    return _MADE.sub("", _POINTER.sub(r"\1", rest))


def _closing(text: str, start: int) -> int:
    """Give the place behind the bracket that closes the one at a place."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == "[") - (text[at] == "]")
        if depth == 0:
            return at + 1
    return len(text)


def escape(path: str) -> str:
    """Write an import path as symbols do: dots of the last element, and what is no plain character, as %xx."""
    if _PLAIN.fullmatch(path):
        return path
    slash = path.rfind("/") + 1
    head = "".join(_escaped(letter, b'%"') for letter in path[:slash])
    return head + "".join(_escaped(letter, b'%".') for letter in path[slash:])


def _escaped(letter: str, special: bytes) -> str:
    plain = letter.isascii() and letter.isprintable() and letter != " " and letter.encode() not in _each(special)
    return letter if plain else "".join(f"%{byte:02x}" for byte in letter.encode())


def _each(special: bytes) -> set[bytes]:
    return {bytes((byte,)) for byte in special}
