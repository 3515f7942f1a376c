"""The example service's load and benchmarks: they work from end to end, and their pages say what was measured."""

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from needs import need

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICE = REPOSITORY / "examples" / "videometa"
INVALID = 3


@pytest.fixture(name="bench")
def _bench(monkeypatch):
    """Give the modules of bench/ that measure under load and write the page."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "bench"))
    return importlib.import_module("load"), importlib.import_module("load_page")


def run(*words: str, folder: Path = REPOSITORY) -> None:
    """Run a program; what it says is shown if it fails."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@dataclass
class Answering:
    """A server, and a generator before it, of which each is at its end at some rate."""

    capacity: int
    generators_capacity: int = 1_000_000
    spent: float = 0.0
    tried: list[int] = field(default_factory=list)

    def usage(self) -> Any:
        """Give the processor's seconds until now."""
        return self

    @property
    def cpu(self) -> float:
        """See usage; a field of it."""
        return self.spent

    def load(self, _protocol: str, rate: int, count: int, _workers: int) -> dict[str, Any]:
        """Give a report as the generator prints it."""
        self.tried.append(rate)
        seconds = count / min(rate, self.generators_capacity)
        self.spent = self.spent + seconds * min(rate, self.generators_capacity, self.capacity) / self.capacity
        late = 1e6 if rate > self.capacity or rate > self.generators_capacity else 100.0
        service = 1e6 if rate > self.capacity else 100.0
        return {
            "valid": rate <= self.generators_capacity,
            "errors": {},
            "seconds": seconds,
            "latency_us": {"p99": late},
            "service_us": {"p99": service},
        }


@pytest.mark.parametrize("capacity", [700, 3000, 5123, 9999])
def test_the_search_finds_what_a_server_carries(bench, capacity):
    """Six steps from 1,500 a second come within a sixty-fourth of the range, and never above the truth."""
    load, page = bench
    settings = page.Settings(1, 1500, 100, bound=25, step=100, steps=6, protocols=100)
    server = Answering(capacity)

    rate, generators_end = load.highest(server, settings)

    assert capacity - 12_000 / 32 <= rate <= capacity
    assert not generators_end


def test_the_generators_end_is_not_called_the_servers(bench):
    """A generator that could do no more leaves open what the server carries, and so does a search that never failed."""
    load, page = bench
    settings = page.Settings(1, 1500, 100, bound=25, step=100, steps=6, protocols=100)

    assert load.highest(Answering(9000, generators_capacity=4000), settings)[1]
    assert load.highest(Answering(1_000_000), settings)[1]


def _round(page, cpu: float, highest: int, *, generators_end: bool = False):
    quantiles = {"p50": 100.0, "p99": 500.0, "p999": 900.0}
    buckets = [(100_000, 990), (900_000, 10)]
    return page.Round(cpu, quantiles, buckets, 2_000_000, 1_000_000, 20.0, 5.0, highest, generators_end)


def test_a_page_says_where_the_tuned_build_is_behind(bench):
    """Ratios are of rounds with the same number, one without its other is left out, and none is made to look good."""
    _, page = bench
    tuned = {0: _round(page, 200, 4000), 1: _round(page, 1, 1), 2: _round(page, 200, 5000, generators_end=True)}
    baseline = {0: _round(page, 100, 2000), 2: _round(page, 150, 6000)}
    found = page.Found({("tuned", "1.1"): tuned, ("baseline", "1.1"): baseline}, done=3)

    text = "\n".join(page.page(found, page.Settings(3, 1500, 1000, 25, 100, 6, 100)))

    assert "| CPU a request | 200 µs | 125 µs | 0.62 (0.50 to 0.75) |" in text
    assert "| highest rate, P99 within 25 ms | ≥ 4500/s | 4000/s | 1.42 (0.83 to 2.00) | 1,800" in text
    assert "| P99.9 of all 2,000 | 900 µs | 900 µs |" in text
    assert "is ahead in no round in: CPU a request," in text
    assert "The rounds disagree on: highest rate, P99 within 25 ms." in text
    assert "the generator came to its end" in text
    assert text.count("No round was valid for both builds.") == 2


@pytest.mark.slow
def test_an_overloaded_generator_marks_its_run(tmp_path):
    """A rate that no generator keeps to gives an exit code of its own, a reason, and a report that isn't valid."""
    program = tmp_path / "load"
    run(need("go"), "build", "-o", str(program), "./cmd/load", folder=SERVICE)
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0", "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout
        port = server.stdout.readline().split("port ")[1].split()[0]
        words = [str(program), "-url", f"http://127.0.0.1:{port}", "-rate", "200000", "-count", "2000"]
        done = subprocess.run([*words, "-workers", "2"], capture_output=True, text=True, timeout=120, check=False)
    finally:
        server.kill()
        server.communicate()

    assert done.returncode == INVALID, done.stderr
    assert done.stderr.startswith("load: invalid: ")
    assert json.loads(done.stdout)["valid"] is False


@pytest.mark.slow
def test_under_load(tmp_path):
    """`make load` works from building to its page; figures are not judged, nor whether a busy machine gave any."""
    if not {0, 1} <= os.sched_getaffinity(0):
        pytest.skip("needs processors 0 and 1")
    page = tmp_path / "page.md"

    run(sys.executable, "bench/load.py", "--quick", "--page", str(page))

    text = page.read_text()
    for section in ("## HTTP/1.1", "## HTTP/2", "## HTTP/3"):
        told = text.partition(section)[2].partition("\n## ")[0]
        assert "| CPU a request |" in told or "No round was valid" in told, text


@pytest.mark.slow
def test_parse_benchmarks(tmp_path):
    """`make bench-parse` works from end to end, its module is vetted, and reads JSON by the library the service has."""
    page = tmp_path / "page.md"

    run(need("go"), "vet", "./...", folder=SERVICE / "bench")
    run(need("staticcheck"), "./...", folder=SERVICE / "bench")
    run(sys.executable, "bench/parse.py", "--count", "1", "--time", "1x", "--page", str(page))

    text = page.read_text()
    for way in ("Picker", "encoding/json/v2", "sonic", "two `gjson.GetBytes`", "one `ForEach`"):
        assert f"| {way}" in text or f"`{way}`" in text, text
    versions = [
        next(line.split()[-1] for line in file.read_text().splitlines() if "tidwall/gjson v" in line)
        for file in (SERVICE / "go.mod", SERVICE / "bench" / "go.mod")
    ]
    assert len(set(versions)) == 1, versions
