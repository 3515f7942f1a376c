"""What a whole call of `wherry build` for a Dockerfile gave, so that calling it again ends before anything is loaded.

A call is remembered by its words, its folder and the environment that counts, with the stamp (size, times, inode) of
each file and folder that was looked at: the Dockerfile, the ignore file, all that is copied, layouts, and our own code.
It is answered from here only where none of them has another stamp, and names and blobs are as they were. A base of a
registry has to be asked for, a URL too: calls with those are never remembered.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from wherry.cli.world import World
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import decode, encode
from wherry.plan.steps import key_of
from wherry.store.results import Record, Results

_YOUNG = 2_000_000_000
_NEVER = (
    "outputs", "metadata_file", "iidfile", "no_cache", "no_cache_filter", "explain", "load", "check", "debug_shell",
    "pull", "cache_to", "cache_from",
)  # fmt: skip
"""Options that ask for more than the store and a line."""

Stamp = tuple[int, int, int, int, int]


class StagedMemo(msgspec.Struct, frozen=True):
    """A call that everything came from the cache for."""

    stamps: dict[str, Stamp | None]
    """By path; None: nothing was there."""
    names: dict[str, str]
    """Tags that were read or written, and the digests they lead to."""
    blobs: tuple[bytes, ...]
    printed: str
    noted: str
    pushed: tuple[str, ...]


def key_of_call(world: World, paths: Sequence[str], options: Mapping[str, object]) -> str:
    """Name a call by all that may decide what it means; empty where it is of a kind that is not remembered."""
    if any(options[name] for name in _NEVER) or options["progress"] == "json" or options["dockerfile"] == "-":
        return ""
    if paths and (paths[0] == "-" or "://" in paths[0] or paths[0].startswith("git@")):
        return ""
    environment = {
        name: world.environment[name]
        for name in (*(text for text in _texts(options["build_args"]) if "=" not in text), "SOURCE_DATE_EPOCH")
        if name in world.environment
    }
    return key_of(
        {
            "call": repr((tuple(paths), sorted(options.items()))),
            "cwd": os.path.realpath(world.cwd),
            "store": str(world.store_folder),
            "python": f"{sys.prefix} {sys.version}",
            "user": str(os.geteuid()),
            **{f"env {name}": value for name, value in environment.items()},
        }
    )


def _texts(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def recall(world: World, key: str) -> StagedMemo | None:
    """Give what a call gave, if it would give the same again."""
    results = Results(world.cache_folder)
    try:
        record = results.latest(key)
    finally:
        results.close()
    if record is None:
        return None
    memo = msgspec.msgpack.decode(record.observed, type=StagedMemo)
    if any(stamp_of(path) != stamp for path, stamp in memo.stamps.items()):
        return None
    tags = world.store.tags()
    if any(name not in tags or tags[name].digest != digest for name, digest in memo.names.items()):
        return None
    if not all(world.store.has(decode(blob, Descriptor, "a remembered blob")) for blob in memo.blobs):
        return None
    return memo


def remember(world: World, key: str, memo: StagedMemo) -> None:
    """Keep what a call gave, unless a file is so young that a later write could leave the same stamp."""
    newest = world.clock() * 1e9 - _YOUNG
    if any(stamp is not None and stamp[2] > newest for stamp in memo.stamps.values()):
        return
    results = Results(world.cache_folder)
    results.put(
        Record(
            definition=key,
            content="",
            slot="call",
            used=world.clock(),
            defined=b"",
            observed=msgspec.msgpack.encode(memo),
            result=b"",
        )
    )
    results.close()


def stamp_of(path: str) -> Stamp | None:
    """Give size, times, inode and mode; None where there is nothing."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode


def our_own() -> dict[str, Stamp | None]:
    """Stamp our code, as far as it is loaded."""
    files = (
        getattr(module, "__file__", None) for name, module in list(sys.modules.items()) if name.startswith("wherry")
    )
    return {str(file): stamp_of(str(file)) for file in files if file}


def encoded(blobs: Iterable[Descriptor]) -> tuple[bytes, ...]:
    """Write descriptors as a memo keeps them."""
    return tuple(encode(blob) for blob in blobs)
