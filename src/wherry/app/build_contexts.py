"""What a build reads of this machine, for a build elsewhere: its options, its files as entries of layers, its checkout.

The options are the caller's with paths that hold in the layers; wherry.toml travels as a file and is read there.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import IO, Any

import msgspec

from wherry.app.build.options import CommonOptions, DockerfileBuild, GoBuild, check_conflicts
from wherry.app.session import Session
from wherry.errors import InvalidUsage
from wherry.layer.entry import Entry, EntryKind, FileContent, sort_entries, with_parents
from wherry.platform import Platform

STAYS = frozenset({
    "tags", "platforms", "outputs", "metadata_file", "iidfile", "push", "image_refs", "tag_only", "jobs", "load",
    "prove", "sbom", "provenance", "attach", "against", "size_record", "debug_info", "repo", "style", "local",
    "cache_from", "cache_to", "secrets", "agents", "debug_shell", "check", "build_contexts",
})  # fmt: skip
"""Options that are for who asks, or that the recipe has in fields of its own."""
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


def gather(
    session: Session, build: RemoteBuild, stack: ExitStack, stdin: "Callable[[], IO[bytes]] | None" = None
) -> GatheredBuild:
    """Find out what a build reads.

    Args:
        session: where.
        build: which.
        stack: what is made for it is deleted with that.
        stdin: opens standard input; None: it is refused.

    Raises:
        InvalidUsage, InvalidSettings, NotFound, DockerfileError: with what to write instead.
    """
    check_conflicts(build.wanted)
    check_can_travel(build.wanted)
    if isinstance(build.wanted, GoBuild):
        return _of_go(session, build, build.wanted, stack)
    from wherry.app.build_dockerfile_context import of_dockerfile

    return of_dockerfile(session, build, build.wanted, stack, stdin)


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
    return plain


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


def _of_go(session: Session, build: RemoteBuild, wanted: GoBuild, stack: ExitStack) -> GatheredBuild:
    from wherry.app.build.go import go_call
    from wherry.app.build.go_work import GoRequests
    from wherry.app.build.programs import chosen_of

    alone = replace(
        wanted, platforms=build.platforms, tags=(f"{build.repository}:build",), push=True, repo="", style=""
    )
    request = go_call(session, alone).request
    assert isinstance(request, GoRequests)  # noqa: S101 - a call for Go makes no other
    chosen = tuple(chosen_of(session, wanted.packages, offline=wanted.offline, profile=wanted.profile))
    return _GoGatherer(session, build, wanted, stack).gathered(chosen[0], request.images[0])


class _GoGatherer:
    """Gathers what a build of one Go program reads."""

    def __init__(self, session: Session, build: RemoteBuild, wanted: GoBuild, stack: ExitStack) -> None:
        self._session, self._build, self._wanted, self._stack = session, build, wanted, stack
        self._environment = {**session.environment, **dict(wanted.go_env or ())}

    def gathered(self, chosen: Any, request: Any) -> GatheredBuild:
        """Give all of it."""
        from wherry.source.go_context import modules_read, workspace_of

        package = request.package
        here = Path(os.path.realpath(chosen.folder if self._has_settings(chosen) else self._session.cwd))
        workspace = workspace_of(package.folder, self._environment)
        modules = () if package.release else modules_read(package.module, workspace)
        named = [Path(one.source) for one in request.added]
        named += [chosen.folder / one for one in chosen.options.ca or ()]
        named += [self._session.cwd / one for one in self._wanted.ca or ()]
        checkout = self._checkout(package) if request.stamp and not package.release else None
        tops = [here, *modules, *(file.parent for file in named), *([workspace.parent] if workspace else ())]
        top = common_folder([*tops, *([checkout.root] if checkout else ())])
        files = {relative_inside(path, top): path for path in self._files(modules, workspace, here, package)}
        exact = {relative_inside(path, top): path for path in named}
        entries = {one.path: one for one in file_entries(files, exact=False)}
        entries |= {one.path: one for one in file_entries(exact, exact=False) if one.kind is not EntryKind.FILE}
        entries |= {path: _with_mode(path, file) for path, file in exact.items()}
        return GatheredBuild(
            build=self._build,
            options=self._options(here, chosen, package),
            contexts=(tuple(sort_entries(entries.values())),),
            folder=relative_inside(here, top),
            environment=go_variables(self._session.environment),
            checkout=self._packed(checkout, top) if checkout else None,
        )

    def _has_settings(self, chosen: Any) -> bool:
        from wherry.app.places import TOML

        return (chosen.folder / TOML).is_file()

    def _checkout(self, package: Any) -> Any:
        from wherry.source.vcs import Vcs, read_vcs

        found = read_vcs(package.module, self._session.runner, self._session.environment)
        return found if isinstance(found, Vcs) and found.revision else None

    def _packed(self, checkout: Any, top: Path) -> GatheredCheckout:
        from tempfile import mkdtemp

        from wherry.source.git_facts import write_facts

        self._session.cache_folder.mkdir(parents=True, exist_ok=True)
        place = Path(mkdtemp(prefix="checkout-", dir=self._session.cache_folder))
        self._stack.callback(_remove, place)
        write_facts(checkout, place / "git", self._session.runner, self._session.environment)
        return GatheredCheckout(folder=place / "git", path=relative_inside(checkout.root, top), linked=checkout.linked)

    def _files(self, modules: tuple[Path, ...], workspace: Path | None, here: Path, package: Any) -> Iterator[Path]:
        from wherry.build.compile import flag_inputs, words_of
        from wherry.source.go_context import SETTINGS, module_files

        yield from module_files(modules)
        more = [folder / name for folder in (here, package.module) for name in SETTINGS]
        if workspace:
            more += [workspace, workspace.with_name("go.work.sum"), workspace.parent / "vendor" / "modules.txt"]
            more += list(module_files([workspace.parent / "vendor"])) if (workspace.parent / "vendor").is_dir() else []
        goflags = words_of(self._environment.get("GOFLAGS", ""))
        more += [Path(path) for path, _ in flag_inputs(goflags, package.folder)]
        if config := self._environment.get("KO_CONFIG_PATH"):
            more += [self._session.cwd / config, self._session.cwd / config / ".ko.yaml"]
        yield from (path for path in more if path.is_file())

    def _options(self, here: Path, chosen: Any, package: Any) -> dict[str, Any]:
        wanted = self._wanted
        named = chosen.service or (wanted.packages[0] if package.release or package.dependency else "")
        moved = {
            "packages": (named or f"./{relative(package.folder, here)}",),
            "ca": tuple(relative(self._session.cwd / one, here) for one in wanted.ca) if wanted.ca else wanted.ca,
            "add": tuple(replace(one, file=relative_path(self._session.cwd / one.file, here)) for one in wanted.add)
            if wanted.add
            else wanted.add,
        }
        return travelling(replace(wanted, **moved))


def relative_path(path: Path, folder: Path) -> str:
    """Write a path from a folder, links in it kept."""
    return os.path.relpath(path, folder)


def relative_inside(path: Path, top: Path) -> str:
    """Write where something is below a folder; empty for the folder itself. Links of its last part are kept."""
    real = Path(os.path.realpath(path.parent)) / path.name
    found = os.path.relpath(real, top)
    return "" if found == "." else found


def _with_mode(path: str, file: Path) -> Entry:
    """Make the entry of a file that an image gets: its mode counts."""
    status = file.stat()
    return Entry(path, EntryKind.FILE, status.st_mode & 0o777, size=status.st_size, content=FileContent(file))


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
