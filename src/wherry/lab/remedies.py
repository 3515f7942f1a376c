"""Known ways to a smaller program, as data; a user's own stand in wherry.toml below `[slim.NAME]`."""

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Remedy:
    """A build tag, or several, and what it does."""

    name: str
    tags: tuple[str, ...]
    module: str = ""
    package: str = ""
    """The package that has to be linked in; empty: any program may try it."""
    drops: str = ""
    """What the program can't do any more; empty: nothing is lost."""
    why: str = ""
    source: str = ""


def known_ways(own: Iterable[Remedy] = ()) -> tuple[Remedy, ...]:
    """Give the ways that wherry knows, and the user's own; one of theirs takes the place of ours of the name."""
    text = files("wherry.lab").joinpath("ways.toml").read_text()
    ways = {name: way_of(name, row) for name, row in tomllib.loads(text).items()}
    ways.update({way.name: way for way in own})
    return tuple(ways.values())


def way_of(name: str, row: Mapping[str, object]) -> Remedy:
    """Make a way of a table.

    Raises:
        msgspec.ValidationError: a key is missing or wrong; it has its path.
    """
    from wherry.typed import from_plain

    return from_plain({"name": name, **row}, Remedy)


def that_apply(ways: Iterable[Remedy], packages: Collection[str], tags: Collection[str]) -> Iterator[Remedy]:
    """Choose the fixes for packages that are linked in, unless their tags are already set."""
    for way in ways:
        if (not way.package or way.package in packages) and not set(way.tags) <= set(tags):
            yield way
