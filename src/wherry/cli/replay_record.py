"""What a call gave, written down for `wherry.cli.replay`, which replays the same call without loading wherry."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, takewhile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wherry.cli import replay
from wherry.cli.world import World
from wherry.digest import Digest
from wherry.errors import WherryError
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import decode
from wherry.oci.layout import INDEX
from wherry.oci.reference import Reference
from wherry.settings.proxies import is_loopback
from wherry.source.stamps import settled, stamp_of
from wherry.store.contract import walk

if TYPE_CHECKING:
    from wherry.app.transfer import NamedImage
    from wherry.build.file_hashes import PathLog
    from wherry.cli.replay import Checkout
    from wherry.cli.replay_build import CallMemo
    from wherry.source.inputs import Input
    from wherry.source.stamps import Stamped
    from wherry.source.vcs import Vcs, VcsAbsent


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """What a call gave, and all that it hung on."""

    began: float
    """When it began, seconds since the epoch: nothing was read before."""
    paths: Sequence[str]
    """Files that were read, or would have been if they were there."""
    looked: "Sequence[PathLog]"
    blobs: Sequence[Descriptor]
    """Of the image."""
    asked: Mapping[str, Descriptor]
    """Names that registries were asked for, and where they led."""
    printed: str
    noted: str


def remember(world: World, given: RecordedCall) -> None:
    """Keep it, unless something may change unseen: a file so young that a later write could leave the same stamp."""
    key = key_of(world)
    if not key:
        return
    read = [(path, stamp_of(path)) for path in given.paths]
    if any(found and settled(found) > given.began * 1e9 for _, found in read):
        return
    if world.clock() < given.began:  # it jumped back, so changes since then are unknown
        return
    if not all(looked.settled for looked in given.looked):
        return
    asked = list(_asked(world, {name: root.digest for name, root in given.asked.items()}))
    if None in asked:
        return
    kept = [(path, stamp_of(path)) for path in (*_kept(world, given.blobs), *_our_own())]
    chunks: Iterator[Sequence[Stamped]] = chain([read, kept], *(looked.chunks() for looked in given.looked))
    places = [one for one in asked if one is not None]
    with suppress(OSError):  # a full disk: the next call does the whole work again
        replay.write(
            str(world.cache_folder),
            key,
            ((replay.LINKS, chunk) for chunk in chunks),
            printed=given.printed,
            noted=given.noted,
            asked=places,
            kept=world.replayed,
        )


def remember_module(
    world: World,
    memo: "CallMemo",
    vcs: "Vcs | VcsAbsent",
    noted: str,
    *,
    printed: str | None = None,
    read: "Sequence[Stamped]" = (),
) -> None:
    """Keep what building a module gave, unless something may change unseen.

    Args:
        world: where it was built.
        memo: what it gave, and on what that depends.
        vcs: what git said.
        noted: what goes to stderr.
        printed: what went to stdout; None: the memo's lines.
        read: further files that were read.
    """
    from wherry.source.vcs import Vcs, VcsAbsent, outside

    key = key_of(world)
    files = _stamps(memo.inputs)
    if not key or files is None or (memo.status and isinstance(vcs, VcsAbsent) and not outside(vcs)):
        return
    asked = list(_asked(world, {name: Digest(memo.names[name]) for name in memo.names if memo.pushed}))
    if None in asked:
        return
    checkout: Checkout | None = None
    if memo.status:
        files += [(path, None) for path in _no_checkouts(world, vcs)]
        if isinstance(vcs, Vcs):
            checkout = str(vcs.root), vcs.revision, vcs.branch, vcs.modified
    files += [*_programs("go", world.environment), *read]
    if memo.pushed:
        files += [(path, file_stamp(path)) for path in deciding_settings(world, "")]
    blobs = [decode(blob, Descriptor, "a remembered blob") for blob in memo.blobs]
    kept = [(path, stamp_of(path)) for path in _kept(world, blobs)]
    with suppress(OSError):  # as above
        replay.write(
            str(world.cache_folder),
            key,
            [(replay.FILES, files), (replay.LINKS, kept)],
            printed="".join(f"{line}\n" for line in memo.printed) if printed is None else printed,
            noted=noted,
            asked=[one for one in asked if one is not None],
            checkout=checkout,
            kept=world.replayed,
        )


def remember_transfer(world: World, moved: "Sequence[NamedImage]", *, began: float, source: str, printed: str) -> None:
    """Keep what moving images gave, unless something may change unseen.

    Args:
        world: where.
        moved: the images, under their new names.
        began: seconds since the epoch, before anything was checked.
        source: what the image was found by, which may be a path too; empty: a registry's name.
        printed: what went to stdout.
    """
    from wherry.app.required import requires_any

    key = "" if requires_any(world.cwd) else key_of(world)
    bases = [one.basis for one in moved if one.basis]
    named = {pair for basis in bases for pair in basis.asked.items()}
    names = dict(named)
    if not key or len(bases) != len(moved) or len(names) != len(named):
        return
    asked = list(_asked(world, names, digests=True))
    if None in asked:
        return
    quiet = "-q" in world.call or "--quiet" in world.call
    seen = SeenStore(
        roots=[root for basis in bases for root in basis.local],
        files=[(path, file_stamp(path)) for path in deciding_settings(world, source)],
        asked=[one for one in asked if one is not None],
    )
    noted = "" if quiet else "  nothing to move: all of it is there\n"
    remember_seen(world, key, seen, began=began, printed=printed, noted=noted)


def remember_listing(world: World, roots: Sequence[Descriptor], *, began: float, printed: str) -> None:
    """Keep the list of the local store's images, unless something may change unseen.

    Args:
        world: where.
        roots: of all images, each of which could be read.
        began: seconds since the epoch, before anything was checked.
        printed: what went to stdout.
    """
    if key := key_of(world):
        remember_seen(world, key, SeenStore(roots), began=began, printed=printed)


def remember_reading(world: World, name: str, *, began: float, absent: Sequence[str] = ()) -> None:
    """Keep what a command printed of an image of the local store, unless something may change unseen.

    Args:
        world: where; its `kept` is what was printed.
        name: what the image was found by.
        began: seconds since the epoch, before anything was read.
        absent: paths where nothing may be.
    """
    from wherry.app.places import find

    key, kept = key_of(world), world.kept
    # On a terminal, lines are as long as that is wide; a later call may have another width.
    if not key or kept is None or world.columns is not None or any(map(os.path.lexists, absent)):
        return
    at = find(world, name)
    if at.source is not world.store:
        return
    files = [(path, file_stamp(path)) for path in (*deciding_settings(world, name), *absent)]
    printed = "".join(f"{line}\n" for line in kept)
    remember_seen(world, key, SeenStore([at.root], files), began=began, printed=printed)


@dataclass(frozen=True, slots=True)
class SeenStore:
    """What a call on the local store depends on, apart from the store's index."""

    roots: Sequence[Descriptor]
    """In the local store."""
    files: "Sequence[Stamped]" = ()
    asked: Sequence[tuple[str, int, str, str, str]] = ()
    listed: "Sequence[Stamped]" = ()
    """Further paths, of which links are not followed."""
    due: float = 0
    since: float = 0
    """As `replay.write` takes them."""


def remember_seen(world: World, key: str, seen: SeenStore, *, began: float, printed: str, noted: str = "") -> None:
    """Keep what a call gave that depends on the local store and on files, unless something may change unseen.

    Args:
        world: where.
        key: of the call.
        seen: what it depends on.
        began: seconds since the epoch, before anything was checked.
        printed: what went to stdout.
        noted: what went to stderr.
    """
    index = stamp_of(str(world.store_folder / INDEX))
    if index and settled(index) > began * 1e9:  # as after each pull that moved something
        return
    try:
        blobs = list(walk(seen.roots, world.store))
    except WherryError:  # part of it was deleted meanwhile
        return
    kept = [(path, stamp_of(path)) for path in _kept(world, blobs)]
    if None in (stamp for _, stamp in kept[1:]):  # the first is the store's index
        return
    if any(stamp and settled(stamp) > began * 1e9 for _, stamp in (*kept, *seen.files, *seen.listed)):
        return
    if world.clock() < began:  # as in `remember`
        return
    ours = [(path, stamp_of(path)) for path in _our_own()]
    with suppress(OSError):  # as above
        replay.write(
            str(world.cache_folder),
            key,
            [(replay.LINKS, kept), (replay.LINKS, ours), (replay.FILES, seen.files), (replay.LINKS, seen.listed)],
            printed=printed,
            noted=noted,
            asked=seen.asked,
            due=seen.due,
            since=seen.since,
            kept=world.replayed,
        )


def deciding_settings(world: World, source: str) -> Iterator[str]:
    """Name the files that say how registries are reached, and those that a source's name may mean."""
    from wherry.app.network import settings_files
    from wherry.app.required import deciding_files

    yield from map(str, settings_files(world))
    yield from map(str, deciding_files(world.cwd))
    yield from paths_meant(world, source)


def paths_meant(world: World, source: str) -> Iterator[str]:
    """Name the paths that an image's name may mean: it is looked for there before the local store."""
    words = source.split(":")
    yield from (str(world.cwd / ":".join(words[:count])) for count in range(1, len(words) + 1) if words[0])


def file_stamp(path: str) -> tuple[int, ...] | None:
    """Give the stamp of what a path points to, as `replay.FILES` has it; None where nothing is there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - one place takes the same four figures, for stamps of inputs
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def key_of(world: World) -> str:
    """Name the call; empty where it is not replayed."""
    if replay.command_of(world.call) not in replay.COMMANDS:
        return ""
    if replay.cache_of(world.environment) != str(world.cache_folder):
        return ""
    return replay.key_of(world.call, world.environment)


def _stamps(inputs: "Sequence[Input]") -> "list[Stamped] | None":
    """Give paths and stamps; None where one is so young that it has no stamp that could be relied on."""
    from wherry.source.inputs import ABSENT, NO_STAMP, InputKind

    found: list[Stamped] = []
    for entry in inputs:
        if entry.stamp != NO_STAMP and entry.kind is not InputKind.ABSENT:
            found.append((entry.path, entry.stamp))
        elif entry.content == ABSENT and not os.path.lexists(entry.path):
            found.append((entry.path, None))
        else:
            return None
    return found


def _no_checkouts(world: World, vcs: "Vcs | VcsAbsent") -> Iterator[str]:
    """Name what would make git look at another checkout if it were there."""
    here = Path(os.path.realpath(world.cwd))
    root = getattr(vcs, "root", None)
    for folder in takewhile(lambda folder: folder != root, (here, *here.parents)):
        yield str(folder / ".git")


def _programs(name: str, environment: Mapping[str, str]) -> "Iterator[Stamped]":
    """Give the places where PATH finds a program, up to the first that has it."""
    for folder in environment.get("PATH", os.defpath).split(os.pathsep):
        place = str(Path(folder) / name)
        stamp = file_stamp(place)
        yield place, stamp
        if stamp is not None and os.access(place, os.X_OK):
            return


def _asked(
    world: World, names: Mapping[str, Digest], *, digests: bool = False
) -> Iterator[tuple[str, int, str, str, str] | None]:
    """Say where each tag can be asked for by plain words; None of one that can't.

    Args:
        world: where.
        names: and what they resolve to.
        digests: whether names with a digest are asked for too, which only checks that it still exists.
    """
    for name, digest in names.items():
        from wherry.registry.repository import Repository  # slow to load, and there as soon as a registry was asked

        reference = Reference.parse(name)
        if reference.digest is not None and not digests:
            continue
        source = world.registries.source(reference)
        place = urlsplit(world.registries.client(reference.registry).root)
        plain = isinstance(source, Repository) and place.scheme == "http" and is_loopback(place.hostname or "")
        if not plain or ":" in (place.hostname or ":"):
            yield None
        else:
            wanted = str(reference.digest or reference.tag)
            yield place.hostname or "", place.port or 80, reference.repository, wanted, str(digest)


def _kept(world: World, blobs: Sequence[Descriptor]) -> Iterator[str]:
    """Name what tells that the blobs are here, or that it is known who has them."""
    yield str(world.store_folder / INDEX)
    for blob in blobs:
        here = world.store.has(blob)
        yield world.store.path_of(blob.digest) if here else str(world.store.elsewhere.file_of(blob.digest))


def _our_own() -> Iterator[str]:
    """Name our code, as far as it is loaded."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "wherry" and (file := getattr(module, "__file__", None)):
            yield str(file)
