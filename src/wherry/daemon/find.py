"""Which daemon an image is loaded into: Docker, podman by its socket or its program, containerd by nerdctl or ctr."""

import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wherry.daemon.docker import DockerEngine, engine_at
from wherry.daemon.docker import load as load_into
from wherry.daemon.docker import save as save_from
from wherry.daemon.endpoint import Endpoint, endpoint
from wherry.daemon.errors import Forbidden, NoDaemon, NotLoaded, forbidden
from wherry.errors import NotFound
from wherry.host.process import Command, Runner, which
from wherry.platform import Platform
from wherry.store.files import ByteSink, replacing

CONTAINERD = "/run/containerd/containerd.sock"
_PATIENCE = 2.0
"""Seconds for a socket of this machine to take us in."""


@dataclass(frozen=True, slots=True)
class _Program:
    """One that loads an archive, and saves one."""

    name: str
    words: tuple[str, ...]
    """Before the archive's path."""
    saving: tuple[str, ...]
    """Before the archive's path and the image's name."""
    keeps_indexes: bool = False


_PROGRAMS = (
    _Program("podman", ("load", "--quiet", "--input"), ("save", "--format", "oci-archive", "--output")),
    _Program(
        "nerdctl", ("load", "--all-platforms", "--input"), ("save", "--all-platforms", "--output"), keeps_indexes=True
    ),
    _Program("ctr", ("images", "import", "--all-platforms"), ("images", "export"), keeps_indexes=True),
)


class Daemon(Protocol):
    """A daemon that images can be loaded into."""

    @property
    def name(self) -> str:
        """What it is called, with its version where that is known."""

    @property
    def platform(self) -> Platform | None:
        """What it runs; None where it doesn't say."""

    @property
    def takes_zstd(self) -> bool:
        """Whether zstd layers are no trouble."""

    @property
    def keeps_indexes(self) -> bool:
        """Whether an image of many platforms stays one; else it takes a single platform."""

    def load(self, write: Callable[[ByteSink], None]) -> None:
        """Load an archive while it is written: in Docker's form, or a layout's where it keeps indexes.

        Raises:
            NotLoaded: it did not, in its own words.
        """

    def save(self, name: str, archive: Path) -> None:
        """Write an image to a file, as an archive of OCI or Docker.

        Raises:
            NotFound: it has no such image, in its own words.
        """


@dataclass(frozen=True, slots=True)
class ByApi:
    """An engine with Docker's API."""

    engine: DockerEngine

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

    @property
    def keeps_indexes(self) -> bool:
        """Whether its images are in containerd's store."""
        return self.engine.keeps_indexes

    def load(self, write: Callable[[ByteSink], None]) -> None:
        """See `Daemon.load`."""
        load_into(self.engine, write)

    def save(self, name: str, archive: Path) -> None:
        """See `Daemon.save`."""
        with replacing(archive) as out:
            save_from(self.engine, name, out)


@dataclass(frozen=True, slots=True)
class ByProgram:
    """A daemon, or a store, that is reached by a program of its own."""

    name: str
    path: str
    words: tuple[str, ...]
    saving: tuple[str, ...]
    runner: Runner
    environment: Mapping[str, str]
    platform: Platform | None = None
    takes_zstd: bool = True
    keeps_indexes: bool = False

    def load(self, write: Callable[[ByteSink], None]) -> None:
        """See `Daemon.load`; the archive goes through a file."""
        with tempfile.TemporaryDirectory(prefix="wherry-load-") as folder:
            archive = Path(folder) / "image.tar"
            with replacing(archive) as out:
                write(out)
            done = self.runner.run(Command((self.path, *self.words, str(archive)), Path(folder), self.environment))
        if done.returncode:
            raise NotLoaded(
                f"{self.name}: loading the image failed: {done.words[:500]}",
                hint="write it with `wherry save --format docker -o FILE IMAGE`, then try "
                f"`{self.name} {' '.join(self.words)} FILE`",
            )

    def save(self, name: str, archive: Path) -> None:
        """See `Daemon.save`."""
        done = self.runner.run(Command((self.path, *self.saving, str(archive), name), archive.parent, self.environment))
        if done.returncode:
            raise NotFound(
                f"docker-daemon:{name}: {self.name}: {done.words[:500]}",
                hint=f"`{self.name} images` lists those it has",
            )


def find_daemon(runner: Runner, environment: Mapping[str, str], docker_folder: Path) -> Daemon:
    """Find the first that is there; where DOCKER_HOST or a context names one, only that.

    Raises:
        NoDaemon: there is none; the message names the places that were checked.
    """
    place = endpoint(environment, docker_folder)
    problems: list[NoDaemon] = []
    for one in (place,) if place.named else (place, *_podmans(environment)):
        try:
            return ByApi(engine_at(one))
        except NoDaemon as error:
            problems.append(error)
    if place.named:
        raise problems[0]
    for program in _PROGRAMS:
        if path := which(program.name, environment.get("PATH", "")):
            try:
                return _by_program(program, path, runner, environment)
            except NoDaemon as error:
                problems.append(error)
    raise NoDaemon(
        "no Docker, Podman or containerd found: " + "; ".join(problem.message for problem in problems),
        hint=next(
            (problem.hint for problem in problems if isinstance(problem, Forbidden)),
            "start one, or write an archive: --output type=docker,dest=FILE",
        ),
    )


def local_engines(environment: Mapping[str, str], docker_folder: Path) -> Iterator[DockerEngine]:
    """Give the engines with Docker's API that answer on this machine, rootless ones too."""
    place = endpoint(environment, docker_folder)
    folder = environment.get("XDG_RUNTIME_DIR")
    rootless = [Endpoint(f"unix://{folder}/docker.sock")] if folder and (Path(folder) / "docker.sock").exists() else []
    for one in (place, *rootless, *_podmans(environment)):
        if one.host.startswith("unix://"):
            with suppress(NoDaemon):
                yield engine_at(one)


def _podmans(environment: Mapping[str, str]) -> Iterator[Endpoint]:
    for folder in (environment.get("XDG_RUNTIME_DIR"), "/run"):
        if folder and (Path(folder) / "podman/podman.sock").exists():
            yield Endpoint(f"unix://{folder}/podman/podman.sock")


def _by_program(program: _Program, path: str, runner: Runner, environment: Mapping[str, str]) -> ByProgram:
    # The others work without a daemon, or say at once that there is none; ctr waits ten seconds for one.
    if program.name == "ctr":
        _knock(environment.get("CONTAINERD_ADDRESS") or CONTAINERD)
    return ByProgram(
        program.name, path, program.words, program.saving, runner, environment, keeps_indexes=program.keeps_indexes
    )


def _knock(address: str) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as caller:
        caller.settimeout(_PATIENCE)
        try:
            caller.connect(address.removeprefix("unix://"))
        except PermissionError as error:
            raise forbidden(address) from error
        except OSError as error:
            raise NoDaemon(
                f"{address}: cannot connect to containerd: {error.strerror or error}", hint="start it"
            ) from error
