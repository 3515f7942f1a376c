"""What a whole call of `wherry build` gave, so that calling it again ends before anything heavy is loaded.

The pipeline would say the same, later: it reads settings, makes a plan and asks each step. A call is remembered by
its words, its folder and the environment that counts, with every input of every step and of our own code. It is
answered from here only where all of them, git's status, the names in the store and the blobs behind them are as they
were; a call that names files to write or to add is never remembered.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from os.path import realpath
from pathlib import Path

import msgspec

from wherry.app.build.options import GoBuild
from wherry.app.history_record import journal_of
from wherry.cli.words import Voice
from wherry.cli.world import World
from wherry.counted import counted
from wherry.host.toolchain import locate
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import decode, encode
from wherry.plan.graph import key_of
from wherry.source.inputs import Input, InputKind, InputReader, key_of_inputs
from wherry.source.vcs import Vcs, VcsAbsent, start_vcs
from wherry.store.results import Results, StepRecord
from wherry.typed import from_msgpack

_PREFIXES = ("GO", "CGO_", "KO", "GIT_", "WHERRY_", "XDG_", "PKG_CONFIG")
_NAMES = frozenset({"HOME", "PATH", "CC", "CXX", "AR", "FC", "SOURCE_DATE_EPOCH"})
_OUR_PACKAGES = ("zlib_ng", "zstandard", "isal", "msgspec", "click")
"""Packages that affect an image's bytes or the output."""
_NEVER = (
    "outputs", "image_refs", "metadata_file", "iidfile", "debug_info", "size_record", "add", "no_cache", "load",
    "prove", "sbom", "provenance",
)  # fmt: skip
"""Options that ask for more than the store and a line."""


class CallMemo(msgspec.Struct, frozen=True):
    """A call that everything came from the cache for."""

    inputs: tuple[Input, ...]
    status: str
    """What git said; empty where it does not count."""
    names: dict[str, str]
    """Tags and the digests they point to."""
    blobs: tuple[bytes, ...]
    """Descriptors, as JSON, of all blobs the names point to."""
    printed: tuple[str, ...]
    pushed: bool
    """Whether the names were pushed, so that they have to be there still."""
    noted: tuple[str, ...]
    quiet: bool = False
    """Whether notes are left out."""
    kept: str = ""
    """What its history line has behind the moment; empty where none is kept."""


def may_remember(wanted: GoBuild, voice: Voice) -> bool:
    """Report whether a call is of the kind that is remembered."""
    return not any(getattr(wanted, name) for name in _NEVER) and not voice.explain and voice.progress != "json"


def key_of_call(world: World, wanted: GoBuild, voice: Voice) -> str:
    """Name a call by all that may decide what it means."""
    environment = {
        f"env {name}": value
        for name, value in world.environment.items()
        if name in _NAMES or name.startswith(_PREFIXES)
    }
    return key_of(
        {
            **environment,
            "call": repr((wanted, voice)),
            "cwd": realpath(world.cwd),
            "store": str(world.store_folder),
            "go": str(locate(world.environment)),
            "python": f"{sys.prefix} {sys.version}",
        }
    )


def recall(world: World, key: str) -> CallMemo | None:
    """Give what a call gave, if it would give the same again."""
    results = Results(world.cache_folder, world.note)
    world.store.warned = world.note
    query = start_vcs(Path(realpath(world.cwd)), world.runner, world.environment)
    try:
        record = results.latest(key)
        if record is None:
            return None
        memo = from_msgpack(record.observed, CallMemo)
        found = InputReader().observe(memo.inputs)
        vcs = query.result()
        moved = memo.status and status_of(vcs) != memo.status
        if found.changed or moved or not _in_store(world, memo):
            return None
        world.replayed = journal_of(world, memo.kept), memo.kept
        remember(world, key, msgspec.structs.replace(memo, inputs=found.current), vcs, again=found.restamped)
        return msgspec.structs.replace(memo, noted=(*memo.noted, unchanged(found.looked_at)))
    finally:
        query.stop()
        results.close()


def remember(world: World, key: str, memo: CallMemo, vcs: Vcs | VcsAbsent, *, again: bool = True) -> None:
    """Keep what a call gave, and write it down so that the same call can be replayed.

    Args:
        world: where.
        key: the call's.
        memo: what it gave.
        vcs: what git said.
        again: whether the memo differs from the one that is kept.
    """
    from wherry.cli.replay_record import remember_module

    remember_module(world, memo, vcs, noted_of(memo))
    if not again:
        return
    results = Results(world.cache_folder)
    results.put(
        StepRecord(
            definition=key,
            content=key_of_inputs(memo.inputs, memo.status),
            slot="call",
            used=world.clock(),
            defined=b"",
            observed=msgspec.msgpack.encode(memo),
            result=b"",
        )
    )
    results.close()


def noted_of(memo: CallMemo) -> str:
    """Write what a replay of a call notes."""
    return "" if memo.quiet else "".join(f"  {line}\n" for line in (*memo.noted, unchanged(len(memo.inputs))))


def unchanged(count: int) -> str:
    """Say that nothing changed."""
    return f"nothing changed ({counted(count, 'file')} checked)"


def status_of(vcs: Vcs | VcsAbsent) -> str:
    """Write git's answer down."""
    return repr(vcs)


def our_own_inputs() -> Iterator[tuple[str, InputKind]]:
    """Name our code, and the packages whose data and encoders make an image's bytes."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "wherry" and getattr(module, "__file__", None):
            yield str(module.__file__), InputKind.FILE
    for name in _OUR_PACKAGES:
        spec = find_spec(name)
        if spec and spec.origin:
            yield spec.origin, InputKind.FILE
            yield str(Path(spec.origin).parent), InputKind.TREE


def _in_store(world: World, memo: CallMemo) -> bool:
    tags = world.store.tags()
    if any(name not in tags or tags[name].digest != digest for name, digest in memo.names.items()):
        return False
    return all(world.store.sound(decode(blob, Descriptor, "a remembered blob")) for blob in memo.blobs)


def encoded(blobs: Sequence[Descriptor]) -> tuple[bytes, ...]:
    """Write descriptors as a memo keeps them."""
    return tuple(encode(blob) for blob in blobs)
