"""What each encoding costs and saves on published programs: bytes to pull, seconds and memory to encode; Markdown out.

`python bench/release.py [PACKAGE@VERSION…]`. A program is compiled once. Bytes are those of the whole image as it is
built, the embedded base included; time and memory are those of `wherry copy`, which recompresses an image.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from measure import Sample, measured
from subjects import WHERRY

PROGRAMS = (
    "github.com/google/go-containerregistry/cmd/crane@v0.22.1",
    "helm.sh/helm/v3/cmd/helm@v3.19.0",
    "github.com/prometheus/prometheus/cmd/promtool@v0.307.3",
)
ENCODINGS: Mapping[str, tuple[str, str]] = {
    "gzip 5 (the default)": ("gzip", "5"),
    "gzip 6": ("gzip", "6"),
    "gzip 9": ("gzip", "9"),
    "zstd 9": ("zstd", "9"),
    "zstd 19 (`--release`)": ("zstd", "19"),
}
AGAINST = "gzip 6"
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One program in one encoding."""

    program: str
    encoding: str
    unpacked: int
    pulled: int
    samples: tuple[Sample, ...]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="*", default=PROGRAMS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as folder:
        rows = [row for program in asked.programs for row in _rows(program, Path(folder))]
    print("| program | encoding | pulled | against gzip 6 | encoded in | own peak |\n|---|---|---|---|---|---|")
    for row in rows:
        print(_line(row, next(one for one in rows if (one.program, one.encoding) == (row.program, AGAINST))))
    return 0


def _rows(program: str, folder: Path) -> Iterator[Row]:
    _wherry(folder, "build", program, "--platform", "linux/amd64", "-t", "plain", "--compression", "none")
    for encoding, (algorithm, level) in ENCODINGS.items():
        asked = ("--compression", algorithm, "--compression-level", level)
        built = _wherry(folder, "build", program, "--platform", "linux/amd64", "--json", *asked)
        image = json.loads(built.stdout)["images"][0]["platforms"][0]
        samples = tuple(
            _wherry(folder, "copy", "plain", f"oci:{folder}/{number}-{algorithm}-{level}:it", "--quiet", *asked)
            for number in range(ROUNDS)
        )
        yield Row(program, encoding, image["program"]["size"], image["pulled"], samples)


def _wherry(folder: Path, *words: str) -> Sample:
    environment = {**os.environ, "WHERRY_STORE": str(folder / "store"), "WHERRY_CACHE": str(folder / "cache")}
    return measured([WHERRY, *words], cwd=folder, environment=environment)


def _line(row: Row, against: Row) -> str:
    seconds = statistics.median(sample.seconds for sample in row.samples)
    peak = max(sample.own_peak for sample in row.samples)
    change = f"{(row.pulled / against.pulled - 1) * 100:+.1f} %" if row is not against else "–"
    name = f"{row.program.partition('@')[0].rpartition('/')[2]} ({row.unpacked / 1e6:.1f} MB)"
    return f"| {name} | {row.encoding} | {row.pulled:,} | {change} | {seconds:.1f} s | {peak / 1e6:.0f} MB |"


if __name__ == "__main__":
    raise SystemExit(main())
