"""Which package imports which, and what follows: routes to a package, and what would go if it went.

Source: Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImportGraph:
    """The packages of a program; `main` is the one where it starts, under that name as symbols have it."""

    imports: Mapping[str, tuple[str, ...]]

    def reachable(self, without: Collection[str] = (), start: str = "main") -> set[str]:
        """Name the packages that are still there, if some were not."""
        seen = {start} - set(without)
        rest = list(seen)
        while rest:
            for package in self.imports.get(rest.pop(), ()):
                if package not in seen and package not in without:
                    seen.add(package)
                    rest.append(package)
        return seen

    def exclusive(self, packages: Collection[str]) -> set[str]:
        """Name the packages that would go with some: those, and what only they bring in."""
        return self.reachable() - self.reachable(without=packages)

    def routes(self, packages: Collection[str]) -> list[tuple[str, ...]]:
        """Give a route from the main package for each import of one of the packages from outside of them.

        Routes are as short as can be, do not pass through the packages before their end, and come shortest first.
        """
        parents: dict[str, str] = {"main": ""}
        rest = deque(["main"])
        found: list[tuple[str, ...]] = []
        while rest:
            here = rest.popleft()
            for package in self.imports.get(here, ()):
                if package in packages:
                    found.append((*_route(parents, here), package))
                elif package not in parents:
                    parents[package] = here
                    rest.append(package)
        return sorted(found, key=lambda route: (len(route), route))

    def dominated(self) -> dict[str, str]:
        """Give each package's immediate dominator: the nearest one without which it would not be there."""
        order = self._reverse_postorder()
        number = {package: at for at, package in enumerate(order)}
        importers: dict[str, list[str]] = {}
        for package in order:
            for imported in self.imports.get(package, ()):
                importers.setdefault(imported, []).append(package)
        above = {"main": "main"}
        changed = True
        while changed:
            changed = False
            for package in order[1:]:
                known = [one for one in importers[package] if one in above]
                nearest = known[0]
                for other in known[1:]:
                    nearest = _common(above, number, nearest, other)
                if above.get(package) != nearest:
                    above[package] = nearest
                    changed = True
        return above

    def exclusive_sizes(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Sum up, for each package, its own bytes and those of all packages that only it brings in.

        Args:
            sizes: bytes by package.
        """
        above = self.dominated()
        sums = {package: sizes.get(package, 0) for package in above}
        for package in reversed(self._reverse_postorder()):
            if package != "main":
                sums[above[package]] += sums[package]
        return sums

    def _reverse_postorder(self) -> list[str]:
        seen = {"main"}
        order: list[str] = []
        stack: list[tuple[str, Iterator[str]]] = [("main", iter(self.imports.get("main", ())))]
        while stack:
            package, rest = stack[-1]
            following = next((one for one in rest if one not in seen), None)
            if following is None:
                order.append(package)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(self.imports.get(following, ()))))
        return order[::-1]


def _route(parents: Mapping[str, str], package: str) -> tuple[str, ...]:
    route = [package]
    while parents[route[-1]]:
        route.append(parents[route[-1]])
    return tuple(reversed(route))


def _common(above: Mapping[str, str], number: Mapping[str, int], one: str, other: str) -> str:
    while one != other:
        while number[one] > number[other]:
            one = above[one]
        while number[other] > number[one]:
            other = above[other]
    return one
