"""Who builds Dockerfiles: wherry, BuildKit with its daemon warm, buildah in a chroot, kaniko in a root of its own.

All take their bases from one registry on loopback and push there; each has its own caches.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from measure import Sample, measured
from subjects import WHERRY

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from peers.buildkit import BuildKit


@dataclass(frozen=True, slots=True)
class Job:
    """What is built: a context with its Dockerfile, and where the image is pushed."""

    context: Path
    arguments: Mapping[str, str]
    repository: str
    """Such as 127.0.0.1:5000/app; each builder pushes below it."""

    def image(self, builder: str) -> str:
        """Name the image that a builder makes."""
        return f"{self.repository}/{builder}:1"


class Builder(Protocol):
    """Whoever builds, pushes, and can forget."""

    name: str

    def build(self, job: Job, *, fresh: bool = False) -> Sample:
        """Build and push; `fresh`: no step is taken from a cache."""

    def forget(self) -> None:
        """Delete all caches, images among them."""


@dataclass(frozen=True)
class Wherry:
    """Ours."""

    folder: Path
    name: str = "wherry"

    def build(self, job: Job, *, fresh: bool = False) -> Sample:
        words = [WHERRY, "build", "-q", "-f", "Dockerfile", "--push", "-t", job.image(self.name)]
        words += ["--network", "host", "--allow", "network.host"]  # as the others: the proxy is on loopback
        words += [*(["--no-cache"] if fresh else []), *_pairs("--build-arg", job.arguments), "."]
        return measured(words, cwd=job.context, environment=self._environment())

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def _environment(self) -> dict[str, str]:
        places = {"WHERRY_STORE": str(self.folder / "store"), "WHERRY_CACHE": str(self.folder / "cache")}
        return {**os.environ, "HOME": str(self.folder), **places}


@dataclass(frozen=True)
class WithDaemon:
    """BuildKit; the memory is that of its daemon."""

    daemon: BuildKit
    name: str = "BuildKit"

    def build(self, job: Job, *, fresh: bool = False) -> Sample:
        words = [self.daemon.client, "--addr", f"unix://{self.daemon.folder / 'socket'}", "build", "--progress=plain"]
        words += ["--frontend=dockerfile.v0", "--local=context=.", "--local=dockerfile=."]
        words += [f"--output=type=image,name={job.image('buildkit')},push=true,registry.insecure=true"]
        words += ["--no-cache"] if fresh else []
        words += _pairs("--opt", {f"build-arg:{name}": value for name, value in job.arguments.items()})
        Path(f"/proc/{self.daemon.pid}/clear_refs").write_text("5")  # proc(5): resets VmHWM
        sample = measured(words, cwd=job.context, environment=os.environ)
        return replace(sample, own_peak=sample.own_peak + _peak(self.daemon.pid))

    def forget(self) -> None:
        self.daemon.forget()


@dataclass(frozen=True)
class Buildah:
    """buildah, root, overlay, `--isolation chroot`, with its layer cache."""

    folder: Path
    name: str = "buildah"

    def build(self, job: Job, *, fresh: bool = False) -> Sample:
        words = [*self._program(), "build", "--isolation=chroot", "--layers", "--tls-verify=false", "-q"]
        words += ["--no-cache"] if fresh else []
        words += [*_pairs("--build-arg", job.arguments), "-t", job.image(self.name), "."]
        push = [*self._program(), "push", "-q", "--tls-verify=false", job.image(self.name)]
        script = f"{shlex.join(words)} >/dev/null && exec {shlex.join(push)}"
        # Caches of mounts are in $TMPDIR/buildah-cache, not in its root: outside the folder, no build would be cold.
        place = self.folder / "tmp"
        place.mkdir(exist_ok=True)
        return measured(["sh", "-c", script], cwd=job.context, environment={**os.environ, "TMPDIR": str(place)})

    def forget(self) -> None:
        if self.folder.exists():
            subprocess.run([*self._program(), "rm", "-a"], check=False, capture_output=True)
            subprocess.run([*self._program(), "rmi", "-a", "-f"], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def _program(self) -> list[str]:
        places = [f"--root={self.folder / 'root'}", f"--runroot={self.folder / 'run'}", "--storage-driver=overlay"]
        return ["buildah", *places]


@dataclass
class Kaniko:
    """kaniko, which builds in the root that it runs in: here an empty one, new for each build."""

    folder: Path
    executor: Path
    registry: str
    name: str = "kaniko"
    forgotten: int = 0
    """How often: each time its cache gets another repository, as a registry forgets nothing."""

    def build(self, job: Job, *, fresh: bool = False) -> Sample:
        root = self.folder / "root"
        self._lay(root)
        words = ["/kaniko/executor", "--force", "--context=dir:///workspace", "--dockerfile=/workspace/Dockerfile"]
        words += [f"--destination={job.image(self.name)}", "--insecure", "--insecure-pull", "--verbosity=error"]
        words += [] if fresh else ["--cache=true", f"--cache-repo={self.registry}/kaniko-cache/{self.forgotten}"]
        words += _pairs("--build-arg", job.arguments)
        script = (
            f"mount --bind {job.context} {root}/workspace && mount -t proc proc {root}/proc"
            f" && mount --rbind /dev {root}/dev && exec chroot {root} {shlex.join(words)}"
        )
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        environment = {"HOME": "/root", "PATH": path, "DOCKER_CONFIG": "/kaniko/.docker"}
        return measured(["unshare", "--mount", "sh", "-c", script], cwd=job.context, environment=environment)

    def _lay(self, root: Path) -> None:
        shutil.rmtree(root, ignore_errors=True)
        for name in ("kaniko/.docker", "workspace", "proc", "dev", "etc", "tmp"):
            (root / name).mkdir(parents=True)
        shutil.copy2(self.executor, root / "kaniko" / "executor")
        for name in ("etc/resolv.conf", "etc/hosts", "etc/passwd", "etc/group", "etc/nsswitch.conf"):
            if Path("/", name).exists():
                shutil.copy(Path("/", name), root / name)

    def forget(self) -> None:
        self.forgotten += 1
        shutil.rmtree(self.folder, ignore_errors=True)


def _pairs(flag: str, values: Mapping[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in (flag, f"{name}={value}")]


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
