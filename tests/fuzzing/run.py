"""Feed the readers with atheris (libFuzzer): `make fuzz SECONDS=600`, or some with `FUZZ="tars elf"`.

Each target starts from its corpus in `tests/fuzzing/corpus`, and `--keep` puts more into it. An input that raises
anything but our own error, takes ten seconds or a gigabyte goes into `tests/fuzzing/found`: mend it, and move the
input into the corpus, which the first ring of tests plays. That a crash and a hang are found is tested with
`toys.py` (tests/security/test_fuzzed.py).
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS, FOUND = HERE / "corpus", HERE / "found"
LONGEST = 4096
"""Bytes of an input; the tables of every format fit."""
KEPT = 60
"""Inputs that `--keep` takes at most, the smallest first; libFuzzer writes those that cover what no other did."""
HANG, MEMORY = 10, 1024
"""Seconds and megabytes that one input may take."""
_TRIED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_LAST = re.compile(r"^#(\d+)\s", re.MULTILINE)
_COVERED = re.compile(r"\bcov: (\d+) ft: (\d+)")


@dataclass
class Row:
    """What fuzzing one target gave."""

    tried: int = 0
    crashes: int = 0
    hangs: int = 0
    """Inputs that were too slow or took too much memory."""
    edges: int = 0
    """Branches of the code that any input took, as libFuzzer counts them."""
    seconds: float = 0


def main() -> int:
    """Fuzz, and print a row for each target; 1 where something was found."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], sys.argv[4:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="which; all where none is named")
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--keep", action="store_true", help="put inputs that cover more into the corpus")
    parser.add_argument("--from", dest="module", default="targets", help="the module of the targets")
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--found", type=Path, default=FOUND, help="where what was found goes")
    parser.add_argument("--hang", type=int, default=HANG, help="seconds that one input may take")
    known = parser.parse_args()

    found = 0
    for target in known.targets or import_module(known.module).TARGETS:
        row = fuzz(target, known)
        sys.stdout.write(
            f"| {target} | {row.seconds:.0f} s | {row.tried:,} | {row.crashes} | {row.hangs} | {row.edges:,} |\n"
        )
        sys.stdout.flush()
        found += row.crashes + row.hangs
    return 1 if found else 0


def child(module: str, target: str, words: list[str]) -> None:
    """Be libFuzzer; never returns."""
    import atheris

    with atheris.instrument_imports(include=["wherry"]):
        targets = import_module(module).TARGETS
    atheris.Setup([sys.argv[0], *words], targets[target])
    atheris.Fuzz()


def fuzz(target: str, known: argparse.Namespace) -> Row:
    """Fuzz one target until its time is over, going on after each find."""
    row = Row()
    began = time.monotonic()
    known.found.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        seen = Path(scratch, "seen")
        shutil.copytree(known.corpus / target, seen)
        while (left := known.seconds - (time.monotonic() - began)) >= 1:
            log = libfuzzer(target, known, f"-max_total_time={left:.0f}", str(seen))
            row.tried += _count(log)
            row.edges = max([row.edges, *(int(edges) for edges, _ in _COVERED.findall(log))])
            crashed = "Uncaught Python exception" in log or "crash-" in log
            hung = "timeout-" in log or "oom-" in log
            row.crashes, row.hangs = row.crashes + crashed, row.hangs + hung
            if crashed or hung:
                with (known.found / f"{target}.log").open("a") as file:
                    file.write(log[-4000:])
            elif not _TRIED.search(log):
                raise SystemExit(f"{target}: libFuzzer did not run:\n{log[-2000:]}")
        row.seconds = time.monotonic() - began
        if known.keep:
            new = sorted((file.stat().st_size, file) for file in seen.iterdir())
            for _, file in new[:KEPT]:
                shutil.copy(file, known.corpus / target / file.name)
    return row


def libfuzzer(target: str, known: argparse.Namespace, *words: str) -> str:
    """Run one round in a process of its own; give what it says."""
    options = [
        f"-max_len={LONGEST}",
        f"-timeout={known.hang}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={known.found}/{target}-",
        "-print_final_stats=1",
        *words,
    ]
    done = subprocess.run(
        [sys.executable, __file__, "--child", known.module, target, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.stdout.decode(errors="replace")


def _count(log: str) -> int:
    """Count inputs; a round that a crash ended prints no sum, only how far it had come."""
    if said := _TRIED.search(log):
        return int(said[1])
    lines = _LAST.findall(log)
    return int(lines[-1]) if lines else 0


if __name__ == "__main__":
    sys.exit(main())
