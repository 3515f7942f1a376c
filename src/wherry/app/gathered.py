"""What a build elsewhere is told, and what it is given: options that travel, files as entries of layers, a checkout."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec

from wherry.app.build.options import CommonOptions, DockerfileBuild, GoBuild
from wherry.errors import InvalidUsage
from wherry.layer.entry import Entry, EntryKind, FileContent, sort_entries, with_parents
from wherry.platform import Platform

STAYS = frozenset({
    "tags", "platforms", "outputs", "metadata_file", "iidfile", "push", "image_refs", "tag_only", "jobs", "load",
    "budgets", "prove", "sbom", "provenance", "attach", "against", "size_record", "debug_info", "repo", "style",
    "local", "cache_from", "cache_to", "secrets", "agents", "debug_shell", "check", "build_contexts",
})  # fmt: skip
"""Options that are for who asks, or that the recipe has in fields of its own."""
OUTPUT = "output"
"""The key of options that has what `output_fields` gives."""
_LOCAL = {
    "debug_info": "--debug-info", "size_record": "--size-record", "prove": "--prove", "secrets": "--secret",
    "agents": "--ssh", "debug_shell": "--debug-shell", "check": "--check", "load": "--load",
}  # fmt: skip
"""Options that need what only this machine has."""
_GO_VARIABLES = ("GO", "CGO_", "KO_")
_OWN_VARIABLES = frozenset({
    "GOPATH", "GOROOT", "GOBIN", "GOCACHE", "GOMODCACHE", "GOTMPDIR", "GOENV", "GOPROXY", "GOWORK", "GOTELEMETRYDIR",
    "GOPATH_BACKUP", "GOOGLE_APPLICATION_CREDENTIALS", "GOCACHEPROG", "GOAUTH", "KO_DOCKER_REPO",
})  # fmt: skip
"""Variables with a Go-like name that say where something is on this machine, or who its user is."""
_KEPT = ("GOFLAGS", "GOEXPERIMENT", "GOTOOLCHAIN", "GOPRIVATE", "GONOSUMDB", "GONOPROXY", "GOSUMDB", "GOINSECURE")
"""What `go env -w` may have kept besides levels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteBuild:
    """One image that is to be built elsewhere."""

    name: str
    """What it is called among the others of a call."""
    wanted: GoBuild | DockerfileBuild
    """Asks for one image."""
    repository: str
    """Where its platforms are pushed to, as those who build it name it: `REGISTRY/PATH`."""
    platforms: tuple[Platform, ...]
    copies: int = 1
    """2: each platform is built twice, for a comparison."""
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    """References in registries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheredCheckout:
    """What git knows of a context; see `source/git_facts.py`."""

    folder: Path
    """The repository, to be packed."""
    path: str
    """Where in the context its checkout is."""
    linked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheredBuild:
    """A build, and all that it reads."""

    build: RemoteBuild
    options: Mapping[str, Any]
    contexts: tuple[tuple[Entry, ...], ...]
    """Each in order, ready to be packed; the first is the one it is built in."""
    folder: str = ""
    named: Mapping[str, int] = field(default_factory=dict)
    """Numbers of named contexts in `contexts`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    checkout: GatheredCheckout | None = None


def check_can_travel(wanted: CommonOptions) -> None:
    """Refuse options that need what only this machine has.

    Raises:
        InvalidUsage: there is one.
    """
    found = [words for name, words in _LOCAL.items() if getattr(wanted, name, None)]
    if found:
        raise InvalidUsage(
            f"{found[0]} works on this machine only, and the image would be built elsewhere",
            hint=f"remove {found[0]}, or build without --on",
        )


def travelling(wanted: CommonOptions) -> dict[str, Any]:
    """Write the options that travel as plain JSON; those with their default value are left out."""
    default = type(wanted)()
    given = {
        one.name: getattr(wanted, one.name)
        for one in fields(wanted)
        if one.name not in STAYS and getattr(wanted, one.name) != getattr(default, one.name)
    }
    plain: dict[str, Any] = msgspec.to_builtins(given)
    output = output_fields(wanted)
    return {**plain, OUTPUT: output} if output else plain


def output_fields(wanted: CommonOptions, *, rewrite_timestamp: bool = False) -> dict[str, Any]:
    """Give what outputs say of the image itself, and not of where it goes."""
    rewrite = rewrite_timestamp or any(one.rewrite_timestamp for one in wanted.outputs)
    compression = next((one.compression for one in wanted.outputs if one.compression is not None), None)
    level = next((one.compression_level for one in wanted.outputs if one.compression_level is not None), None)
    found = {"rewrite_timestamp": rewrite or None, "compression": compression, "compression_level": level}
    return {name: value for name, value in found.items() if value is not None}


def go_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Choose the variables that decide what Go and ko's settings make of sources."""
    from wherry.host.toolchain import kept_settings
    from wherry.platform import LEVELS

    every = {**kept_settings(environment, (*LEVELS, *_KEPT)), **environment}
    return {
        name: value
        for name, value in sorted(every.items())
        if name.startswith(_GO_VARIABLES) and name not in _OWN_VARIABLES and value
    }


def relative(path: str | Path, folder: Path) -> str:
    """Write a path as it is named from a folder."""
    return os.path.relpath(os.path.realpath(path), os.path.realpath(folder))


def common_folder(paths: Iterable[Path]) -> Path:
    """Give the lowest folder that all of some folders are in."""
    return Path(os.path.commonpath([os.path.realpath(path) for path in paths]))


def file_entries(files: Mapping[str, Path], *, exact: bool) -> tuple[Entry, ...]:
    """Make entries of files and links, with the folders that they are in.

    Args:
        files: by the path that each is to have.
        exact: keep modes and times; else a mode only says whether a file can be executed, and there are no times.
    """
    found = [entry for path, file in files.items() if (entry := _entry(path, file, exact=exact)) is not None]
    return tuple(sort_entries(with_parents(found)))


def _entry(path: str, file: Path, *, exact: bool) -> Entry | None:
    import stat

    link = exact or file.is_dir()
    status = file.lstat() if link else file.stat()
    mtime = int(status.st_mtime) if exact else 0
    if stat.S_ISLNK(status.st_mode):
        return Entry(path, EntryKind.SYMLINK, 0o777, mtime=mtime, target=os.readlink(file))  # noqa: PTH115 - as it is written
    mode = stat.S_IMODE(status.st_mode) if exact else 0o755 if status.st_mode & 0o111 else 0o644
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, EntryKind.FOLDER, mode, mtime=mtime)
    if not stat.S_ISREG(status.st_mode):
        return None
    return Entry(path, EntryKind.FILE, mode, mtime=mtime, size=status.st_size, content=FileContent(file))


def relative_path(path: Path, folder: Path) -> str:
    """Write a path from a folder, links in it kept."""
    return os.path.relpath(path, folder)


def relative_inside(path: Path, top: Path) -> str:
    """Write where something is below a folder; empty for the folder itself. Links of its last part are kept."""
    real = Path(os.path.realpath(path.parent)) / path.name
    found = os.path.relpath(real, top)
    return "" if found == "." else found
