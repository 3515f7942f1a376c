"""`make bench-scan`: `wherry scan` and govulncheck on the same published programs and database; Markdown out.

Runs take turns. The database is Go's, as a directory that govulncheck reads and as the archive that it came in.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import Sample, measured
from modules import ROOT
from report import machine
from subjects import WHERRY

sys.path.insert(0, str(ROOT / "tests"))

from built_images import file, put_layers
from peers.published_programs import PROGRAMS, published
from peers.test_against_govulncheck import by_level, ours, theirs
from wherry.layer.compress import Encoding
from wherry.oci.config import RuntimeConfig
from wherry.store.disk import DiskStore
from wherry.trust.osv_files import DatabaseFiles

PAGE = ROOT / "docs" / "benchmarks-scan.md"
README = ROOT / "README.md"
_TIMED = ("mkcert", "dive", "ko")
_HEAD = """# Benchmarks of scan

Written by `make bench-scan`. Programs of the module proxy, each built twice: with a symbol table, and stripped
(`-trimpath -ldflags=-s`), as images ship them. Both tools read the same Go vulnerability database from disk."""
_EVIDENCE = """## What is found

Holes at each level of evidence: in a required module / in a linked package / in a linked function. On stripped programs
govulncheck 1.9 reports every function that an entry names as found, whether or not it is linked."""
_TIMES = """## Seconds

Medians of whole program runs. "index" is the first scan with a database, which is then kept. The first image is read
from its compressed layer, its checksums verified. Another image with the same program: what the database says of the
program is kept by the digests of both, so neither layer, program nor database is read. The same call again is replayed
while image and database are unchanged. The last columns are the figures of govulncheck on the program with symbols,
where it finds the same, by those of the row: above 1, it takes longer. It reads programs only: taking one out of an
image is not in its figures; wherry is given the stripped one."""
_THEIRS = "govulncheck, with symbols"
_BEGIN, _END = "<!-- scan:begin -->", "<!-- scan:end -->"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each case (default: 5)")
    default = ROOT.parent / "shared" / "data" / "go-vulndb-osv.tar.zst"
    parser.add_argument("--db", type=Path, default=default, help="the database, as an archive")
    options = parser.parse_args()
    if shutil.which("govulncheck") is None:
        sys.exit("govulncheck is not on PATH: run `make peers`")
    if not options.db.exists():
        sys.exit(f"{options.db}: not there; give an archive of the Go vulnerability database with --db")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as name:
        work = Path(name)
        database = _unpacked(options.db, work / "osv")
        table = list(_evidence(options.db, database))
        lines = [_HEAD, "", *machine(load), "", _EVIDENCE, "", *table, "", _TIMES, "", *_times(work, options, database)]
    PAGE.write_text("\n".join([*lines, ""]))
    before, _, rest = README.read_text().partition(_BEGIN)
    if rest:
        README.write_text("\n".join([before + _BEGIN, *table, _END + rest.partition(_END)[2]]))
    print(PAGE.read_text())


def _unpacked(archive: Path, folder: Path) -> Path:
    """Unpack the database into one flat directory."""
    folder.mkdir()
    subprocess.run(["tar", "-xf", str(archive), "-C", str(folder), "--strip-components=2"], check=True)
    return folder


def _evidence(archive: Path, folder: Path) -> Iterator[str]:
    index = DatabaseFiles(archive, archive.name).index()
    yield "| program | govulncheck, with symbols | govulncheck, stripped | wherry, with symbols | wherry, stripped |"
    yield "| --- | --- | --- | --- | --- |"
    for name in PROGRAMS:
        cells = []
        for ask in (lambda path: theirs(path, folder), lambda path: by_level(ours(path, index))):
            for stripped in (False, True):
                found = ask(published(name, stripped=stripped))
                cells.append(" / ".join(str(len(found[level])) for level in found))
        version = re.sub(r".*@", "", PROGRAMS[name])
        yield f"| {name} {version} | {' | '.join(cells)} |"


def _times(work: Path, options: argparse.Namespace, database: Path) -> Iterator[str]:
    yield "| program | case | seconds | CPU seconds | memory, MB | seconds ÷ | CPU ÷ |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name in _TIMED:
        yield from _rows(work, name, options, database)


def _rows(work: Path, name: str, options: argparse.Namespace, database: Path) -> Iterator[str]:
    program, cache = published(name, stripped=True), work / f"cache-{name}"
    store = DiskStore(work / f"store-{name}")
    entries = [file("app", program.read_bytes(), 0o755)]
    for tag in ("dev", "next"):
        config = RuntimeConfig(labels={"tag": tag})
        store.tag(f"{name}:{tag}", put_layers(store, [entries], config, encoding=Encoding("gzip", 6)))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(work),
        "WHERRY_CACHE": str(cache),
        "WHERRY_STORE": str(work / f"store-{name}"),
    }

    def ours_of(subject: str, *gone: str) -> Sample:
        for folder in gone:
            shutil.rmtree(cache / folder, ignore_errors=True)
        argv = [WHERRY, "scan", subject, "--db", str(options.db), "--json"]
        return measured(argv, cwd=work, environment=environment)

    flags = ["-mode=binary", "-db", f"file://{database}", "-format", "json"]

    def theirs_of(path: Path) -> Sample:
        return measured(["govulncheck", *flags, str(path)], cwd=work, environment=environment)

    cases: dict[str, Callable[[], Sample]] = {
        _THEIRS: lambda: theirs_of(published(name, stripped=False)),
        "govulncheck, stripped": lambda: theirs_of(program),
        "wherry, program and index": lambda: ours_of(str(program), "vulndb", "scans", "calls"),
        "wherry, program": lambda: ours_of(str(program), "calls"),
        "wherry, first image": lambda: ours_of(f"{name}:dev", "scans", "calls"),
        "wherry, same program in another image": lambda: ours_of(f"{name}:next", "calls"),
        "wherry, same call again": lambda: ours_of(f"{name}:next"),
    }
    samples: dict[str, list[Sample]] = {case: [] for case in cases}
    for _ in range(options.runs):
        for case, act in cases.items():
            samples[case].append(act())
    middle = {
        case: (statistics.median(one.seconds for one in found), statistics.median(one.cpu for one in found))
        for case, found in samples.items()
    }
    for case, found in samples.items():
        seconds, cpu = middle[case]
        peak = statistics.median(one.own_peak for one in found) / 1e6
        ratios = [f"{whole / own:.1f}" for whole, own in zip(middle[_THEIRS], (seconds, cpu), strict=True)]
        shown = ["", ""] if case == _THEIRS else ratios
        yield f"| {name} | {case} | {seconds:.2f} | {cpu:.2f} | {peak:.0f} | {' | '.join(shown)} |"


if __name__ == "__main__":
    main()
