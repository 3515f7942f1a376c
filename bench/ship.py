"""`make bench-ship`: compare push, pull and copy with crane and skopeo, and build with push with ko; prints Markdown.

A registry (Debian's distribution 2.8) runs on loopback with its blobs on disk. Runs are interleaved. What a push or a
pull may know from before is deleted, except where the case is that all is there already.
"""

import argparse
import gzip
import io
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from base import served_base
from measure import Sample, measured
from modules import MODULES, ROOT, fetch, lay, module_cache
from report import machine
from subjects import BASE_NAME, WHERRY, Workspace

sys.path.insert(0, str(ROOT / "tests"))

from registries import DEBIAN, distribution
from wherry.digest import Digest
from wherry.oci import media
from wherry.oci.config import ImageConfig, RootFS
from wherry.oci.manifest import Manifest
from wherry.store.contract import write_document
from wherry.store.disk import DiskStore

PAGE = ROOT / "docs" / "benchmarks-shipping.md"
IMAGES = {"100 layers of 20 kB": [20_000] * 100, "one layer of 250 MB": [250_000_000]}
SUBJECTS = "wherry", "crane", "skopeo"


@dataclass(frozen=True, slots=True)
class Bench:
    """Where things are."""

    folder: Path
    host: str

    def environment(self, cache: str = "cache") -> dict[str, str]:
        """What a subject is started with."""
        return {
            **os.environ,
            "HOME": str(self.folder),
            "WHERRY_STORE": str(self.folder / "store"),
            "WHERRY_CACHE": str(self.folder / cache),
        }

    def run(self, argv: Sequence[str], **environment: str) -> Sample:
        """Measure one call."""
        return measured(argv, cwd=self.folder, environment={**self.environment(), **environment})

    def push(self, subject: str, image: str, to: str) -> Sequence[str]:
        """Say how a subject pushes."""
        layout = self.folder / "layouts" / image
        return {
            "wherry": [WHERRY, "push", "-q", f"{image}:1", f"{self.host}/{to}:1"],
            "crane": ["crane", "push", str(layout), f"{self.host}/{to}:1"],
            "skopeo": [
                "skopeo",
                "copy",
                "-q",
                "--dest-tls-verify=false",
                f"oci:{layout}:{image}:1",
                f"docker://{self.host}/{to}:1",
            ],
        }[subject]

    def pull(self, subject: str, source: str, into: Path) -> Sequence[str]:
        """Say how a subject pulls into a layout."""
        return {
            "wherry": [WHERRY, "--store", str(into), "pull", "-q", f"{self.host}/{source}:1"],
            "crane": ["crane", "pull", "--format=oci", f"{self.host}/{source}:1", str(into)],
            "skopeo": [
                "skopeo",
                "copy",
                "-q",
                "--src-tls-verify=false",
                f"docker://{self.host}/{source}:1",
                f"oci:{into}:x:1",
            ],
        }[subject]

    def copy(self, subject: str, source: str, to: str) -> Sequence[str]:
        """Say how a subject copies within a registry."""
        ends = f"{self.host}/{source}:1", f"{self.host}/{to}:1"
        return {
            "wherry": [WHERRY, "copy", "-q", *ends],
            "crane": ["crane", "copy", *ends],
            "skopeo": [
                "skopeo",
                "copy",
                "-q",
                "--src-tls-verify=false",
                "--dest-tls-verify=false",
                *(f"docker://{end}" for end in ends),
            ],
        }[subject]


def main() -> int:
    """Measure; write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--quick", action="store_true", help="three rounds")
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds = 3
    load = os.getloadavg()[0]
    subjects = [name for name in SUBJECTS if name == "wherry" or shutil.which(name)]
    lines = ["| image | case | " + " | ".join(subjects) + " |", "|---|---|" + "---|" * len(subjects)]
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as name:
        folder = Path(name)
        with distribution(folder / "registry", program=DEBIAN) as registry:
            bench = Bench(folder, registry.host)
            for title, sizes in IMAGES.items():
                image = "image" + str(len(sizes))
                _lay(bench, image, sizes)
                for case, samples in _cases(bench, image, subjects, asked.rounds):
                    lines.append(f"| {title} | {case} | " + " | ".join(_cells(samples, subjects)) + " |")
                    print(lines[-1], file=sys.stderr)
        built = list(_builds(folder, asked.rounds))
    asked.page.write_text(_page(lines, built, load))
    print(asked.page.read_text())
    return 0


def _lay(bench: Bench, image: str, sizes: Sequence[int]) -> None:
    """Put an image of random layers into the store, and into a layout for the others."""
    store = DiskStore(bench.folder / "store")
    with store.writing():
        tars = [_tar(place, size) for place, size in enumerate(sizes)]
        layers = tuple(write_document(store, media.OCI_LAYER_GZIP, packed) for packed, _ in tars)
        config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=tuple(diff for _, diff in tars)))
        configured = write_document(store, media.OCI_CONFIG, config.encoded())
        store.tag(f"{image}:1", write_document(store, media.OCI_MANIFEST, Manifest.of(configured, layers).encoded()))
    words = [WHERRY, "copy", "-q", f"store:{image}:1", f"oci:{bench.folder / 'layouts' / image}:{image}:1"]
    subprocess.run(words, check=True, env=bench.environment(), stdout=subprocess.DEVNULL)


def _tar(place: int, size: int) -> tuple[bytes, Digest]:
    """Make a layer of random bytes; give it as stored, and its diff id."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo(f"file{place}")
        member.size = size
        archive.addfile(member, io.BytesIO(os.urandom(size)))
    return gzip.compress(buffer.getvalue(), 1, mtime=0), Digest.of(buffer.getvalue())


def _cases(
    bench: Bench, image: str, subjects: Sequence[str], rounds: int
) -> Iterator[tuple[str, dict[str, list[Sample]]]]:
    out = bench.folder / "out"

    def pushed(subject: str, number: int) -> Sample:
        return bench.run(
            bench.push(subject, image, f"new/{image}/{subject}{number}"), WHERRY_CACHE=str(bench.folder / f"c{number}")
        )

    def again(subject: str, _: int) -> Sample:
        return bench.run(bench.push(subject, image, f"new/{image}/{subject}0"))

    def pulled(subject: str, _: int) -> Sample:
        shutil.rmtree(out, ignore_errors=True)
        return bench.run(bench.pull(subject, f"new/{image}/{subject}0", out))

    def pulled_again(subject: str, _: int) -> Sample:
        into = bench.folder / f"kept-{subject}"
        argv = bench.pull(subject, f"new/{image}/{subject}0", into)
        bench.run(argv)
        return bench.run(argv)

    def copied(subject: str, number: int) -> Sample:
        return bench.run(
            bench.copy(subject, f"new/{image}/{subject}0", f"copy/{image}/{subject}{number}"),
            WHERRY_CACHE=str(bench.folder / f"k{number}"),
        )

    for case, do in (
        ("push", pushed),
        ("push, already there", again),
        ("pull", pulled),
        ("pull, already there", pulled_again),
        ("copy within the registry", copied),
    ):
        yield case, _interleaved(subjects, rounds, do)
    shutil.rmtree(out, ignore_errors=True)


def _interleaved(subjects: Sequence[str], rounds: int, do: Callable[[str, int], Sample]) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = {subject: [] for subject in subjects}
    for number in range(rounds):
        shift = number % len(subjects)
        for subject in (*subjects[shift:], *subjects[:shift]):
            samples[subject].append(do(subject, number))
    return samples


def _cells(samples: dict[str, list[Sample]], subjects: Sequence[str]) -> Iterator[str]:
    ours = statistics.median(sample.seconds for sample in samples["wherry"])
    for subject in subjects:
        taken = samples[subject]
        seconds = statistics.median(sample.seconds for sample in taken)
        spread = f"{min(sample.seconds for sample in taken):.2f} to {max(sample.seconds for sample in taken):.2f}"
        peak = max(sample.own_peak for sample in taken) / 1e6
        ratio = "" if subject == "wherry" else f"**{seconds / ours:.1f}×** "
        yield f"{ratio}{seconds:.2f} s ({spread}), {peak:.0f} MB"


def _builds(folder: Path, rounds: int) -> Iterator[str]:
    """Build and push where nothing changed, compared with ko."""
    os.environ["WHERRY_BENCH_GOMODCACHE"] = module_cache()
    peers = ["wherry", *(["ko", "ko, tuned"] if shutil.which("ko") else [])]
    yield "| module | " + " | ".join(peers) + " |"
    yield "|---|" + "---|" * len(peers)
    with served_base(folder, ("linux/amd64",)) as registry:
        for module in MODULES:
            spaces = {
                peer: lay(module, fetch(module), folder / f"{module.name}-{peer.replace(', ', '-')}") for peer in peers
            }

            def build(peer: str, _: int, spaces: dict[str, Workspace] = spaces) -> Sample:
                return _build(peer, spaces[peer], str(registry))

            _interleaved(peers, 2, build)
            yield f"| {module.name} | " + " | ".join(_cells(_interleaved(peers, rounds, build), peers)) + " |"


def _build(peer: str, space: Workspace, registry: str) -> Sample:
    environment = space.environment() | {
        "KO_DEFAULTBASEIMAGE": f"{registry}/{BASE_NAME}:latest" if peer != "wherry" else "",
        "KO_DOCKER_REPO": f"{registry}/{peer.replace(', ', '-')}",
        "GOCACHE": str(space.folder.parent / "go-build"),  # of all: nothing is compiled any more where it counts
        "WHERRY_STORE": str(space.folder / "out"),
        "WHERRY_CACHE": str(space.folder / "cache"),
        **({"KOCACHE": str(space.folder / "cache")} if peer == "ko, tuned" else {}),
    }
    program = WHERRY if peer == "wherry" else "ko"
    words = [program, "build", "--bare", "--platform=linux/amd64", *([] if peer == "wherry" else ["--sbom=none"])]
    return measured([*words, space.package], cwd=space.module, environment=environment)


_HEAD = """\
# Shipping, measured

`make bench-ship` wrote this page. Median (and range), and the memory that the program itself had at most; **×** is
how many times as long as wherry the peer took. A registry (distribution 2.8) on loopback shares the machine with
whoever is measured. crane and skopeo push from an OCI layout, wherry from its store, which is one. skopeo keeps in a
system folder which repository has which blob, so that most of its pushes here are mounts. No pull waits until layers
would survive a loss of power; wherry waits for the manifest and the index of its store, and hashes each blob before its
first use after a crash (docs/explanation/store.md). Where all is there already, wherry replays the record of the same
call, once the registry has said that the tag still points to the same digest.
"""
_BUILDS = """\
`wherry build` and `ko build` with the same KO_DOCKER_REPO; ko without its SBOM, tuned with KOCACHE.
"""


def _page(lines: Sequence[str], built: Sequence[str], load: float) -> str:
    images = ("## Images", "", *lines, "")
    builds = ("## Nothing changed, built and pushed", "", _BUILDS, *built, "")
    return "\n".join((_HEAD, *machine(load), "", *images, *builds))


if __name__ == "__main__":
    sys.exit(main())
