"""`make bench-edge`: the example service as a small device would have it, next to its usual build; prints Markdown.

Images are built by wherry; programs are taken out of them and started in turn, so that what else the machine does
meets all alike, and a ratio is of one round. The server has one processor and the generator the other.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import load
from load import PAGE as LOAD_PAGE
from load import SERVICE, Server, say
from modules import ROOT
from subjects import WHERRY
from wherry.lab.start import memory, start
from wherry.runtime.trace.tls import tls_floor

PAGE = ROOT / "docs" / "benchmarks-edge.md"
PLAIN, EDGE, SMALL, PIE = "as usual", "edge", "edge,small", "edge, --pie"
WORDS = {
    PLAIN: (),
    EDGE: ("--profile", "edge"),
    SMALL: ("--profile", "edge,small"),
    PIE: ("--profile", "edge", "--pie"),
}
BUDGETS = {EDGE: (14.6, 4.6), SMALL: (13.5, 4.2)}
COLLECTOR = ("50", "100", "200")
_LIMIT = "30MiB"
"""What `--device-memory 64MB` sets."""
_LATE = 200.0
"""Seconds after which the PIE is left out, so that all is done within six minutes."""
_ARTICLE_RSS = 12.0


@dataclass
class Measured:
    """What was seen of one build."""

    unpacked: int = 0
    pulled: int = 0
    starts: list[float] = field(default_factory=list)
    """Seconds from exec to the first socket that listens."""
    rss: list[int] = field(default_factory=list)
    pss: list[int] = field(default_factory=list)
    private: list[int] = field(default_factory=list)
    mapped: dict[str, int] = field(default_factory=dict)
    """Resident bytes by what they are."""
    cpu: dict[int, float] = field(default_factory=dict)
    """Microseconds a request, by round."""
    http2: str = ""
    floor: str = ""


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of little, without the PIE; writes no page")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=1500)
    parser.add_argument("--page", type=Path, help=f"where to write the Markdown ({PAGE.name}; with --quick nowhere)")
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.starts, asked.count, asked.rate = 1, 3, 600, 300
    if not {load.SERVERS_CORE, load.GENERATORS_CORE} <= os.sched_getaffinity(0):
        sys.exit("bench-edge: server and generator need a processor each, 0 and 1")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wherry-edge-") as folder:
        place = Path(folder)
        helpers(place)
        found = {}
        for name in WORDS:
            if name == PIE and (asked.quick or time.monotonic() - begun > _LATE):
                say(f"{name} is left out: the time is over")
                continue
            found[name] = built(place, name)
        started(place, found, asked.starts)
        collector = loaded(place, found, asked)
    lines = list(page(found, collector, asked))
    print("\n".join(lines))
    if target := asked.page or (None if asked.quick else PAGE):
        target.write_text("\n".join(lines) + "\n")


def helpers(place: Path) -> None:
    """Build the generator and the store, and make a certificate."""
    say("building the generator")
    load.go("build", "-o", str(place / "load"), "./cmd/load")
    load.go("run", "./cmd/seed", "-count", "1000", "-out", str(place / "videos.store"))
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(place / "ca.pem"))
    server = authority.issue_cert("localhost", "127.0.0.1")
    server.private_key_pem.write_to_path(str(place / "key.pem"))
    server.cert_chain_pems[0].write_to_path(str(place / "cert.pem"))


def built(place: Path, name: str) -> Measured:
    """Build the image, weigh it, and take its program out."""
    say(f"building {name}")
    out = place / f"out-{list(WORDS).index(name)}"
    words = [WHERRY, "build", *WORDS[name], "--no-budgets", "--no-vcs", "--json", "-t", "videometa:edge-bench", "-o",
             f"type=local,dest={out}"]  # fmt: skip
    environment = {**os.environ, "WHERRY_STORE": str(place / "store")}
    done = subprocess.run(words, cwd=SERVICE, env=environment, capture_output=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.decode(errors="replace"))
    (image,) = json.loads(done.stdout)["images"][0]["platforms"]
    (out / "app" / "videometa").rename(place / name)
    files = sum(file.lstat().st_size for file in out.rglob("*") if file.is_file() and not file.is_symlink())
    return Measured(unpacked=files + (place / name).stat().st_size, pulled=image["pulled"])


def started(place: Path, found: dict[str, Measured], runs: int) -> None:
    """Start all of them in turn, until they listen."""
    say(f"starting each {runs} times")
    for _ in range(runs):
        for name, measured in found.items():
            words = [str(place / name), "-store", str(place / "videos.store"), "-http", f"127.0.0.1:{load.free_port()}",
                     "-admin", f"127.0.0.1:{load.free_port()}"]  # fmt: skip
            measured.starts.append(start(words, os.environ, place).seconds)


def loaded(place: Path, found: dict[str, Measured], asked: argparse.Namespace) -> dict[str, tuple[float, int]]:
    """Put each under the same load, in alternating order; then one of them by collectors."""
    for number in range(asked.rounds):
        order = list(found) if number % 2 == 0 else list(found)[::-1]
        for name in order:
            say(f"round {number + 1} of {asked.rounds}: {name}")
            with Server(place, name) as server:
                one_round(server, found[name], number, asked)
    collector = {}
    for percent in COLLECTOR:
        say(f"GOGC={percent}")
        before = dict(os.environ)
        os.environ |= {"GOGC": percent, "GOMEMLIMIT": _LIMIT}
        try:
            with Server(place, EDGE) as server:
                cpu = cpu_of(server, asked)
                collector[percent] = (cpu, peak_of(server))
        finally:
            os.environ.clear()
            os.environ.update(before)
    return collector


def one_round(server: Server, measured: Measured, number: int, asked: argparse.Namespace) -> None:
    """Read its memory while it is idle; then its processor under load, and, once, its protocols."""
    time.sleep(1)
    measured.rss.append(server.memory("Rss"))
    pss, private = memory(server.process.pid)
    measured.pss.append(pss)
    measured.private.append(private)
    measured.mapped = mapped_of(server.process.pid, server.name)
    if not measured.floor:
        host, _, port = server.addresses["https"].rpartition(":")
        floor = tls_floor(lambda: socket.create_connection((host, int(port)), timeout=5), "localhost")
        measured.floor = f"accepts {' and '.join(floor.accepts)}; refuses {floor.refused}"
        report = server.load("2", 200, 200)
        measured.http2 = "200 requests" if not report["errors"] else f"errors: {report['errors']}"
    measured.cpu[number] = cpu_of(server, asked)


def cpu_of(server: Server, asked: argparse.Namespace) -> float:
    """Measure microseconds of processor a request."""
    before = server.usage()
    report = server.load("1.1", asked.rate, asked.count)
    used = server.usage().cpu - before.cpu
    return used / (asked.count + report["warmup"]) * 1e6


def peak_of(server: Server) -> int:
    """Read the most memory that it had."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def mapped_of(pid: int, name: str) -> dict[str, int]:
    """Sum up resident bytes by mapping: the program's own by their rights, all others as memory that Go asked for."""
    found: dict[str, int] = {}
    kind = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if words and not words[0].endswith(":"):
            own = line.endswith(f"/{name}")
            kind = {"r-xp": "code", "r--p": "constants and tables"}.get(words[1], "data") if own else "heap and stacks"
            kind = "the store" if line.endswith("/videos.store") else kind
        elif words[:1] == ["Rss:"]:
            found[kind] = found.get(kind, 0) + int(words[1]) * 1024
    return found


def page(
    found: dict[str, Measured], collector: dict[str, tuple[float, int]], asked: argparse.Namespace
) -> Iterator[str]:
    """Write what was found."""
    one, five, fifteen = os.getloadavg()
    yield "# On a small device"
    yield ""
    yield (
        "Written by `make bench-edge`. examples/videometa is built by wherry as usual and with each form of "
        f"`--profile edge` ([how](how-to/edge.md)); the programs are started {asked.starts} times in turn, and get "
        f"{asked.rate} requests a second over HTTP/1.1, {asked.count} of them in each of {asked.rounds} rounds, on one "
        f"processor. linux/amd64; load of the machine at the end {one:.1f}, {five:.1f}, {fifteen:.1f}. Under "
        f"[full load]({LOAD_PAGE.name}) it is measured elsewhere."
    )
    yield ""
    yield from sizes_table(found)
    yield ""
    yield from running_table(found)
    yield ""
    for name, measured in found.items():
        yield f"- {name}: TLS {measured.floor}; HTTP/2 without TLS: {measured.http2}."
    yield ""
    yield from beside(found)
    yield ""
    yield from memory_section(found)
    yield ""
    yield from collector_table(collector)


def sizes_table(found: dict[str, Measured]) -> Iterator[str]:
    """Sizes next to their budgets."""
    yield "| build | unpacked | budget | pulled | budget |"
    yield "|---|---|---|---|---|"
    for name, one in found.items():
        limits = BUDGETS.get(name)
        cells = [f"≤ {limit} MB{'' if size / 1e6 <= limit else ', **broken**'}" for limit, size in
                 zip(limits, (one.unpacked, one.pulled), strict=True)] if limits else ["", ""]  # fmt: skip
        yield f"| {name} | {mb(one.unpacked, 2)} | {cells[0]} | {mb(one.pulled, 2)} | {cells[1]} |"


def running_table(found: dict[str, Measured]) -> Iterator[str]:
    """Start, memory while idle, and processor under load."""
    yield "| build | start | to the usual build's | RSS idle | PSS | private | CPU a request | to the usual build's |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, one in found.items():
        ratios = [cpu / found[PLAIN].cpu[number] for number, cpu in one.cpu.items() if number in found[PLAIN].cpu]
        least, middle, most = (f(one.starts) * 1e3 for f in (min, statistics.median, max))
        idle = " | ".join(mb(statistics.median(values)) for values in (one.rss, one.pss, one.private))
        yield (
            f"| {name} | {middle:.0f} ms ({least:.0f} to {most:.0f}) | {paired(one.starts, found[PLAIN].starts)} "
            f"| {idle} | {statistics.median(one.cpu.values()):.0f} µs | {spread(ratios)} |"
        )


def beside(found: dict[str, Measured]) -> Iterator[str]:
    """Put the article's figures next to ours; it had another service and another machine."""
    plain, edge, small = found[PLAIN], found[EDGE], found[SMALL]
    yield "| | the article's service | this one, as usual → edge → edge,small |"
    yield "|---|---|---|"
    yield f"| image, unpacked | 28 → 19 MB | {' → '.join(mb(one.unpacked) for one in (plain, edge, small))} |"
    starts = (f"{statistics.median(one.starts):.3f}" for one in (plain, edge, small))
    yield f"| start | 1.8 → 0.34 s | {' → '.join(starts)} s |"
    yield f"| memory, RSS | 12 MB | {' → '.join(mb(statistics.median(one.rss)) for one in (plain, edge, small))} |"


def memory_section(found: dict[str, Measured]) -> Iterator[str]:
    """Say what the resident bytes are, and what would have to go for the article's 12 MB."""
    edge = found[EDGE]
    parts = ", ".join(f"{kind} {mb(size)}" for kind, size in sorted(edge.mapped.items(), key=lambda pair: -pair[1]))
    over = statistics.median(edge.rss) / 1e6 - _ARTICLE_RSS
    yield f"Resident, edge: {parts}."
    if over > 0:
        pages = sum(size for kind, size in edge.mapped.items() if kind in {"code", "constants and tables"})
        yield (
            f"For 12 MB of RSS, {over:.1f} MB would have to go. What is private is "
            f"{mb(statistics.median(edge.private))}; {mb(pages)} are pages of the file, which the kernel shares "
            "between processes and drops where memory is short. So only a smaller program has less: without the "
            "client of etcd, that is grpc, protobuf and zap, or without HTTP/3."
        )
    else:
        yield "That is within the article's 12 MB."


def collector_table(collector: dict[str, tuple[float, int]]) -> Iterator[str]:
    """What GOGC buys with a memory limit, under the same load."""
    yield f"With `--device-memory 64MB` (GOMEMLIMIT={_LIMIT}), under the same load, by GOGC:"
    yield ""
    yield "| GOGC | CPU a request | most memory (RSS) |"
    yield "|---|---|---|"
    for percent, (cpu, peak) in collector.items():
        yield f"| {percent}{' (chosen)' if percent == '100' else ''} | {cpu:.0f} µs | {mb(peak)} |"


def paired(values: Sequence[float], usual: Sequence[float]) -> str:
    """Give the median ratio of pairs."""
    return f"{statistics.median(one / other for one, other in zip(values, usual, strict=True)):.2f}"


def spread(ratios: Sequence[float]) -> str:
    """Give the median and the ends."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def mb(size: float, digits: int = 1) -> str:
    """Write bytes as megabytes."""
    return f"{size / 1e6:.{digits}f} MB"


if __name__ == "__main__":
    main()
