"""Feed the readers with atheris (libFuzzer): `make fuzz SECONDS=600`, or some with `FUZZ="tars elf"`.

Each target starts from its corpus in `tests/fuzzing/corpus`, and `--keep` puts more into it. An input that raises
anything but our own error, takes ten seconds or a gigabyte goes into `tests/fuzzing/found`: mend it, and move the
input into the corpus, which the first ring of tests plays.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
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


def main() -> int:
    """Fuzz, and print a row for each target; 1 where something was found."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="which; all where none is named")
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--keep", action="store_true", help="put inputs that cover more into the corpus")
    known = parser.parse_args()
    from targets import TARGETS

    found = 0
    for target in known.targets or TARGETS:
        tried, crashes, hangs, took = fuzz(target, known.seconds, keep=known.keep)
        sys.stdout.write(f"| {target} | {took:.0f} s | {tried:,} | {crashes} | {hangs} |\n")
        sys.stdout.flush()
        found += crashes + hangs
    return 1 if found else 0


def child(target: str, words: list[str]) -> None:
    """Be libFuzzer; never returns."""
    import atheris

    with atheris.instrument_imports(include=["wherry"]):
        from targets import TARGETS
    atheris.Setup([sys.argv[0], *words], TARGETS[target])
    atheris.Fuzz()


def fuzz(target: str, seconds: int, *, keep: bool) -> tuple[int, int, int, float]:
    """Fuzz one target until its time is over, going on after each find.

    Returns:
        Inputs tried, crashes, hangs (too slow or too large), seconds.
    """
    tried = crashes = hangs = 0
    began = time.monotonic()
    FOUND.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        shutil.copytree(CORPUS / target, work / "seen")
        while (left := seconds - (time.monotonic() - began)) >= 1:
            log = libfuzzer(target, f"-max_total_time={left:.0f}", work / "seen", prefix=f"{FOUND}/{target}-")
            tried += _count(log)
            crashed = "Uncaught Python exception" in log or "crash-" in log
            hung = "timeout-" in log or "oom-" in log
            crashes, hangs = crashes + crashed, hangs + hung
            if crashed or hung:
                with (FOUND / f"{target}.log").open("a") as file:
                    file.write(log[-4000:])
            elif not _TRIED.search(log):
                raise SystemExit(f"{target}: libFuzzer did not run:\n{log[-2000:]}")
        took = time.monotonic() - began
        if keep:
            new = sorted((file.stat().st_size, file) for file in (work / "seen").iterdir())
            for _, file in new[:KEPT]:
                shutil.copy(file, CORPUS / target / file.name)
    return tried, crashes, hangs, took


def libfuzzer(target: str, option: str, *folders: Path, prefix: str) -> str:
    """Run one round in a process of its own; give what it says."""
    words = [
        option,
        f"-max_len={LONGEST}",
        f"-timeout={HANG}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={prefix}",
        "-print_final_stats=1",
        *map(str, folders),
    ]
    done = subprocess.run(
        [sys.executable, __file__, "--child", target, *words],
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
