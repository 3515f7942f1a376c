"""A pull that is killed (SIGKILL) while a registry answers it: the store is whole, and the next pull ends the work."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from cli_shell import Shell
from hostile_registry import Hostile, hostile
from small_images import put_layers
from wherry.store.disk import DiskStore
from wherry.store.memory import MemoryStore

pytestmark = pytest.mark.slow
LAYERS = 8
KILLS = 12


def filled(registry: Hostile) -> None:
    """Put an image of some layers there under v1."""
    store = MemoryStore()
    root = put_layers(store, [200_000 + place for place in range(LAYERS)])
    registry.blobs |= {str(digest): blob for digest, blob in store.blobs.items()}
    registry.manifests |= dict.fromkeys(("v1", str(root.digest)), (root.media_type, store.blobs[root.digest]))


def killed(shell: Shell, registry: Hostile, moment: int) -> bool:
    """Run a pull and kill it at a moment, counted in requests and halves of blobs; tell whether it came to it."""
    reached = 0

    def tick() -> bool:
        nonlocal reached
        reached += 1
        if reached == moment:
            process.kill()
        return reached < moment

    process = subprocess.Popen(
        [sys.executable, "-m", "wherry", "pull", "-q", f"{registry.host}/big:v1"],
        cwd=shell.root,
        env=shell.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    registry.moment = tick
    process.wait()
    registry.moment = lambda: True
    registry.idle()
    return reached >= moment


def test_any_moment(tmp_path: Path):
    """After each of the kills no name points to less than an image, no blob is wrong, and a whole pull ends well."""
    chance = random.Random(13)  # noqa: S311 - moments, not secrets
    kills = 0
    with hostile() as registry:
        filled(registry)
        for attempt in range(KILLS):
            shell = Shell(tmp_path / f"home{attempt % 3}")
            kills += killed(shell, registry, chance.randrange(1, 2 * LAYERS + 6))
            store = DiskStore(shell.root / "store")
            assert list(store.verify()) == []

        for place in range(3):
            shell = Shell(tmp_path / f"home{place}")
            shell("pull", f"{registry.host}/big:v1")
            assert shell("verify-store") == [f"{LAYERS + 2} blobs of 1 name: all complete"]
            shell("gc", "--older", "0s")
            assert not list((shell.root / "store").rglob("tmp-*"))

    assert kills >= KILLS // 2
