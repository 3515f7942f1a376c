"""A lint that found nothing, written down for `wherry.cli.replay`; loads little, so the first lint is quick too."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from wherry.app.build.sources import Source
from wherry.app.lint_options import LintWanted
from wherry.cli import replay
from wherry.cli.world import World
from wherry.source.stamps import settled, stamp_of

_INDEX = "index.json"
"""Of the store, an OCI layout: bases are looked up in it."""


def remember_lint(world: World, wanted: LintWanted, source: Source, *, began: float, printed: str, noted: str) -> None:
    """Keep that nothing was found, so that the same call prints it at once while no file that it read changes.

    Args:
        world: where.
        wanted: what was checked.
        source: the Dockerfile.
        began: seconds since the epoch, before anything was read.
        printed: what went to stdout.
        noted: what went to stderr.
    """
    if not source.local or wanted.build_contexts or world.annotates or not world.call:
        return
    if replay.cache_of(world.environment) != str(world.cache_folder) or world.clock() < began:
        return
    key = replay.key_of(world.call, world.environment)
    read = [(path, stamp_of(path)) for path in _read(world, wanted, source)]
    if not key or any(found and settled(found) > began * 1e9 for _, found in read):
        return
    ours = [(path, stamp_of(path)) for path in _our_own()]
    world.keep_cache_private()
    with suppress(OSError):  # a full disk: the next call does the whole work again
        replay.write(
            str(world.cache_folder),
            key,
            [(replay.LINKS, read), (replay.LINKS, ours)],
            printed=printed,
            noted=noted,
            asked=[],
        )


def _read(world: World, wanted: LintWanted, source: Source) -> Iterator[str]:
    """Name what the lint read, or would have read if it were there."""
    from wherry.app.hadolint_program import CONFIGS, program_of

    yield from map(str, source.read)
    yield str(world.store_folder / _INDEX)
    folder = source.folder
    while True:
        yield from (str(folder / name) for name in ("wherry.lock", "wherry.toml", "go.mod"))
        if folder == folder.parent:
            break
        folder = folder.parent
    if not wanted.file:
        yield from (str(world.cwd / wanted.context / name) for name in ("Dockerfile", "dockerfile"))
    if program := program_of(world):
        yield program
        homes = [Path(world.environment.get(name, "/")) for name in ("HOME", "XDG_CONFIG_HOME")]
        yield from (str(above / name) for above in (source.folder, *homes) for name in CONFIGS)
        yield from (str(above / name.lstrip(".")) for above in (homes[0] / ".config", homes[1]) for name in CONFIGS)


def _our_own() -> Iterator[str]:
    """Name our code, as far as it is loaded."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "wherry" and (file := getattr(module, "__file__", None)):
            yield os.fspath(file)
