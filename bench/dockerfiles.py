"""`make bench-dockerfile`: Dockerfiles by wherry, BuildKit (daemon warm), buildah and kaniko in one run; Markdown out.

Bases come from a registry (Debian's distribution 2.8) on loopback, images are pushed there. Runs are interleaved.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

from builders import Buildah, Builder, Job, Kaniko, Wherry, WithDaemon
from measure import Sample
from modules import ROOT, module_cache
from report import machine

sys.path.insert(0, str(ROOT / "tests"))

from dockerfile import bases
from needs import need
from peers.buildkit import buildkitd
from registries import distribution

PAGE = ROOT / "docs" / "benchmarks-dockerfile.md"
CASES = "service", "runs", "copy", "files"
USUAL = "service", "runs", "copy"
BUILDERS = "wherry", "BuildKit", "buildah", "kaniko"
SERVICE = """ARG REGISTRY
FROM $REGISTRY/golang:1 AS build
ARG GOPROXY
ENV GOPROXY=$GOPROXY GOSUMDB=off GOFLAGS=-buildvcs=false
WORKDIR /src
COPY go.mod go.sum ./
RUN date +%s.%N >/times && go mod download && date +%s.%N >>/times
COPY . .
RUN --mount=type=cache,target=/root/.cache/go-build date +%s.%N >>/times \\
    && CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/svc . && date +%s.%N >>/times && cp /times /out/

FROM $REGISTRY/static:1
COPY --from=build /out/ /
USER 65532:65532
ENTRYPOINT ["/svc"]
"""
PHASES = (
    "pull and unpack the base, COPY go.mod", "`go mod download`", "COPY the sources", "`go build`", "pack and push",
)  # fmt: skip
"""Of the cold build of the service: what its steps write down of the time parts it so."""
RUNS = "ARG REGISTRY\nFROM $REGISTRY/busybox:1\n" + "".join(f"RUN echo {n} > /file{n}\n" for n in range(40))
COPY = "FROM scratch\nCOPY . /\n"

Samples = dict[str, list[Sample]]
Phases = dict[str, list[list[float]]]
"""Seconds of each phase of each cold build, by builder."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Who builds, where, and how often."""

    folder: Path
    registry: str
    proxy: str
    builders: tuple[Builder, ...]
    rounds: int
    cold_rounds: int
    phases: Phases

    def jobs(self, name: str, lay: Callable[[Path], None]) -> dict[str, Job]:
        """Lay a context for each builder: what one reads for the first time the next would find in memory."""
        jobs = {}
        for builder in self.builders:
            context = self.folder / "contexts" / name / builder.name
            context.mkdir(parents=True)
            lay(context)
            arguments = {"REGISTRY": self.registry, "GOPROXY": self.proxy}
            jobs[builder.name] = Job(context, arguments, f"{self.registry}/{name}")
        return jobs

    def interleaved(self, rounds: int, do: Callable[[Builder, int], Sample]) -> Samples:
        """Let the builders take turns."""
        samples: Samples = {builder.name: [] for builder in self.builders}
        for number in range(rounds):
            shift = number % len(self.builders)
            for builder in (*self.builders[shift:], *self.builders[:shift]):
                samples[builder.name].append(do(builder, number))
        return samples


def main() -> int:
    """Measure; write the page."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that daemon and registry end with us
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wherry-bench-", dir=asked.folder)))
        registry = stack.enter_context(distribution(folder / "registry")).host
        builders = tuple(_builders(folder, registry, asked.builders, stack))
        proxy = stack.enter_context(_served(Path(module_cache()) / "cache" / "download"))
        _push_bases(registry)
        bench = Bench(folder, registry, proxy, builders, asked.rounds, asked.cold_rounds, {})
        lines = list(_table(bench, asked.cases))
        for builder in builders:
            builder.forget()
    lines += _breakdown(bench)
    asked.page.write_text("\n".join((_HEAD, *machine(load), *_versions(), "", *lines, "")))
    print(asked.page.read_text())
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each warm case")
    parser.add_argument("--cold-rounds", type=int, default=2, help="runs of the cases with all caches empty")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=USUAL)
    parser.add_argument("--builders", nargs="+", choices=BUILDERS, default=BUILDERS[:3])
    parser.add_argument("--all", action="store_true", help="all cases, and kaniko too: about half an hour more")
    parser.add_argument("--folder", type=Path, help="where there is room for 20 GB [default: that of temporary files]")
    parser.add_argument("--quick", action="store_true", help="two warm runs, one cold: 6 minutes")
    parser.add_argument("--page", type=Path, default=PAGE)
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.cold_rounds = 2, 1
    if asked.all:
        asked.cases, asked.builders = CASES, BUILDERS
    return asked


def _builders(folder: Path, registry: str, names: Sequence[str], stack: ExitStack) -> Iterator[Builder]:
    """Give who is asked for and here."""
    if "wherry" in names:
        yield Wherry(folder / "wherry")
    if "BuildKit" in names and shutil.which("buildkitd"):
        yield WithDaemon(stack.enter_context(buildkitd(folder / "buildkit")))
    if "buildah" in names and shutil.which("buildah"):
        yield Buildah(folder / "buildah")
    if "kaniko" in names and (executor := shutil.which("executor")):
        yield Kaniko(folder / "kaniko", Path(executor), registry)


def _push_bases(registry: str) -> None:
    for name, layout in (("busybox", bases.busybox()), ("golang", bases.golang()), ("static", bases.static())):
        subprocess.run([need("crane"), "push", str(layout), f"{registry}/{name}:1"], check=True, capture_output=True)


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve the downloads of the module cache, which are a module proxy as they lie."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _table(bench: Bench, cases: Sequence[str]) -> Iterator[str]:
    names = [builder.name for builder in bench.builders]
    yield "| case | " + " | ".join(names) + " |"
    yield "|---|" + "---|" * len(names)
    kinds = {"service": _service, "files": _files, "runs": _runs, "copy": _copy}
    for case in cases:
        for builder in bench.builders:
            builder.forget()
        for title, samples in kinds[case](bench):
            row = f"| {title} | " + " | ".join(_cells(samples, names)) + " |"
            print(row, file=sys.stderr)
            yield row
        yield f"| {case}: layers, bytes | " + " | ".join(_layer_bytes(bench, case)) + " |"
        shutil.rmtree(bench.folder / "contexts")


def _layer_bytes(bench: Bench, case: str) -> Iterator[str]:
    """Give the bytes of all layers of the image that each builder pushed last."""
    for builder in bench.builders:
        image = f"{bench.registry}/{case}/{builder.name.lower()}:1"
        words = [need("crane"), "manifest", image]
        manifest = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
        yield f"{sum(layer['size'] for layer in manifest.get('layers') or []):,}"


def _cells(samples: Samples, names: Sequence[str]) -> Iterator[str]:
    ours = statistics.median(sample.seconds for sample in samples[names[0]])
    for name in names:
        seconds = [sample.seconds for sample in samples[name]]
        median = statistics.median(seconds)
        peak = max(sample.own_peak for sample in samples[name]) / 1e6
        ratio = "" if name == names[0] else f"**{median / ours:.2f}×** "
        yield f"{ratio}{median:.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), {peak:.0f} MB"


def _service(bench: Bench) -> Iterator[tuple[str, Samples]]:
    """The Go service: cold, unchanged, one source line changed, go.mod changed."""

    def lay(context: Path) -> None:
        shutil.copytree(ROOT / "bench" / "modules" / "svc", context, dirs_exist_ok=True)
        (context / "Dockerfile").write_text(SERVICE)

    subprocess.run(["go", "mod", "download"], cwd=ROOT / "bench" / "modules" / "svc", check=True)
    jobs = bench.jobs("service", lay)

    def cold(builder: Builder, _: int) -> Sample:
        builder.forget()
        os.sync()  # what another builder wrote is not this one's to wait for
        began = time.time()
        sample = builder.build(jobs[builder.name])
        image = jobs[builder.name].image(builder.name.lower())
        bench.phases.setdefault(builder.name, []).append(_phases(image, began, began + sample.seconds))
        return sample

    def again(builder: Builder, _: int) -> Sample:
        return builder.build(jobs[builder.name])

    def appended(file: str, builder: Builder, number: int) -> Sample:
        path = jobs[builder.name].context / file
        path.write_text(path.read_text() + f"// {builder.name} {number}\n")
        return builder.build(jobs[builder.name])

    _read_once(bench.folder / "registry", Path(module_cache()) / "cache" / "download")
    yield "Go service, cold", bench.interleaved(bench.cold_rounds, cold)
    yield "Go service, unchanged", bench.interleaved(bench.rounds, again)
    yield "Go service, one source line changed", bench.interleaved(bench.rounds, partial(appended, "main.go"))
    yield "Go service, go.mod changed", bench.interleaved(bench.rounds, partial(appended, "go.mod"))


def _read_once(*folders: Path) -> None:
    """Have what all builders read in memory, so that the first one does not read it from the disk for all."""
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                path.read_bytes()


def _phases(image: str, began: float, ended: float) -> list[float]:
    """Give the seconds between the times that the steps of the service wrote down."""
    with tempfile.TemporaryFile() as tar:
        subprocess.run([need("crane"), "export", image, "-"], check=True, stdout=tar, stderr=subprocess.DEVNULL)
        tar.seek(0)
        with tarfile.open(fileobj=tar) as root:
            file = root.extractfile("times")
            times = [began, *map(float, file.read().split() if file else ()), ended]
    return [after - before for before, after in pairwise(times)]


def _breakdown(bench: Bench) -> Iterator[str]:
    """Show where the time of the cold builds went."""
    if not bench.phases:
        return
    names = list(bench.phases)
    yield from ("", "## Where the time of the cold build goes", "", _PHASES, "")
    yield "| seconds | " + " | ".join(names) + " |"
    yield "|---|" + "---|" * len(names)
    for number, phase in enumerate(PHASES):
        medians = [statistics.median(one[number] for one in bench.phases[name]) for name in names]
        yield f"| {phase} | " + " | ".join(f"{median:.2f}" for median in medians) + " |"


def _files(bench: Bench) -> Iterator[tuple[str, Samples]]:
    """A context of 100,000 files."""

    def lay(context: Path) -> None:
        for folder in range(1000):
            (context / f"d{folder}").mkdir()
            for file in range(100):
                (context / f"d{folder}" / f"f{file}").write_text(f"{folder} {file}\n")
        (context / "Dockerfile").write_text(COPY)

    jobs = bench.jobs("files", lay)

    def first(builder: Builder, _: int) -> Sample:
        builder.forget()
        return builder.build(jobs[builder.name])

    def again(builder: Builder, _: int) -> Sample:
        return builder.build(jobs[builder.name])

    def changed(builder: Builder, number: int) -> Sample:
        (jobs[builder.name].context / "d7" / "f7").write_text(f"{builder.name} {number}\n")
        return builder.build(jobs[builder.name])

    yield "100,000 files copied, cold", bench.interleaved(bench.cold_rounds, first)
    yield "100,000 files copied, unchanged", bench.interleaved(bench.rounds, again)
    yield "100,000 files copied, one changed", bench.interleaved(bench.cold_rounds, changed)


def _runs(bench: Bench) -> Iterator[tuple[str, Samples]]:
    """40 small RUN steps."""

    def lay(context: Path) -> None:
        (context / "Dockerfile").write_text(RUNS)

    jobs = bench.jobs("runs", lay)

    def do(builder: Builder, _: int) -> Sample:
        return builder.build(jobs[builder.name], fresh=True)

    def again(builder: Builder, _: int) -> Sample:
        return builder.build(jobs[builder.name])

    bench.interleaved(1, do)  # pulls the base
    yield "40 RUN steps, `--no-cache`", bench.interleaved(bench.rounds, do)
    bench.interleaved(1, again)
    yield "40 RUN steps, unchanged", bench.interleaved(bench.rounds, again)


def _copy(bench: Bench) -> Iterator[tuple[str, Samples]]:
    """One file of 1 GB, a quarter of it random bytes."""
    chance = random.Random(1)  # noqa: S311 - bytes that are hard to compress, not a secret
    block = chance.randbytes(256 * 1024) + b"compressible text " * 43690
    name = "big"

    def lay(context: Path) -> None:
        with (context / name).open("wb") as file:
            for place in range(1000):
                file.write(place.to_bytes(4, "big") + block[4:])
        (context / "Dockerfile").write_text(COPY)

    jobs = bench.jobs("copy", lay)

    def do(builder: Builder, _: int) -> Sample:
        return builder.build(jobs[builder.name], fresh=True)

    yield "1 GB copied, `--no-cache`", bench.interleaved(bench.cold_rounds, do)


def _versions() -> Iterator[str]:
    if shutil.which("buildah"):
        yield "- " + subprocess.run(["buildah", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    # Built from their modules, these two don't know their own versions.
    setup = (ROOT / "scripts" / "setup-peers.sh").read_text().splitlines()
    yield from (f"- {line.replace('=', ' ')}" for line in setup if line.startswith(("buildkit=", "kaniko=")))


_PHASES = """\
The two RUN steps write down when they begin and end, in the image that is pushed; what is between belongs to the
builder alone. Medians. `go build` is the same compiler with the same empty cache in all of them, and takes most of the
time; on two processors nothing else can run next to it without slowing it down."""

_HEAD = """\
# Dockerfiles, measured

`make bench-dockerfile` wrote this page. Every figure is of whole calls that build and push to a registry (distribution
2.8) on loopback, where the bases come from, too. Median (and range); **×** is how many times as long as wherry the
other took. MB is the memory that the program itself had at most; for BuildKit, client and daemon together. BuildKit's
daemon is warm: its start is not counted. buildah builds with `--isolation chroot --layers` and pushes in a second
call; kaniko builds in a chroot of its own, with `--cache` in the registry. *Cold*: no image, no step, no cache is
there, but modules come from loopback, all that is read was read once before, and nothing waits to be written. The Go
service is bench/modules/svc; its Dockerfile has the manifests first and a cache mount for the compiler, which kaniko
does not know. buildah keeps such mounts outside its storage: they are deleted, too.
"""


if __name__ == "__main__":
    sys.exit(main())
