"""What keeps a program's bytes alive, and what the known fixes save: each tried by a rebuild."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from wherry.errors import WherryError
from wherry.lab.compiling import Compiler, Recipe, Weight, weigh
from wherry.lab.countdown import Countdown
from wherry.lab.deadcode import FLAGS, DeadCode, read
from wherry.lab.remedies import Remedy
from wherry.layer.compress import Encoding

Said = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TriedRemedy:
    """A way, and what a rebuild with it weighs."""

    way: Remedy
    weight: Weight | None
    """None where it could not be built."""
    problem: str = ""
    eliminated: bool | None = None
    """Whether the linker left dead code out; None where that was so before, or is not known."""


@dataclass(frozen=True, slots=True)
class SlimFindings:
    """What was found."""

    dead_code: DeadCode
    before: Weight
    tried: tuple[TriedRemedy, ...]
    together: Weight | None
    """With all ways that pay and drop nothing; None where there are fewer than two, or they don't build together."""
    problem: str = ""
    """Why they don't."""

    def saved(self, tried: TriedRemedy) -> int:
        """Bytes of the file that a way saves; negative where it costs some."""
        return self.before.unpacked - tried.weight.unpacked if tried.weight else 0

    @property
    def worth(self) -> tuple[TriedRemedy, ...]:
        """The ways that make the program smaller and drop nothing, most bytes first."""
        paying = (one for one in self.tried if self.saved(one) > 0 and not one.way.drops)
        return tuple(sorted(paying, key=self.saved, reverse=True))

    @property
    def advised(self) -> tuple[TriedRemedy, ...]:
        """The ways of those that a build with all of them bears out: all, or the one that saves most."""
        best = self.worth[:1]
        if len(self.worth) > 1 and self.together:
            return self.worth if self.before.unpacked - self.together.unpacked > self.saved(best[0]) else best
        return best


def slim(
    compiler: Compiler,
    recipe: Recipe,
    ways: Iterable[Remedy],
    imports: Mapping[str, Sequence[str]],
    encoding: Encoding,
    say: Said,
) -> SlimFindings:
    """Link a program once to ask what keeps its code, and rebuild it by each way.

    Args:
        compiler: what compiles.
        recipe: how the program is compiled now.
        ways: those that apply.
        imports: what each package imports.
        encoding: of the layer that would be pulled.
        say: receives progress messages.

    Raises:
        CompileFailed: the program cannot be compiled unchanged.
    """
    ways = tuple(ways)
    trial = Countdown(say, 2 + len(ways))
    trial("linking once to find what keeps code alive")
    program, said = compiler.compile(with_linker_flags(recipe, FLAGS), "asked")
    program.unlink()
    dead_code = read(_lines(said), imports, compiler.toolchain.version)
    trial("building it unchanged")
    program, _ = compiler.compile(recipe, "before")
    before = weigh(program, [encoding])
    program.unlink()
    tried = tuple(_try(compiler, recipe, way, encoding, dead_code, trial) for way in ways)
    found = SlimFindings(dead_code, before, tried, None)
    if len(found.worth) > 1:
        trial.total += 1
        trial("building with all fixes that save bytes")
        try:
            program, _ = compiler.compile(with_tags(recipe, tags_of(found.worth)), "together")
        except WherryError as error:
            return replace(found, problem=error.message)
        found = replace(found, together=weigh(program, [encoding]))
        program.unlink()
    return found


def tags_of(tried: Iterable[TriedRemedy]) -> list[str]:
    """Name the tags of ways, each once."""
    return list(dict.fromkeys(tag for one in tried for tag in one.way.tags))


def _try(
    compiler: Compiler, recipe: Recipe, way: Remedy, encoding: Encoding, dead_code: DeadCode, say: Said
) -> TriedRemedy:
    say(f"building with {', '.join(way.tags)}")
    other = with_tags(recipe, way.tags)
    # The linker is asked only where it can have another answer than before.
    asked = with_linker_flags(other, FLAGS) if dead_code.causes else other
    try:
        program, said = compiler.compile(asked, way.name)
    except WherryError as error:
        return TriedRemedy(way, None, error.message)
    weight = weigh(program, [encoding])
    program.unlink()
    return TriedRemedy(way, weight, eliminated=_eliminated(compiler, said) if dead_code.causes else None)


def _eliminated(compiler: Compiler, said: str) -> bool:
    return read(_lines(said), {}, compiler.toolchain.version).eliminated


def _lines(said: str) -> Iterator[str]:
    """Cut at line ends, one at a time: there are some hundred thousand."""
    start = 0
    while (end := said.find("\n", start)) >= 0:
        yield said[start:end]
        start = end + 1
    yield said[start:]


def with_linker_flags(recipe: Recipe, more: str) -> Recipe:
    """Add flags of the linker to a recipe."""
    kept = [flag for flag in recipe.flags if not flag.startswith("-ldflags=")]
    own = next((flag.removeprefix("-ldflags=") for flag in recipe.flags if flag.startswith("-ldflags=")), "")
    return replace(recipe, flags=(*kept, f"-ldflags={own} {more}".replace("= ", "=")))


def with_tags(recipe: Recipe, more: Sequence[str]) -> Recipe:
    """Add build tags to a recipe."""
    kept = [flag for flag in recipe.flags if not flag.startswith("-tags=")]
    own = next((flag.removeprefix("-tags=").split(",") for flag in recipe.flags if flag.startswith("-tags=")), [])
    return replace(recipe, flags=(*kept, f"-tags={','.join(dict.fromkeys((*own, *more)))}"))
