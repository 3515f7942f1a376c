"""Names of symbols: which package they are of, and what a generic's instance was made from.

Sources: Go 1.26, cmd/internal/objabi/path.go (`PathToPrefix`: what is escaped), cmd/internal/obj/sym.go and
cmd/compile/internal/ir (names of closures, wrappers and generated functions), debug/gosym/symtab.go (`PackageName`).
"""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

_ESCAPED = re.compile(r"%([0-9a-f]{2})")
_GENERATED = re.compile(
    r"(type|go|runtime):|go\.shape\.|\$|(_rt0_|_cgo|x_cgo|crosscall|setg_gcc|gosave_)\w*\Z|local\.\w+\Z"
)
"""What compiler, linker and cgo make. Packages may begin so, too: `go.uber.org/zap`."""
SHAPES: Final = "go.shape"
"""The package of types that stand in generic code for all types of one layout; no source declares it."""
_PROMOTED = re.compile(r"\.[^./]+\.(?=[^/]+/|[^./]+\Z)")
"""A type's name between its package and another's path."""
_ALGORITHM = re.compile(r"type:\.(?:eq|hash)\.(.*)", re.DOTALL)
VENDORED_STD: Final = "vendor/"
"""What packages that the standard library brings along begin with."""


def unescape(path: str) -> str:
    """Give an import path as written in source: symbols have `%2e` for dots of the last element."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), path) if "%" in path else path


@lru_cache(maxsize=1 << 16)
def package_of(symbol: str) -> str:
    """Name the package a symbol belongs to; empty for one that no package wrote.

    `net/http.(*Server).Serve.func1` is of `net/http`, `slices.SortFunc[go.shape.[]a/b.T,…]` of `slices`,
    `gopkg.in/yaml%2ev3.Marshal` of `gopkg.in/yaml.v3`; comparisons that were generated for a type are of the type's.
    """
    generated = _ALGORITHM.fullmatch(symbol)
    if generated:
        named = generated[1].lstrip("*[]0123456789")
        return "" if named.startswith(("struct {", "interface {", "func(", "map[", "chan ")) else package_of(named)
    if _GENERATED.match(symbol):
        return ""
    plain = symbol.partition("[")[0]
    slash = plain.rfind("/", 0, _before_arguments(plain))
    dot = plain.find(".", slash + 1)
    return unescape(plain[:dot]) if dot > 0 else ""


def without_promoted(package: str, known: Collection[str]) -> str:
    """Cut off what `package_of` takes along from the name of a promoted method.

    A struct that embeds another package's type has its methods, and one that is not exported bears its package:
    `text/template.Template.text/template/parse.add` is of `text/template`. By the name alone that could be a path.

    Args:
        package: what `package_of` gave.
        known: all that it gave for the names of a program.
    """
    for found in _PROMOTED.finditer(package):
        if package[: found.start()] in known:
            return package[: found.start()]
    return package


def is_instance(symbol: str) -> bool:
    """Report whether a function is an instance of a generic one: the package in its name wrote that one."""
    bracket = symbol.find("[")
    return bracket > 0 and not symbol.startswith(("type:", "go:"))


def generic_package(symbol: str) -> str:
    """Name the package that wrote the generic function an instance is of; empty where it is not an instance."""
    return package_of(symbol.partition("[")[0]) if is_instance(symbol) else ""


def is_standard(package: str) -> bool:
    """Report whether a package is of Go's own distribution: its path's first element has no dot.

    `main` and the user's own module without a dot are distinguished from it by the build info.
    """
    return package.startswith(VENDORED_STD) or "." not in package.partition("/")[0]


def _before_arguments(plain: str) -> int:
    """Give where the receiver or the arguments of a name begin, as a path in those is no part of the package's."""
    bracket = plain.find("(")
    return bracket if bracket >= 0 else len(plain)
