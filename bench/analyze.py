"""`make bench-analyze`: `wherry analyze` and dive on images of 250 MB and 2 GB, first and second look; Markdown out.

Runs take turns. Both read the same archive in Docker's form; dive is what `go install` makes of its release.
"""

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import Sample, measured
from modules import ROOT
from report import machine
from subjects import WHERRY

sys.path.insert(0, str(ROOT / "tests"))

from built_images import file, folder, put_layers
from wherry.layer.compress import Encoding
from wherry.layer.entry import Entry
from wherry.store.archive import write_docker_archive
from wherry.store.disk import DiskStore

PAGE = ROOT / "docs" / "benchmarks-analyze.md"
IMAGES = {"250 MB": (16_000, 15_600), "2 GB": (60_000, 33_000)}
"""Files, and bytes of each; a quarter of them hide files of a lower layer."""
_RULES = "rules:\n  lowestEfficiency: disabled\n  highestUserWastedPercent: disabled\n"
_TEXTS = 50
_HEAD = """# Benchmarks of analyze

Written by `make bench-analyze`. Seconds and peaks are medians of whole program runs, taking turns. The last column is
dive's time by ours: above 1, dive takes longer. Both read one archive; the second look has the cache of the first."""
_COLUMNS = "| image | case | seconds | CPU seconds | memory, MB | dive ÷ wherry |"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each case (default: 5)")
    parser.add_argument("--images", nargs="*", choices=list(IMAGES), default=list(IMAGES))
    options = parser.parse_args()
    dive = shutil.which("dive")
    if dive is None:
        sys.exit("dive is not on PATH: go install github.com/wagoodman/dive@v0.13.1")
    load = os.getloadavg()[0]
    lines = [_HEAD, "", *machine(load), "", _COLUMNS, "| --- | --- | --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as name:
        for image in options.images:
            lines += _rows(Path(name), image, dive, options.runs)
    PAGE.write_text("\n".join([*lines, ""]))
    print(PAGE.read_text())


def _rows(work: Path, image: str, dive: str, runs: int) -> Iterator[str]:
    archive, cache = work / "image.tar", work / "cache"
    _write(work, archive, *IMAGES[image])
    (work / "rules").write_text(_RULES)
    environment = {"PATH": os.environ["PATH"], "HOME": str(work), "WHERRY_CACHE": str(cache), "CI": "true"}
    ours = [WHERRY, "analyze", str(archive)]
    theirs = [dive, f"docker-archive://{archive}", "--ci-config", str(work / "rules")]

    def run(argv: list[str], *, cold: bool = False) -> Sample:
        if cold:
            shutil.rmtree(cache, ignore_errors=True)
        return measured(argv, cwd=work, environment=environment)

    cases: dict[str, Callable[[], Sample]] = {
        "wherry, first look": lambda: run(ours, cold=True),
        "wherry, second look": lambda: run(ours),
        "dive": lambda: run(theirs),
    }
    samples: dict[str, list[Sample]] = {case: [] for case in cases}
    for _ in range(runs):
        for case, act in cases.items():
            samples[case].append(act())
    of_dive = statistics.median(one.seconds for one in samples["dive"])
    for case, found in samples.items():
        seconds = statistics.median(one.seconds for one in found)
        spread = f"{min(one.seconds for one in found):.2f} to {max(one.seconds for one in found):.2f}"
        cpu = statistics.median(one.cpu for one in found)
        peak = statistics.median(one.own_peak for one in found) / 1e6
        ratio = "" if case == "dive" else f"{of_dive / seconds:.1f}"
        yield f"| {image} | {case} | {seconds:.2f} s ({spread}) | {cpu:.2f} s | {peak:.0f} | {ratio} |"


def _write(work: Path, archive: Path, count: int, size: int) -> None:
    """Make an image of four layers, the third of which writes the first again."""
    store = DiskStore(work / "store")
    chance = random.Random(1)  # noqa: S311 - the same image each time
    words = ["".join(chance.choices("abcdefghijklmnop", k=chance.randrange(3, 9))) for _ in range(4000)]
    texts = [" ".join(chance.choices(words, k=size // 5)).encode()[: size * 2 // 3] for _ in range(_TEXTS)]

    def layer(tag: str) -> Iterator[Entry]:
        for number in range(count // 4):
            if number % 100 == 0:
                yield folder(f"usr/share/{tag}{number // 100}")
            content = chance.randbytes(size // 3) + texts[number % _TEXTS]
            yield file(f"usr/share/{tag}{number // 100}/file-with-a-longer-name-{number}.txt", content)

    root = put_layers(store, [layer("a"), layer("b"), layer("a"), layer("c")], encoding=Encoding("gzip", 6))
    with archive.open("wb") as out:
        write_docker_archive(out, store, {"image:dev": root})
    shutil.rmtree(work / "store")


if __name__ == "__main__":
    main()
