"""Which daemon an image is loaded into: Docker, podman by its socket or its program, containerd by nerdctl or ctr."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wherry.daemon.docker import SOCKET, Engine, endpoint, engine_at
from wherry.daemon.docker import load as load_into
from wherry.daemon.errors import NoDaemon, NotLoaded
from wherry.host.process import Command, Runner, which
from wherry.platform import Platform
from wherry.store.files import ByteSink, replacing

_PROGRAMS = (
    ("podman", ("load", "--quiet", "--input")),
    ("nerdctl", ("load", "--input")),
    ("ctr", ("images", "import", "--all-platforms")),
)
"""Programs that load an archive, and their words before its path."""


class Daemon(Protocol):
    """Somebody who takes images."""

    @property
    def name(self) -> str:
        """What it is called, with its version where that is known."""

    @property
    def platform(self) -> Platform | None:
        """What it runs; None where it doesn't say."""

    @property
    def takes_zstd(self) -> bool:
        """Whether zstd layers are no trouble."""

    def load(self, write: Callable[[ByteSink], None]) -> None:
        """Take an archive in Docker's form, as it is written.

        Raises:
            NotLoaded: it did not, in its own words.
        """


@dataclass(frozen=True, slots=True)
class ByApi:
    """An engine with Docker's API."""

    engine: Engine
    certificates: Path | None

    @property
    def name(self) -> str:
        """Such as `Docker 20.10.24`."""
        return self.engine.name

    @property
    def platform(self) -> Platform | None:
        """What it runs."""
        return self.engine.platform

    @property
    def takes_zstd(self) -> bool:
        """Whether zstd layers are no trouble."""
        return self.engine.takes_zstd

    def load(self, write: Callable[[ByteSink], None]) -> None:
        """See `Daemon.load`."""
        load_into(self.engine, write, self.certificates)


@dataclass(frozen=True, slots=True)
class ByProgram:
    """A daemon, or a store, that is reached by a program of its own."""

    name: str
    path: str
    words: tuple[str, ...]
    runner: Runner
    environment: Mapping[str, str]
    platform: Platform | None = None
    takes_zstd: bool = True

    def load(self, write: Callable[[ByteSink], None]) -> None:
        """See `Daemon.load`; the archive goes through a file."""
        with tempfile.TemporaryDirectory(prefix="wherry-load-") as folder:
            archive = Path(folder) / "image.tar"
            with replacing(archive) as out:
                write(out)
            done = self.runner.run(Command((self.path, *self.words, str(archive)), Path(folder), self.environment))
        if done.returncode:
            raise NotLoaded(
                f"{self.name}: it did not take the image: {done.words[:500]}",
                hint=f"run `{self.name} {' '.join(self.words)} ARCHIVE` with what `wherry save --format docker` writes",
            )


def find_daemon(runner: Runner, environment: Mapping[str, str], docker_folder: Path) -> Daemon:
    """Find the first that is there; where DOCKER_HOST or a context names one, only that.

    Raises:
        NoDaemon: there is none; the message has where was looked.
    """
    problems = []
    certificates = _certificates(environment, docker_folder)
    for host in _hosts(environment, docker_folder):
        try:
            return ByApi(engine_at(host, certificates), certificates)
        except NoDaemon as error:
            problems.append(error.message)
    if _named(environment, docker_folder):
        raise NoDaemon(problems[0], hint="start it, or unset DOCKER_HOST and DOCKER_CONTEXT")
    for program, words in _PROGRAMS:
        if path := which(program, environment.get("PATH", "")):
            return ByProgram(program, path, words, runner, environment)
    raise NoDaemon(
        "no Docker, podman or containerd here: " + "; ".join(problems),
        hint="start one, or write an archive: --output type=docker,dest=FILE",
    )


def _named(environment: Mapping[str, str], docker_folder: Path) -> bool:
    return endpoint(environment, docker_folder) != SOCKET


def _hosts(environment: Mapping[str, str], docker_folder: Path) -> Iterator[str]:
    yield endpoint(environment, docker_folder)
    if not _named(environment, docker_folder):
        for folder in (environment.get("XDG_RUNTIME_DIR"), "/run"):
            if folder and (Path(folder) / "podman/podman.sock").exists():
                yield f"unix://{folder}/podman/podman.sock"


def _certificates(environment: Mapping[str, str], docker_folder: Path) -> Path | None:
    if not environment.get("DOCKER_TLS_VERIFY"):
        return None
    return Path(environment.get("DOCKER_CERT_PATH") or docker_folder)
