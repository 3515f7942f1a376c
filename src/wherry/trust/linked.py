"""Which packages and functions are linked into a program, asked by name.

The table of names also has functions that were only inlined. Names are split once, and those of the packages that are
asked about are read. Sources: Go 1.26, cmd/internal/objabi/path.go (`PathToPrefix`), cmd/compile/internal/ir (names of
closures and wrappers).
"""

import re
from collections.abc import Collection, Mapping

_MADE = re.compile(r"(?:-fm|\.func\d+(?:\.\d+)*|\.gowrap\d+|\.deferwrap\d+|-range\d+|·f|-wrapper)+\Z")
_POINTER = re.compile(r"\(\*([^()]*)\)")
_LONGEST = 1024


def linked_symbols(functions: bytes, packages: Collection[str], main: str) -> Mapping[str, frozenset[str]]:
    """Find packages in a program, and which of their functions it has.

    Args:
        functions: the table of names, each with a NUL behind it.
        packages: import paths to look for.
        main: the import path of the main package, which symbols call `main`.

    Returns:
        By import path, functions, and methods as `Type.Method`. A package that is not linked is not there.

    Cost: one pass over the names: some 20 ms for 80,000.
    """
    prefixes = {f"{'main' if path == main else escape(path)}.".encode(): path for path in packages if path}
    found: dict[str, set[str]] = {}
    if not prefixes:
        return {}
    wanted = tuple(prefixes)
    for name in functions.split(b"\0"):
        if name.startswith(wanted) and len(name) <= _LONGEST:
            for prefix in (one for one in wanted if name.startswith(one)):
                symbol = symbol_of(name[len(prefix) :].decode(errors="replace"))
                found.setdefault(prefixes[prefix], set()).add(symbol)
    return {path: frozenset(symbols) for path, symbols in found.items()}


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
    slash = path.rfind("/") + 1
    head = "".join(_escaped(letter, b'%"') for letter in path[:slash])
    return head + "".join(_escaped(letter, b'%".') for letter in path[slash:])


def _escaped(letter: str, special: bytes) -> str:
    plain = letter.isascii() and letter.isprintable() and letter != " " and letter.encode() not in _each(special)
    return letter if plain else "".join(f"%{byte:02x}" for byte in letter.encode())


def _each(special: bytes) -> set[bytes]:
    return {bytes((byte,)) for byte in special}
