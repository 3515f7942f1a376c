"""`make load`: the example service under a constant load, tuned beside its own baseline; Markdown out.

Both are built from the same sources; the build tag `baseline` takes encoding/json, no sampling of logs and Go's
defaults. The server has one processor and the generator the other. Rounds are interleaved, and a ratio is of one round;
a run in which the generator measured itself is made again, and if that does not help, left out and said so.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from modules import ROOT
from report import machine

SERVICE = ROOT / "examples" / "videometa"
PAGE = ROOT / "docs" / "benchmarks-videometa.md"
BUILDS = {"tuned": ("grpcnotrace",), "baseline": ("grpcnotrace", "baseline")}
SERVERS_CORE, GENERATORS_CORE = 0, 1
INVALID = 3
"""The generator's exit code for a run that measured the generator."""
_TICK = os.sysconf("SC_CLK_TCK")
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured."""

    rounds: int
    rate: int
    count: int
    """Requests of one round; P99.9 is of all rounds together."""
    bound: float
    """Milliseconds that P99 may take in the search for the highest rate."""
    step: int
    """Requests of one step of that search."""
    steps: int
    protocols: int
    """Requests of one round of each other protocol."""


QUICK = Settings(rounds=1, rate=300, count=300, bound=200, step=100, steps=2, protocols=100)


@dataclass(slots=True)
class Round:
    """What one server was measured at."""

    cpu: float = 0.0
    """Microseconds of processor a request."""
    highest: int = 0
    """Requests a second within the bound."""
    quantiles: dict[str, float] = field(default_factory=dict)
    buckets: list[tuple[int, int]] = field(default_factory=list)
    pss: int = 0
    private: int = 0
    """Bytes of memory after the fixed load: proportional share, and what is the process's alone and written to."""
    pause: float = 0.0
    """Microseconds that a garbage collection stopped the program for, on average."""
    collections: float = 0.0
    """Garbage collections in a thousand requests."""


@dataclass(slots=True)
class Found:
    """All rounds, by build and protocol."""

    rounds: dict[tuple[str, str], list[Round]] = field(default_factory=dict)
    invalid: list[str] = field(default_factory=list)
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    """Of the machine before the first round."""


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a run of seconds that shows that all of it works")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=1500)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--bound", type=float, default=25.0, help="milliseconds that P99 may take")
    parser.add_argument("--page", type=Path, default=PAGE)
    asked = parser.parse_args()
    settings = QUICK if asked.quick else Settings(
        asked.rounds, asked.rate, asked.count, asked.bound, step=6000, steps=6, protocols=5000
    )  # fmt: skip
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("load: server and generator need a processor each, and there is one")
    with tempfile.TemporaryDirectory(prefix="wherry-load-") as folder:
        place = Path(folder)
        build(place)
        found = measure(place, settings)
    lines = list(page(found, settings))
    print("\n".join(lines))
    asked.page.write_text("\n".join(lines) + "\n")


def build(place: Path) -> None:
    """Build both servers, the generator and the store, and make a certificate."""
    for name, tags in BUILDS.items():
        go("build", "-trimpath", "-ldflags=-s", f"-tags={','.join(tags)}", "-o", str(place / name), "./cmd/videometa")
    go("build", "-o", str(place / "load"), "./cmd/load")
    go("run", "./cmd/seed", "-count", "1000", "-out", str(place / "videos.store"))
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(place / "ca.pem"))
    server = authority.issue_cert("localhost", "127.0.0.1")
    server.private_key_pem.write_to_path(str(place / "key.pem"))
    server.cert_chain_pems[0].write_to_path(str(place / "cert.pem"))


def go(*words: str) -> None:
    """Run go in the service's folder; what it says is shown if it fails."""
    done = subprocess.run(
        ["go", *words], cwd=SERVICE, env={**os.environ, "CGO_ENABLED": "0"}, capture_output=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr.decode(errors="replace"))


def measure(place: Path, settings: Settings) -> Found:
    """Go through the rounds, each build beside the other, and every second time the other first."""
    found = Found()
    for number in range(settings.rounds):
        order = list(BUILDS) if number % 2 == 0 else list(BUILDS)[::-1]
        for protocol in ("1.1", "2", "3"):
            for name in order:
                say(f"round {number + 1} of {settings.rounds}: HTTP/{protocol}, {name}")
                with Server(place, name) as server:
                    measured = one_round(server, protocol, settings, found)
                if measured:
                    found.rounds.setdefault((name, protocol), []).append(measured)
    return found


def one_round(server: "Server", protocol: str, settings: Settings, found: Found) -> Round | None:
    """Measure a server that was just started; None where no run was valid."""
    count = settings.count if protocol == "1.1" else settings.protocols
    before = server.usage()
    report = server.load(protocol, settings.rate, count)
    after = server.usage()
    for _ in range(_TRIES - 1):
        if report["valid"]:
            break
        before = server.usage()
        report = server.load(protocol, settings.rate, count)
        after = server.usage()
    if not report["valid"]:
        found.invalid.append(f"HTTP/{protocol}, {server.name}: {report['reason']}")
        return None
    if report["errors"]:
        found.invalid.append(f"HTTP/{protocol}, {server.name}: answers that were none: {report['errors']}")
    sent = count + report["warmup"]
    measured = Round(
        cpu=(after.cpu - before.cpu) / sent * 1e6,
        quantiles=report["latency_us"],
        buckets=[(at, many) for at, many in report["latency_buckets"]],
        pss=server.memory("Pss"),
        private=server.memory("Private_Dirty"),
        pause=(after.paused - before.paused) / max(after.collections - before.collections, 1) * 1e6,
        collections=(after.collections - before.collections) / sent * 1000,
    )
    if protocol == "1.1":
        measured.highest = highest(server, settings)
    return measured


def highest(server: "Server", settings: Settings) -> int:
    """Search for the highest rate at which P99 is within the bound, by halving what is left."""
    low, high = 0, settings.rate * 8
    rate = settings.rate * 2
    for _ in range(settings.steps):
        report = server.load("1.1", rate, max(settings.step, rate))
        within = report["valid"] and report["latency_us"]["p99"] <= settings.bound * 1000 and not report["errors"]
        low, high = (rate, high) if within else (low, rate)
        rate = (low + high) // 2
    return low


@dataclass(frozen=True, slots=True)
class Usage:
    """What a server has used until now."""

    cpu: float
    """Seconds."""
    paused: float
    """Seconds of stops for garbage collection."""
    collections: float


class Server:
    """A server of one build, on loopback, on its own processor."""

    def __init__(self, place: Path, name: str) -> None:
        self.place, self.name = place, name
        self.addresses = {"http": f"127.0.0.1:{free_port()}", "https": f"127.0.0.1:{free_port()}"}

    def __enter__(self) -> Self:
        words = [str(self.place / self.name), "-store", str(self.place / "videos.store"), "-log-level", "INFO",
                 "-http", self.addresses["http"], "-https", self.addresses["https"], "-h3", "-admin", "",
                 "-tls-cert", str(self.place / "cert.pem"), "-tls-key", str(self.place / "key.pem"), "-notice", "0s",
                 "-in-flight", "4096"]  # fmt: skip
        self.log = (self.place / f"{self.name}.log").open("wb")
        self.process = subprocess.Popen(words, stdout=self.log, stderr=self.log, preexec_fn=on(SERVERS_CORE))  # noqa: PLW1509 - one call, no lock is held
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.get("/readyz")
            except OSError:
                time.sleep(0.05)
            else:
                return self
        self.__exit__()
        sys.exit(f"{self.name} did not start:\n{(self.place / f'{self.name}.log').read_text()[-2000:]}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def get(self, path: str) -> str:
        """Ask for a page."""
        with urllib.request.urlopen(f"http://{self.addresses['http']}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def load(self, protocol: str, rate: int, count: int) -> dict:
        """Run the generator once; a run that is not valid says so."""
        secure = protocol == "3"
        warmup = min(1000, count)
        words = [str(self.place / "load"), "-protocol", protocol, "-rate", str(rate), "-count", str(count),
                 "-warmup", str(warmup), "-core", str(GENERATORS_CORE), "-ca", str(self.place / "ca.pem"), "-url",
                 f"https://{self.addresses['https']}" if secure else f"http://{self.addresses['http']}"]  # fmt: skip
        done = subprocess.run(words, capture_output=True, preexec_fn=on(GENERATORS_CORE), timeout=700, check=False)
        if done.returncode not in {0, INVALID}:
            sys.exit(f"{' '.join(words)}: {done.stderr.decode(errors='replace')}")
        return {**json.loads(done.stdout), "warmup": warmup}

    def usage(self) -> Usage:
        """Read what it used; source: proc(5), stat."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        metrics = dict(
            line.rsplit(" ", 1) for line in self.get("/metrics").splitlines() if line.startswith("go_gc_dur")
        )
        return Usage(
            (int(fields[11]) + int(fields[12])) / _TICK,
            float(metrics["go_gc_duration_seconds_sum"]),
            float(metrics["go_gc_duration_seconds_count"]),
        )

    def memory(self, key: str) -> int:
        """Read bytes of its memory; source: proc(5), smaps_rollup."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(f"{key}:"))


def on(core: int) -> Callable[[], None]:
    """Give what puts a process on one processor."""
    return lambda: os.sched_setaffinity(0, {core})


def free_port() -> int:
    """Find a port that TCP and UDP have free."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def say(line: str) -> None:
    """Tell who waits."""
    print(line, file=sys.stderr, flush=True)


def page(found: Found, settings: Settings) -> Iterator[str]:
    """Write what was found: the processor's time first, since it is what the others follow from."""
    yield "# videometa under load"
    yield ""
    yield "`make load` wrote this page. Server and generator have a processor each, and talk over loopback."
    yield ""
    yield from machine(found.load)
    yield ""
    yield (
        f"{settings.rounds} interleaved rounds. Both are built with `-trimpath -ldflags=-s -tags grpcnotrace`; the "
        f"baseline is the same service by encoding/json, without sampling of logs and without a memory limit. Fixed "
        f"load: {settings.rate} requests a second, {settings.count} a round; 70 % a video, 10 % a feed of 20, "
        "15 % and 5 % a document of 4 and 40 kB to parse. Latency counts from when a request was due. Each figure is "
        "the median of the rounds; the ratio is the median of the rounds' own ratios, with their range."
    )
    yield ""
    yield "| HTTP/1.1 | tuned | baseline | baseline / tuned | the article's |"
    yield "|---|---|---|---|---|"
    yield from rows(found, "1.1", settings)
    for protocol in ("2", "3"):
        yield ""
        yield f"| HTTP/{protocol}{' (TLS)' * (protocol == '3')} | tuned | baseline | baseline / tuned |"
        yield "|---|---|---|---|"
        yield from (line.rsplit("|", 2)[0] + "|" for line in rows(found, protocol, settings))
    yield ""
    yield (
        "The article's figures are of another service, moved from Java to Go: they are beside ours to be compared "
        "with, not to be met. PSS and private memory are taken after the fixed load."
    )
    if found.invalid:
        yield ""
        yield "Left out, or made again and still not clean:"
        yield ""
        yield from (f"- {reason}" for reason in sorted(set(found.invalid)))


def rows(found: Found, protocol: str, settings: Settings) -> Iterator[str]:
    """Give a row a measure."""
    tuned, baseline = (found.rounds.get((name, protocol), []) for name in BUILDS)
    if not tuned or not baseline:
        yield "| no valid run | | | | |"
        return
    measures: list[tuple[str, Callable[[Round], float], str, str]] = [
        ("CPU a request", lambda one: one.cpu, "{:.0f} µs", "–"),
        (f"highest rate, P99 within {settings.bound:g} ms", lambda one: one.highest, "{:.0f}/s", "1,800 → 5,300 QPS"),
        ("P50", lambda one: one.quantiles["p50"], "{:.0f} µs", "–"),
        ("P99", lambda one: one.quantiles["p99"], "{:.0f} µs", "420 → 89 ms"),
        ("PSS", lambda one: one.pss / 1e6, "{:.1f} MB", "548 → 126 MB (RSS)"),
        ("private dirty memory", lambda one: one.private / 1e6, "{:.1f} MB", "–"),
        ("stop for a garbage collection", lambda one: one.pause, "{:.0f} µs", "−76 %"),
        ("garbage collections in 1,000 requests", lambda one: one.collections, "{:.1f}", "–"),
    ]  # fmt: skip
    for title, value, form, theirs in measures:
        if title.startswith("highest") and protocol != "1.1":
            continue
        cells = [form.format(statistics.median(map(value, rounds))) for rounds in (tuned, baseline)]
        yield f"| {title} | {cells[0]} | {cells[1]} | {ratio(tuned, baseline, value)} | {theirs} |"
        if title == "P99":
            cells = [f"{together(rounds, 0.999) / 1000:.0f} µs" for rounds in (tuned, baseline)]
            many = min(sum(count for _, count in collected(rounds)) for rounds in (tuned, baseline))
            yield f"| P99.9 of {many:,} requests | {cells[0]} | {cells[1]} | | – |"


def ratio(tuned: Sequence[Round], baseline: Sequence[Round], value: Callable[[Round], float]) -> str:
    """Give the median of the rounds' ratios, and their range."""
    ratios = [value(theirs) / value(ours) for ours, theirs in zip(tuned, baseline, strict=False) if value(ours)]
    if not ratios:
        return "–"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def collected(rounds: Sequence[Round]) -> list[tuple[int, int]]:
    """Put the histograms of all rounds together."""
    return sorted(pair for one in rounds for pair in one.buckets)


def together(rounds: Sequence[Round], part: float) -> float:
    """Give a quantile of all requests of all rounds, in nanoseconds."""
    buckets = collected(rounds)
    wanted = part * sum(count for _, count in buckets)
    seen = 0
    for upper, count in buckets:
        seen += count
        if seen >= wanted:
            return float(upper)
    return 0.0


if __name__ == "__main__":
    if shutil.which("go") is None:
        sys.exit("load: go is not on PATH (`make setup` finds one)")
    main()
