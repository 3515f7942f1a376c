"""Caches of RUN: folders that steps of any build share, by name, and that no layer has.

In the folder of caches, below a hash of its name each: `name`, which is touched at every use; `0`, `1`, … the caches
that were ever needed at once; `….lock`, `….use` and `….begin`, held while a step has one or it is made.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from wherry.sandbox.client import SandboxClient
from wherry.sandbox.spec import ChangeFiles, CopySpec, SourceTree
from wherry.snapshots.snapshots import make_private
from wherry.store.locks import acquire, alone

_BEGUN = "/cache"
"""Where in its tree a cache is that began with files of a stack."""


@contextmanager
def cache_folder(caches: Path, name: str, sharing: str) -> Iterator[Path]:
    """Have a cache's folder, as its sharing has it.

    Args:
        caches: what they are in.
        name: of the cache.
        sharing: `shared`; `locked`: one step at a time; `private`: one that no other step uses now.
    """
    make_private(caches)
    base = caches / hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:32]
    base.mkdir(parents=True, exist_ok=True)
    (base / "name").write_bytes(name.encode(errors="surrogateescape"))
    if sharing == "shared":
        number, lock = 0, acquire(base / "0.use", alone=False)
    elif sharing == "locked":
        number, lock = 0, acquire(base / "0.lock", alone=True)
    else:
        number = 0
        while (lock := acquire(base / f"{number}.lock", alone=True, wait=False)) is None:
            number += 1
    folder = base / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if lock is not None:
            lock.release()


def begun(client: SandboxClient, folder: Path, layers: Sequence[str], source: str, stage: Path) -> tuple[Path, str]:
    """Have a cache that begins with files of a stack: they are put there once, whole or not at all.

    Args:
        client: does it.
        folder: the cache's.
        layers: of the stack that has the files, base first.
        source: the folder of it that they are in.
        stage: an empty folder.

    Returns:
        A folder, and where in it the cache is.

    Raises:
        CannotCopy: there is no such folder.
    """
    tree, done = folder / "tree", folder / "begun"
    with alone(folder.with_suffix(".begin")):
        if done.exists():
            return tree, _BEGUN
        if tree.exists():  # a killed build left it half made
            (folder / "trash").mkdir(exist_ok=True)
            client.delete([tree], folder / "trash")
        tree.mkdir()
        origin = SourceTree(kind="stack", folder="", layers=list(layers), left_out=[])
        copy = CopySpec(
            action="copy", origin=origin, path=source.strip("/"), destination=_BEGUN, contents=False, follow=True,
            wildcards=False, only=[], but=[], required=[], mode="", owner=None, mtime=-1,
        )  # fmt: skip
        job = ChangeFiles(
            task="change", ids=client.mapping.for_trees, stage=str(stage), layers=[], writable=str(folder),
            overlay=True,
            actions=[copy],
        )  # fmt: skip
        client.change(job)
        done.touch()
        return tree, _BEGUN


def unused(caches: Path, before: float) -> Iterator[Path]:
    """Name the folders of caches that no step has had for long, each locked while it is checked.

    Args:
        caches: what they are in.
        before: only caches unused since this moment (seconds since the epoch).
    """
    for name in sorted(caches.glob("*/name")):
        if name.stat().st_mtime >= before:
            continue
        with ExitStack() as stack:
            for lock in (*name.parent.glob("*.lock"), *name.parent.glob("*.use")):
                held = acquire(lock, alone=True, wait=False)
                if held is None:
                    break
                stack.callback(held.release)
            else:
                yield name.parent
