"""dive's own program says what we say that it says: images by chance, and the ones its formula is odd about."""

import json
import random
import subprocess

import pytest

from archives import file, folder, hard, link
from built_images import put_layers
from needs import need
from wherry.analysis.image.dive import dive_figures
from wherry.analysis.image.read import read_index
from wherry.layer.compress import Encoding
from wherry.layer.entry import Entry
from wherry.store.archive import write_docker_archive
from wherry.store.images import read_image
from wherry.store.memory import MemoryStore

pytestmark = [pytest.mark.peers, pytest.mark.slow]

_FOLDERS = ("", "d/", "d/e/", "f/")


def layer_by_chance(chance: random.Random) -> list[Entry]:
    """Make up a layer of files, folders, links and whiteouts that a builder could have written."""
    entries: dict[str, Entry] = {}
    for _ in range(chance.randrange(1, 9)):
        path = chance.choice(_FOLDERS) + chance.choice("abcz")
        content = bytes(chance.randrange(2000))
        made = chance.choice(
            [
                file(path, content), file(path, content), link(path, "a"), folder(path.rpartition("/")[0] or "d"),
                file(f"{path.rpartition('/')[0]}/.wh.{path.rpartition('/')[2]}".lstrip("/")), file(".wh.d"),
                file("d/.wh..wh..opq"),
            ]
        )  # fmt: skip
        entries[made.path] = made
    files = [path for path, entry in entries.items() if entry.size]
    if files and chance.random() < 0.3:
        entries["h"] = hard("h", files[0])
    return sorted(entries.values(), key=lambda entry: (entry.kind.value == b"1", entry.path))


def compared(tmp_path, layers: list[list[Entry]]) -> None:
    """Compare an image's figures with what dive says of its archive."""
    store = MemoryStore()
    root = put_layers(store, layers, encoding=Encoding("none", 0))
    archive, said = tmp_path / "image.tar", tmp_path / "dive.json"
    with archive.open("wb") as out:
        write_docker_archive(out, store, {"image:dev": root})
    said.unlink(missing_ok=True)  # dive writes over what is there, and does not cut it
    subprocess.run(
        [need("dive"), f"docker-archive://{archive}", "--json", str(said)],
        check=True,
        capture_output=True,
        cwd=tmp_path,
    )
    theirs = json.loads(said.read_text())["image"]
    image = read_image(store, root)
    pairs = zip(image.manifest.stack, image.config.diff_ids, strict=True)
    ours = dive_figures([read_index(store, blob, diff_id) for blob, diff_id in pairs])

    assert ours.efficiency == pytest.approx(theirs["efficiencyScore"])
    assert ours.wasted_bytes == theirs["inefficientBytes"]
    assert {(one.path, one.count, one.bytes) for one in ours.files} == {
        (one["file"], one["count"], one["sizeBytes"]) for one in theirs["fileReference"] or []
    }


def test_images_by_chance(tmp_path):
    """Forty stacks of up to five layers."""
    for seed in range(40):
        chance = random.Random(seed)  # noqa: S311 - the same images each time
        layers = [layer_by_chance(chance) for _ in range(chance.randrange(1, 6))]
        try:
            compared(tmp_path, layers)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {[[entry.path for entry in layer] for layer in layers]}") from error


def test_a_whiteout_of_nothing(tmp_path):
    """Dive ends the layer there."""
    compared(
        tmp_path,
        [
            [file("-a", b"1" * 100), file("z", b"1" * 100)],
            [file(".wh.m"), file("-a", b"1" * 100), file("z", b"1" * 100)],
        ],
    )
