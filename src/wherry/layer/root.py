"""A root file system by its entries: what is there, once links are followed as the kernel would."""

from collections.abc import Iterable
from dataclasses import dataclass

from wherry.layer.entry import Entry, Kind

_MOST_LINKS = 40
"""Links followed on one path before it counts as a loop. Source: Linux, path_resolution(7)."""


@dataclass(frozen=True, slots=True)
class Root:
    """Paths of a root, absolute, each with the target of the symbolic link it is (empty: it is none)."""

    paths: dict[str, str]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Root":
        """Read the entries of a flattened root."""
        return cls({f"/{entry.path}": entry.target if entry.kind is Kind.SYMLINK else "" for entry in entries})

    def has(self, path: str) -> bool:
        """Tell whether something is at a path, links followed; a link to nothing is nothing."""
        left = [element for element in reversed(path.split("/")) if element not in {"", "."}]
        here, links = "", 0
        while left:
            element = left.pop()
            if element == "..":
                here = here.rpartition("/")[0]
                continue
            target = self.paths.get(f"{here}/{element}")
            if target is None:
                return False
            if not target:
                here = f"{here}/{element}"
                continue
            links += 1
            if links > _MOST_LINKS:
                return False
            here = "" if target.startswith("/") else here
            left += [element for element in reversed(target.split("/")) if element not in {"", "."}]
        return True
