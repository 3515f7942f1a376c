"""Ways to compile and link a program, as data: what each flag is said to bring, and what it asks for.

Sources: Go 1.20 to 1.27, `go help build`, `go tool link -help`, `go tool compile -help`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from wherry.lab.compiling import Recipe


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to build."""

    name: str
    """As one would write it."""
    ldflags: str | None = None
    """The linker's flags, all of them; None: as they are."""
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
        linker = (f"-ldflags={self.ldflags}",) if self.ldflags else ()
        return replace(
            recipe, flags=(*kept, *linker, *self.more), environment={**recipe.environment, **self.environment}
        )


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
