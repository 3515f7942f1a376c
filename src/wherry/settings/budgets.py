"""`[budgets]` of wherry.toml: what an image may weigh, and how much it may grow.

[budgets]                    # for every service
unpacked = "16MB"
growth-pulled = "2%"
waste = "1MB"                # bytes that no container sees; or "1%" of all
against = "figures.json"     # or an image

[services.api.budgets]       # joined with the above, key by key
pulled = "5.5MB"

[services.api.budgets.modules]
"google.golang.org/grpc" = "1.5MB"
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self, TypeVar

from wherry.errors import InvalidUsage
from wherry.settings.readers import FilePosition, UnsuitableValue, read_table, read_text
from wherry.settings.sizes import Growth, parse_bytes, parse_growth

T = TypeVar("T")

SIZES: Final = ("unpacked", "pulled", "own-unpacked", "own-pulled", "base-unpacked", "base-pulled", "binary")
WASTE: Final = ("waste", "duplicates", "dive-wasted")
"""What is shipped in vain: `wherry analyze` says what of it, and dive's own figure."""
GROWTHS: Final = ("growth-unpacked", "growth-pulled")
OWNERS: Final = ("modules", "packages")
_KEYS = (*SIZES, *WASTE, *GROWTHS, "against", *OWNERS)


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits in bytes, each by its key in the file; what is not there has none."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    growth: Mapping[str, Growth] = field(default_factory=dict)
    waste: Mapping[str, Growth] = field(default_factory=dict)
    """A percentage is of the unpacked bytes."""
    modules: Mapping[str, int] = field(default_factory=dict)
    """By path of the module."""
    packages: Mapping[str, int] = field(default_factory=dict)
    against: str = ""
    """An image or a figures file that growth is counted from; empty: none."""

    def __bool__(self) -> bool:
        return bool(self.measured or self.waste)

    @property
    def measured(self) -> bool:
        """Whether there are budgets of sizes, and not only of waste."""
        return bool(self.sizes or self.growth or self.modules or self.packages)

    def under(self, above: Self) -> Self:
        """Put budgets above these: joined key by key, and what they say counts."""
        return replace(
            self,
            sizes={**self.sizes, **above.sizes},
            growth={**self.growth, **above.growth},
            waste={**self.waste, **above.waste},
            modules={**self.modules, **above.modules},
            packages={**self.packages, **above.packages},
            against=above.against or self.against,
        )


def read_budgets(place: FilePosition, value: object) -> Budgets:
    """Read a table of budgets.

    Raises:
        WrongKey: a key is unknown or its value does not fit; line and key are named.
    """
    table = read_table(place, value, f"[{'.'.join(map(str, place.path))}]")
    for key in table:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f'did you mean "{near[0]}"?' if near else "the keys are " + ", ".join(_KEYS)
            raise place.below(key).wrong("is unknown", hint)
    return Budgets(
        sizes={key: _size(place.below(key), table[key]) for key in SIZES if key in table},
        growth={key: _growth(place.below(key), table[key]) for key in GROWTHS if key in table},
        waste={key: _waste(place.below(key), table[key]) for key in WASTE if key in table},
        modules=_owners(place.below("modules"), table.get("modules", {})),
        packages=_owners(place.below("packages"), table.get("packages", {})),
        against=_fitting(place.below("against"), table["against"], read_text, 'against = "figures.json"')
        if "against" in table
        else "",
    )


def _owners(place: FilePosition, value: object) -> Mapping[str, int]:
    table = read_table(place, value, '"google.golang.org/grpc" = "1.5MB"')
    return {name: _size(place.below(name), size) for name, size in table.items()}


def _size(place: FilePosition, value: object) -> int:
    def read(place: FilePosition, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return parse_bytes(str(value))
        if not isinstance(value, str):
            raise UnsuitableValue(place, 'a size, such as "5.5MB" or whole bytes', value)
        return parse_bytes(read_text(place, value))

    return _fitting(place, value, read, f'{place.path[-1]} = "5.5MB"')


def _growth(place: FilePosition, value: object) -> Growth:
    def read(place: FilePosition, value: object) -> Growth:
        if not isinstance(value, str):
            raise UnsuitableValue(place, 'a size or a percentage, such as "200kB" or "2%"', value)
        return parse_growth(read_text(place, value))

    return _fitting(place, value, read, f'{place.path[-1]} = "2%"')


def _waste(place: FilePosition, value: object) -> Growth:
    if isinstance(value, str) and value.endswith("%"):
        return _growth(place, value)
    return Growth(_size(place, value))


def _fitting(place: FilePosition, value: object, read: Callable[[FilePosition, object], T], example: str) -> T:
    """Read a value; what is wrong with it is said with line and key."""
    try:
        return read(place, value)
    except UnsuitableValue as error:
        raise error.place.wrong(str(error), f"write it as {example}") from None
    except InvalidUsage as error:
        raise place.wrong(f"is invalid: {error.message}", error.hint) from error
