"""`make load`: the example service under a constant load, tuned against its own baseline; prints Markdown.

Both are built from the same sources; the build tag `baseline` takes encoding/json, no sampling of logs and Go's
defaults. The server has one processor and the generator the other. Rounds are interleaved, and a ratio is of one round;
a run in which the generator measured itself is made again, and if that does not help, left out and said so.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from load_page import BASELINE, TUNED, Found, Round, Settings, page
from modules import ROOT

SERVICE = ROOT / "examples" / "videometa"
PAGE = ROOT / "docs" / "benchmarks-videometa.md"
BUILDS = {TUNED: ("grpcnotrace",), BASELINE: ("grpcnotrace", "baseline")}
SERVERS_CORE, GENERATORS_CORE = 0, 1
INVALID = 3
"""The generator's exit code for a run that measured the generator."""
_TICK = os.sysconf("SC_CLK_TCK")
_TRIES = 3
_ENOUGH = 200.0
"""Seconds after which no further round is begun, so that all is done within six minutes."""
_WORKERS, _MANY_WORKERS = 256, 1024
"""Requests in flight at most; the search has more, so that they do not end before the server does."""
_SATURATED = 0.9
"""The part of its processor above which the server, and not the generator, was at its end."""


QUICK = Settings(rounds=1, rate=300, count=300, bound=200, step=100, steps=2, protocols=100)


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a run of seconds that shows that all of it works")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=1500)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--bound", type=float, default=25.0, help="milliseconds that P99 may take")
    parser.add_argument("--page", type=Path, help=f"where to write the Markdown ({PAGE.name}; with --quick nowhere)")
    asked = parser.parse_args()
    settings = QUICK if asked.quick else Settings(
        asked.rounds, asked.rate, asked.count, asked.bound, step=6000, steps=6, protocols=5000
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends with us
    if not {SERVERS_CORE, GENERATORS_CORE} <= os.sched_getaffinity(0):
        sys.exit("load: server and generator need a processor each, 0 and 1, and they are not both ours")
    with tempfile.TemporaryDirectory(prefix="wherry-load-") as folder:
        place = Path(folder)
        build(place)
        found = measure(place, settings)
    lines = list(page(found, settings))
    print("\n".join(lines))
    if target := asked.page or (None if asked.quick else PAGE):
        target.write_text("\n".join(lines) + "\n")


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
    """Go through the rounds, both builds in each, in alternating order."""
    found = Found()
    begun = time.monotonic()
    for number in range(settings.rounds):
        if time.monotonic() - begun > _ENOUGH:
            found.unclean.append(f"{settings.rounds - number} of {settings.rounds} rounds: the time was over")
            break
        found.done += 1
        order = list(BUILDS) if number % 2 == 0 else list(BUILDS)[::-1]
        for protocol in ("1.1", "2", "3"):
            for name in order:
                say(f"round {number + 1} of {settings.rounds}: HTTP/{protocol}, {name}")
                with Server(place, name) as server:
                    measured = one_round(server, protocol, settings, found)
                if measured:
                    found.rounds.setdefault((name, protocol), {})[number] = measured
    return found


def one_round(server: "Server", protocol: str, settings: Settings, found: Found) -> Round | None:
    """Measure a server that was just started; None where no run was valid."""
    count = settings.count if protocol == "1.1" else settings.protocols
    for number in range(_TRIES):
        found.again += number > 0
        before = server.usage()
        report = server.load(protocol, settings.rate, count)
        after = server.usage()
        if report["valid"]:
            break
    else:
        found.unclean.append(f"HTTP/{protocol}, {server.name}: {report['reason']}")
        return None
    if report["errors"]:
        found.unclean.append(f"HTTP/{protocol}, {server.name}: answers that were none: {report['errors']}")
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
        measured.highest, measured.generators_end = highest(server, settings)
    return measured


def highest(server: "Server", settings: Settings) -> tuple[int, bool]:
    """Search for the highest rate at which P99 is within the bound, by halving what is left.

    The second value tells that the generator could do no more, so that the server may carry more than the first.
    """
    low, high, generators_end = 0, settings.rate * 8, True
    rate = settings.rate * 2
    for _ in range(settings.steps):
        within, server_was_busy = try_rate(server, rate, settings)
        if within:
            low = rate
        else:
            high, generators_end = rate, not server_was_busy
        rate = (low + high) // 2
    return low, generators_end


def try_rate(server: "Server", rate: int, settings: Settings) -> tuple[bool, bool]:
    """Tell whether a rate is within the bound in one of two runs; if not, whether it was the server that could not."""
    busy = False
    for _ in range(2):
        before = server.usage()
        report = server.load("1.1", rate, max(settings.step, rate), _MANY_WORKERS)
        used = server.usage().cpu - before.cpu
        bound = settings.bound * 1000
        if report["valid"] and report["latency_us"]["p99"] <= bound and not report["errors"]:
            return True, busy
        busy = busy or used > _SATURATED * report["seconds"] or report["service_us"]["p99"] > bound
    return False, busy


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
        self.addresses = {name: f"127.0.0.1:{free_port()}" for name in ("http", "https", "admin")}

    def __enter__(self) -> Self:
        words = [str(self.place / self.name), "-store", str(self.place / "videos.store"), "-log-level", "INFO",
                 "-http", self.addresses["http"], "-https", self.addresses["https"], "-h3",
                 "-admin", self.addresses["admin"],
                 "-tls-cert", str(self.place / "cert.pem"), "-tls-key", str(self.place / "key.pem"), "-notice", "0s",
                 "-in-flight", "4096", "-bodies", "4096", "-share", "1"]  # fmt: skip
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
        """Ask for a page of the operators' listener."""
        with urllib.request.urlopen(f"http://{self.addresses['admin']}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def load(self, protocol: str, rate: int, count: int, workers: int = _WORKERS) -> dict[str, Any]:
        """Run the generator once; a run that is not valid says so."""
        secure = protocol == "3"
        warmup = min(1000, count)
        words = [str(self.place / "load"), "-protocol", protocol, "-rate", str(rate), "-count", str(count),
                 "-warmup", str(warmup), "-workers", str(workers), "-core", str(GENERATORS_CORE),
                 "-ca", str(self.place / "ca.pem"), "-url",
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


if __name__ == "__main__":
    if shutil.which("go") is None:
        sys.exit("load: go is not on PATH (`make setup` finds one)")
    main()
