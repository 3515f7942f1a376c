"""Whether the user of a container can write to what is mounted into it."""

import os
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from wherry.sandbox import ids
from wherry.sandbox.accounts import ContainerUser

if TYPE_CHECKING:
    from wherry.runtime.run import BindMount


def unwritable(volumes: "Iterable[BindMount]", mapping: ids.Mapping, account: ContainerUser) -> Iterator[str]:
    """Name the volumes that are not mounted read-only and that the container's user cannot write to, and what to do.

    Args:
        volumes: what is mounted.
        mapping: ids inside and outside.
        account: who the program runs as, inside.

    Root of a container can write wherever its caller can, and with one id only, its user is the caller.
    """
    if account.uid == 0 or mapping.kind == "one":
        return
    user = _outside(account.uid, mapping.uids)
    groups = {_outside(group, mapping.gids) for group in (account.gid, *account.groups)}
    for volume in volumes:
        found = os.stat(volume.source)  # noqa: PTH116 - as in the line below
        if volume.read_only or _may_write(found, user, groups):
            continue
        yield (
            f"{volume.destination}: the program runs as user {account.uid} and cannot write to {volume.source} "
            f"(mode {stat.S_IMODE(found.st_mode):04o}, another owner): use -u 0, chmod o+w, or mount it with :ro"
        )


def _outside(wanted: int, runs: Iterable[ids.Run]) -> int:
    return next((outside + wanted - first for first, outside, count in runs if first <= wanted < first + count), -1)


def _may_write(found: os.stat_result, user: int, groups: set[int]) -> bool:
    if found.st_uid == user:
        return bool(found.st_mode & stat.S_IWUSR)
    if found.st_gid in groups:
        return bool(found.st_mode & stat.S_IWGRP)
    return bool(found.st_mode & stat.S_IWOTH)
