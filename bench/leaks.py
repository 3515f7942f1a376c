"""`wherry leaks` on a small, a middling and a big program: seconds and memory.

Run: python bench/leaks.py [BINARY…]. Without names our two examples are built, with symbols and DWARF, and measured;
a program of 150 MB, such as prometheus' promtool, is one to name, for building it takes minutes.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measure import measured
from modules import ROOT
from subjects import WHERRY

_RUNS = 5


def main(names: Sequence[str]) -> None:
    """Measure each program; print a row of Markdown for it."""
    print(
        "| program | bytes | seconds (median of 5) | memory at most | `wherry --version` alone |\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        for path in [Path(name).resolve() for name in names] or _built(here):
            rows = [measured([WHERRY, "leaks", str(path)], cwd=here, environment=os.environ) for _ in range(_RUNS)]
            bare = [measured([WHERRY, "--version"], cwd=here, environment=os.environ) for _ in range(_RUNS)]
            print(
                f"| {path.name} | {path.stat().st_size:,} | {statistics.median(row.seconds for row in rows):.2f} "
                f"| {max(row.own_peak for row in rows) / 1e6:.0f} MB "
                f"| {statistics.median(row.seconds for row in bare):.2f} |"
            )


def _built(folder: Path) -> list[Path]:
    made = []
    for example, package in (("hello", "."), ("videometa", "./cmd/videometa")):
        command = ["go", "build", "-trimpath", "-buildvcs=false", "-o", str(folder / example), package]
        subprocess.run(command, cwd=ROOT / "examples" / example, check=True)
        made.append(folder / example)
    return made


if __name__ == "__main__":
    main(sys.argv[1:])
