"""What umoci unpacks is what we say that a container sees."""

import random
import subprocess
from pathlib import Path

import pytest

from archives import file, folder, hard, link
from built_images import put_layers
from needs import need, need_root
from waste_images import indexes, opaque, whiteout
from wherry.analysis.image.analyze import analyzed
from wherry.analysis.image.base import base_of
from wherry.layer.entry import Entry
from wherry.store.archive import write_oci_archive
from wherry.store.images import read_image
from wherry.store.memory import MemoryStore

pytestmark = pytest.mark.slow


def layer_by_chance(chance: random.Random, number: int) -> list[Entry]:
    """Make up a layer as builders write them: folders first, whiteouts of what may be below, links."""
    entries = [folder("d"), folder("d/e"), folder("f"), link("s", "d") if number % 2 else folder("g")]
    paths = [chance.choice(("", "d/", "d/e/", "f/")) + chance.choice("abcz") for _ in range(6)]
    entries += [file(path, bytes([number]) * chance.randrange(1, 3000)) for path in dict.fromkeys(paths[:4])]
    entries.append(hard(f"h{number}", paths[0]))
    if number:
        entries += [whiteout(path) for path in dict.fromkeys(paths[4:]) if path not in paths[:4]]
    if number and chance.random() < 0.4:
        entries.append(opaque("d/e"))
    return entries


@pytest.mark.parametrize("seed", range(6))
def test_the_files_that_are_seen(tmp_path: Path, seed: int):
    """Files and their bytes, a hard-linked one once, for stacks of four layers by chance."""
    need_root()
    chance = random.Random(seed)  # noqa: S311 - the same images each time
    store = MemoryStore()
    root = put_layers(store, [layer_by_chance(chance, number) for number in range(4)])
    image = read_image(store, root)
    found = analyzed(image, indexes(store, image), base_of(image))

    with (tmp_path / "image.tar").open("wb") as out:
        write_oci_archive(out, store, {"image:dev": root})
    (tmp_path / "layout").mkdir()
    subprocess.run([need("tar"), "-xf", "../image.tar"], cwd=tmp_path / "layout", check=True)
    words = [need("umoci"), "unpack", "--image", f"{tmp_path / 'layout'}:dev", str(tmp_path / "bundle")]
    subprocess.run(words, check=True, capture_output=True)
    rootfs = tmp_path / "bundle" / "rootfs"
    files = [path.lstat() for path in rootfs.rglob("*") if path.is_file() and not path.is_symlink()]
    inodes = {one.st_ino: one.st_size for one in files}

    assert (found.files, found.visible) == (len(inodes), sum(inodes.values()))
