"""dive's figures: those of its own images and tests, and those of its own program where it is here."""

import json

import pytest

from needs import corpus
from wherry.analysis.image.dive import dive_figures
from wherry.analysis.image.index import FILE, FOLDER, WHITEOUT, IndexBuilder, LayerIndex, Row
from wherry.analysis.image.read import read_index
from wherry.oci.descriptor import Descriptor
from wherry.store.images import images_of
from wherry.store.open import open_images

CASES = "dive.jsonl"


def layer(*rows: tuple[str, int] | str) -> LayerIndex:
    """Make a layer of files with sizes, of folders (`d/`) and of whiteouts (`-d`)."""
    made = IndexBuilder()
    for row in rows:
        if isinstance(row, tuple):
            made.add(Row(row[0].encode(), FILE, row[1]))
        elif row.startswith("-"):
            made.add(Row(row[1:].encode(), WHITEOUT))
        else:
            made.add(Row(row.rstrip("/").encode(), FOLDER))
    return made.built(Descriptor.of("text/plain", b""), "", 0, 0)


def cases(kind: str) -> list[dict[str, object]]:
    """Give the corpus's cases of a kind."""
    lines = corpus(CASES).read_text().splitlines()
    return [case for case in map(json.loads, lines) if case["kind"] == kind]


def test_images_of_dive():
    """Efficiency, wasted bytes, its files, and the layers with their instructions, as dive said itself."""
    judged = 0
    for case in cases("archive"):
        expected = case["expected"]
        if expected is None:
            continue
        source, roots = open_images(corpus(str(case["archive"])))
        (image,) = (image for root in roots.values() for image in images_of(source, root))
        pairs = zip(image.manifest.stack, image.config.diff_ids, strict=True)
        read = [read_index(source, blob, diff_id) for blob, diff_id in pairs]

        found = dive_figures(read)

        assert found.efficiency == expected["efficiency_score"], case["id"]
        assert found.wasted_bytes == expected["inefficient_bytes"]
        named = {(file.path, file.count, file.bytes) for file in found.files}
        assert named == {(one["path"], one["count"], one["size_bytes"]) for one in expected["inefficient_files"]}
        assert [sum(one.column(0)) for one in read] == [one["size_bytes"] for one in expected["layers"]]
        judged += 1
    assert judged == 4


def test_layers_of_dives_tests():
    """Folders that have no entry are nothing to a whiteout."""
    for case in cases("layers"):
        layers = [
            layer(
                *(
                    f"-{path[1:].replace('.wh.', '')}" if "/.wh." in path else (path[1:], size)
                    for path, size in one.items()
                )
            )
            for one in case["layers"]
        ]

        found = dive_figures(layers)

        assert found.efficiency == case["expected"]["efficiency_score"]
        assert [(file.path, file.bytes) for file in found.files] == [
            (one["path"], one["cumulative_size"]) for one in case["expected"]["inefficient_files"]
        ]


def test_a_deleted_folder_is_never_waste():
    """A whiteout of a folder with an entry is a path of its own, seen once."""
    found = dive_figures([layer("d/", ("d/a", 400), ("d/b", 200), ("keep", 600)), layer("-d")])

    assert (found.wasted_bytes, found.efficiency) == (0, 1.0)
    assert dive_figures([layer("d/", ("d/a", 600)), layer("-d"), layer("d/")]).wasted_bytes == 600


def test_a_whiteout_of_nothing_ends_its_layer():
    """Dive stops there with an error in its log, and what comes later by name does not count."""
    found = dive_figures([layer(("+a", 100), ("z", 100)), layer("-m", ("+a", 100), ("z", 100))])

    # A whiteout's name starts with a dot: `+a` is before it, `z` behind.
    assert found.wasted_bytes == 200
    assert found.efficiency == (100 + 100 - 1) / 300


def test_an_image_without_bytes():
    """Nothing is wasted of nothing."""
    found = dive_figures([layer()])

    assert (found.efficiency, found.wasted_bytes, found.user_wasted_percent) == (1.0, 0, None)


@pytest.mark.parametrize("name", ["test-zstd-image.tar", "test-estargz-image.tar"])
def test_what_is_no_image(name):
    """Dive can't open these either; ours says what it is."""
    from wherry.errors import InvalidDocument

    with pytest.raises(InvalidDocument):
        open_images(corpus(f"dive_images/{name}"))
