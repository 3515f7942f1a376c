"""A BuildKit of the test's own: a daemon on a socket in a folder, started and stopped by its process id."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dockerfile.building import Built, Request
from needs import need, need_root

_READY = "running server on"


@dataclass(frozen=True)
class BuildKit:
    """A daemon at work, and how it is asked."""

    folder: Path
    process: "subprocess.Popen[str]"
    client: str
    name: str = "buildkit"

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return self.process.pid

    def build(self, request: Request, into: Path) -> Built:
        """Build into a layout."""
        names = f',"name={",".join(request.names)}"' if request.names else ""
        return self._run(f"type=oci,dest={into},tar=false{names}", request, into)

    def push(self, request: Request, name: str) -> Built:
        """Build and push."""
        return self._run(f"type=image,name={name},push=true,registry.insecure=true", request, self.folder)

    def _run(self, output: str, request: Request, layout: Path) -> Built:
        done = subprocess.run(self.command(output, request), check=False, capture_output=True, text=True)
        return Built(done.returncode == 0, done.stdout + done.stderr, layout)

    def command(self, output: str, request: Request) -> Sequence[str]:
        """Say how the client is called."""
        words = [self.client, "--addr", f"unix://{self.folder / 'socket'}", "build", "--progress=plain"]
        return [*words, "--frontend=dockerfile.v0", "--output", output, *_arguments(request)]

    def forget(self) -> None:
        """Forget all that was built, what was sent of contexts, and cache mounts."""
        words = [self.client, "--addr", f"unix://{self.folder / 'socket'}", "prune", "--all"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def buildkitd(folder: Path) -> Iterator[BuildKit]:
    """Run a daemon until the block ends; its state is in the folder, and goes with it."""
    need_root()
    need("runc")
    daemon, client = need("buildkitd"), need("buildctl")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "buildkitd.toml").write_text("")  # else it would read the machine's own
    process = subprocess.Popen(
        [
            daemon,
            f"--addr=unix://{folder / 'socket'}",
            f"--root={folder / 'state'}",
            f"--config={folder / 'buildkitd.toml'}",
            "--oci-worker=true",
            "--containerd-worker=false",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    )
    try:
        _wait_until_ready(process)
        yield BuildKit(folder, process, client)
    finally:
        _stop(process)


def _wait_until_ready(process: "subprocess.Popen[str]") -> None:
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if _READY in line:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return
    raise AssertionError("buildkitd ended: " + "".join(said[-20:]))


def _stop(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stderr:
        process.stderr.close()


def _arguments(request: Request) -> Iterator[str]:
    """Spell a request as buildctl has it."""
    yield from ("--local", f"context={request.context}")
    file = request.dockerfile
    yield from ("--local", f"dockerfile={file.parent if file else request.context}")
    if file:
        yield from ("--opt", f"filename={file.name}")
    if not request.cache:
        yield "--no-cache"
    if request.target:
        yield from ("--opt", f"target={request.target}")
    if request.platforms:
        yield from ("--opt", "platform=" + ",".join(request.platforms))
    for option, pairs in (("build-arg", request.build_args), ("label", request.labels)):
        for name, value in pairs.items():
            yield from ("--opt", f"{option}:{name}={value}")
    for name, path in request.secrets.items():
        yield from ("--secret", f"id={name},src={path}")
    for number, (name, value) in enumerate(request.contexts.items()):
        yield from _context(number, name, value)


def _context(number: int, name: str, value: str) -> Iterator[str]:
    """Spell a named context; a layout goes by the digest of the one image that it has."""
    kind, _, rest = value.rpartition("://")
    if kind == "oci-layout":
        digest = json.loads((Path(rest) / "index.json").read_text())["manifests"][0]["digest"]
        yield from ("--oci-layout", f"layout{number}={rest}")
        yield from ("--opt", f"context:{name}=oci-layout://layout{number}@{digest}")
    elif kind:
        yield from ("--opt", f"context:{name}={value}")
    else:
        yield from ("--local", f"local{number}={value}", "--opt", f"context:{name}=local:local{number}")
