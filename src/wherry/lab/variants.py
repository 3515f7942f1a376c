"""Ways to compile and link a program, as data: what each flag is said to bring, and what it asks for.

Sources: Go 1.20 to 1.27, `go help build`, `go tool link -help`, `go tool compile -help`.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from wherry.lab.compiling import Recipe


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to build."""

    name: str
    """As one would write it."""
    ldflags: str | None = None
    """The linker's flags that decide on sizes, all of them; None: unchanged. Others, such as -X, stay in any case."""
    more: tuple[str, ...] = ()
    """More arguments of `go build`."""
    without: tuple[str, ...] = ()
    """Names of arguments that are left out, such as `trimpath`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    deep: bool = False
    """Whether packages are compiled again, and not only linked."""

    def of(self, recipe: Recipe) -> Recipe:
        """Change a recipe."""
        dropped = {*self.without, *(("ldflags",) if self.ldflags is not None else ())}
        dropped |= {_name(flag) for flag in self.more}
        kept = [flag for flag in recipe.flags if _name(flag) not in dropped]
        linker = self._linker(recipe.flags)
        return replace(
            recipe, flags=(*kept, *linker, *self.more), environment={**recipe.environment, **self.environment}
        )

    def _linker(self, flags: Sequence[str]) -> tuple[str, ...]:
        if self.ldflags is None:
            return ()
        own = next((flag.partition("=")[2] for flag in flags if _name(flag) == "ldflags"), "")
        words = " ".join(filter(None, (shlex.join(_needed(shlex.split(own))), self.ldflags)))
        return (f"-ldflags={words}",) if words else ()


_SIZED = frozenset({"s", "w", "compressdwarf"})
_SIZED_BY_VALUE = frozenset({"B", "buildid"})


def _needed(words: Sequence[str]) -> Iterator[str]:
    """Leave out the linker's flags that variants are about; a program may not start without the others."""
    rest = iter(words)
    for word in rest:
        name = _name(word)
        if name in _SIZED_BY_VALUE and "=" not in word:
            next(rest, None)
        elif name not in _SIZED | _SIZED_BY_VALUE or not word.startswith("-"):
            yield word


def _name(flag: str) -> str:
    return flag.lstrip("-").partition("=")[0]


AS_BUILT = "as wherry builds it"

LINKED: tuple[Variant, ...] = (
    Variant("no linker flags", ldflags=""),
    Variant("-ldflags=-s", ldflags="-s"),
    Variant("-ldflags=-w", ldflags="-w"),
    Variant("-ldflags='-s -w'", ldflags="-s -w"),
    Variant("-ldflags='-s -buildid='", ldflags="-s -buildid="),
    Variant("-ldflags='-s -B none'", ldflags="-s -B none"),
    Variant("-ldflags='-s -extldflags -static'", ldflags="-s -extldflags -static"),
    Variant("-ldflags=-compressdwarf=false", ldflags="-compressdwarf=false"),
)
"""What only links again: seconds."""

DEEP: tuple[Variant, ...] = (
    Variant("without -trimpath", without=("trimpath",), deep=True),
    Variant("-gcflags=all=-l", more=("-gcflags=all=-l",), deep=True),
    Variant("-gcflags=all=-B", more=("-gcflags=all=-B",), deep=True),
    Variant("-buildmode=pie", more=("-buildmode=pie",), deep=True),
    Variant("GOAMD64=v3", environment={"GOAMD64": "v3"}, deep=True),
    Variant("-tags=netgo,osusergo", more=("-tags=netgo,osusergo",), deep=True),
    Variant("-tags=timetzdata", more=("-tags=timetzdata",), deep=True),
)
"""What compiles packages again: a minute each where nothing is cached."""


def variants_for(architecture: str, *, deep: bool) -> tuple[Variant, ...]:
    """Choose what there is to try for an architecture."""
    chosen = (*LINKED, *(DEEP if deep else ()))
    return tuple(one for one in chosen if not one.environment or architecture == "amd64")
