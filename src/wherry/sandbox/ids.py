"""Which users a sandbox of this caller can have.

Three cases. Root has all ids that its own namespace has. A user with sub-ids (subuid(5)) has its own id as
root and the sub-ids after it. A user without has one id only, which stands for whichever the image wants.

Sources: user_namespaces(7), subuid(5), newuidmap(1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wherry.errors import HostUnable
from wherry.sandbox.spec import Ids

Run = tuple[int, int, int]
"""First id inside, first id outside, how many."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who we are, as far as ids go."""

    uid: int
    gid: int
    uid_map: tuple[Run, ...]
    """The ids of the namespace we are in ourselves."""
    gid_map: tuple[Run, ...]
    sub_uids: tuple[tuple[int, int], ...]
    """First id and how many, of each line of /etc/subuid that is ours."""
    sub_gids: tuple[tuple[int, int], ...]
    mappers: tuple[str, ...]
    """Paths of newuidmap and newgidmap; empty where one is missing."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """The ids a sandbox of this caller has."""

    kind: Literal["all", "many", "one"]
    uids: tuple[Run, ...]
    gids: tuple[Run, ...]
    mappers: tuple[str, ...] = ()

    @classmethod
    def of(cls, caller: Caller) -> "Mapping":
        """Choose the widest that the caller can have."""
        if caller.uid == 0:
            inside = tuple((first, first, count) for first, _, count in caller.uid_map)
            return cls("all", inside, tuple((first, first, count) for first, _, count in caller.gid_map))
        if caller.mappers and caller.sub_uids and caller.sub_gids:
            return cls("many", _after(caller.uid, caller.sub_uids), _after(caller.gid, caller.sub_gids), caller.mappers)
        return cls("one", ((0, caller.uid, 1),), ((0, caller.gid, 1),))

    @property
    def identity(self) -> str:
        """What trees differ by: files unpacked under another text have other owners on disk."""
        if self.kind != "many":
            return self.kind
        runs = "-".join(f"{inside}.{outside}.{count}" for inside, outside, count in (*self.uids, (0, 0, 0), *self.gids))
        return f"many-{runs}"

    @property
    def for_trees(self) -> Ids | None:
        """The ids to write and delete trees with; root needs no namespace for it."""
        return None if self.kind == "all" else self._ids(self.uids, self.gids)

    @property
    def nested(self) -> Ids | None:
        """The same ids in a namespace inside the one that trees are written in; None where there is but one id."""
        if self.kind == "one":
            return None
        inside = [[(first, first, count) for first, _, count in runs] for runs in (self.uids, self.gids)]
        return Ids(uids=inside[0], gids=inside[1], mappers=[], single=False, optional=True)

    def for_user(self, uid: int, gid: int) -> Ids:
        """Give the ids for a program that runs as this user.

        Raises:
            HostUnable: the caller has sub-ids, but not that many.
        """
        if self.kind == "one":
            return self._ids(self.uids, self.gids)
        for kind, wanted, runs in (("user", uid, self.uids), ("group", gid, self.gids)):
            if not any(inside <= wanted < inside + count for inside, _, count in runs):
                most = max(inside + count for inside, _, count in runs) - 1
                table = "/etc/subuid" if kind == "user" else "/etc/subgid"
                raise HostUnable(
                    f"{kind} {wanted} cannot be mapped: this user's highest ID is {most}",
                    hint=f"give this user more IDs in {table}, or choose another with --user",
                )
        return self._ids(self.uids, self.gids)

    def _ids(self, uids: tuple[Run, ...], gids: tuple[Run, ...]) -> Ids:
        return Ids(
            uids=list(uids),
            gids=list(gids),
            mappers=list(self.mappers),
            single=self.kind == "one",
            optional=self.kind == "all",
        )


def _after(own: int, given: Sequence[tuple[int, int]]) -> tuple[Run, ...]:
    runs: list[Run] = [(0, own, 1)]
    place = 1
    for first, count in given:
        runs.append((place, first, count))
        place += count
    return tuple(runs)
