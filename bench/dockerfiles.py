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
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
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
CASES = "service", "files", "runs", "copy"
SERVICE = """ARG REGISTRY
FROM $REGISTRY/golang:1 AS build
ARG GOPROXY
ENV GOPROXY=$GOPROXY GOSUMDB=off GOFLAGS=-buildvcs=false
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN --mount=type=cache,target=/root/.cache/go-build CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/svc .

FROM $REGISTRY/static:1
COPY --from=build /out/svc /svc
USER 65532:65532
ENTRYPOINT ["/svc"]
"""
RUNS = "ARG REGISTRY\nFROM $REGISTRY/busybox:1\n" + "".join(f"RUN echo {n} > /file{n}\n" for n in range(40))
COPY = "FROM scratch\nCOPY . /\n"

Samples = dict[str, list[Sample]]


@dataclass(frozen=True, slots=True)
class Bench:
    """Who builds, where, and how often."""

    folder: Path
    registry: str
    proxy: str
    builders: tuple[Builder, ...]
    rounds: int
    cold_rounds: int

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
        bench = Bench(folder, registry, proxy, builders, asked.rounds, asked.cold_rounds)
        lines = list(_table(bench, asked.cases))
        for builder in builders:
            builder.forget()
    asked.page.write_text("\n".join((_HEAD, *machine(load), *_versions(), "", *lines, "")))
    print(asked.page.read_text())
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each warm case")
    parser.add_argument("--cold-rounds", type=int, default=2, help="runs of the cases with all caches empty")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    names = "wherry", "BuildKit", "buildah", "kaniko"
    parser.add_argument("--builders", nargs="+", choices=names, default=names)
    parser.add_argument("--folder", type=Path, help="where there is room for 20 GB [default: that of temporary files]")
    parser.add_argument("--quick", action="store_true", help="two warm runs, one cold, without kaniko: 12 minutes")
    parser.add_argument("--page", type=Path, default=PAGE)
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.cold_rounds = 2, 1
        asked.builders = [name for name in asked.builders if name != "kaniko"]
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
        return builder.build(jobs[builder.name])

    def again(builder: Builder, _: int) -> Sample:
        return builder.build(jobs[builder.name])

    def appended(file: str, builder: Builder, number: int) -> Sample:
        path = jobs[builder.name].context / file
        path.write_text(path.read_text() + f"// {builder.name} {number}\n")
        return builder.build(jobs[builder.name])

    yield "Go service, cold", bench.interleaved(bench.cold_rounds, cold)
    yield "Go service, unchanged", bench.interleaved(bench.rounds, again)
    yield "Go service, one source line changed", bench.interleaved(bench.rounds, partial(appended, "main.go"))
    yield "Go service, go.mod changed", bench.interleaved(bench.cold_rounds, partial(appended, "go.mod"))


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


_HEAD = """\
# Dockerfiles, measured

`make bench-dockerfile` wrote this page. Every figure is of whole calls that build and push to a registry (distribution
2.8) on loopback, where the bases come from, too. Median (and range); **×** is how many times as long as wherry the
other took. MB is the memory that the program itself had at most; for BuildKit, client and daemon together. BuildKit's
daemon is warm: its start is not counted. buildah builds with `--isolation chroot --layers` and pushes in a second
call; kaniko builds in a chroot of its own, with `--cache` in the registry. *Cold*: no image, no step, no cache is
there, but modules come from loopback. The Go service is bench/modules/svc; its Dockerfile has the manifests first and
a cache mount for the compiler, which kaniko does not know.
"""


if __name__ == "__main__":
    sys.exit(main())
