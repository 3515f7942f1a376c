"""`wherry modules verify` against `go mod verify`, on a module whose dependencies are in the module cache.

    python bench/verify.py DIR [ROUNDS]     # DIR has a go.mod and a go.sum; run `go mod download` in it first

Both run in turn, the first round is not counted. wherry's run without the database does what Go's does and compares
each unpacked file with its zip; with it, each line of go.sum is proved too, from what is kept.
"""

import os
import statistics
import sys
from pathlib import Path

from measure import measured

WHERRY = Path(sys.executable).parent / "wherry"
CALLS = {
    "go mod verify": ("go", "mod", "verify"),
    "wherry modules verify --no-sumdb": (str(WHERRY), "modules", "verify", "--no-sumdb"),
    "wherry modules verify": (str(WHERRY), "modules", "verify"),
}


def main() -> None:
    """Print a table."""
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    times: dict[str, list[tuple[float, float, int]]] = {name: [] for name in CALLS}
    for number in range(rounds + 1):
        for name, argv in CALLS.items():
            sample = measured(argv, cwd=folder, environment=os.environ)
            if number:
                times[name].append((sample.seconds, sample.cpu, sample.tree_peak))
    print(f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} processors, {rounds} rounds, medians\n")
    print("| | wall | CPU | peak | CPU against Go |\n|---|---|---|---|---|")
    base = statistics.median(cpu for _, cpu, _ in times["go mod verify"])
    for name, rows in times.items():
        wall, cpu, peak = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| `{name}` | {wall:.1f} s | {cpu:.1f} s | {peak / 1e6:.0f} MB | {base / cpu:.1f}× |")


if __name__ == "__main__":
    main()
