"""What a build reads of this machine, for a build elsewhere: its options, its files as entries of layers, its checkout.

The options are the caller's with paths that hold in the layers; wherry.toml travels as a file and is read there.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from wherry.app.build.options import GoBuild, check_conflicts
from wherry.app.build_dockerfile_context import of_dockerfile
from wherry.app.gathered import (
    GatheredBuild,
    GatheredCheckout,
    RemoteBuild,
    check_can_travel,
    common_folder,
    file_entries,
    go_variables,
    relative,
    relative_inside,
    relative_path,
    travelling,
)
from wherry.app.session import Session
from wherry.layer.entry import Entry, EntryKind, FileContent, sort_entries

if TYPE_CHECKING:
    from wherry.app.build.go_work import GoRequest
    from wherry.app.build.programs import ChosenProgram
    from wherry.source.module import MainPackage
    from wherry.source.vcs import Vcs


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
    return of_dockerfile(session, build, build.wanted, stack, stdin)


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

    def gathered(self, chosen: "ChosenProgram", request: "GoRequest") -> GatheredBuild:
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

    def _has_settings(self, chosen: "ChosenProgram") -> bool:
        from wherry.app.places import TOML

        return (chosen.folder / TOML).is_file()

    def _checkout(self, package: "MainPackage") -> "Vcs | None":
        from wherry.source.vcs import Vcs, read_vcs

        found = read_vcs(package.module, self._session.runner, self._session.environment)
        return found if isinstance(found, Vcs) and found.revision else None

    def _packed(self, checkout: "Vcs", top: Path) -> GatheredCheckout:
        from tempfile import mkdtemp

        from wherry.source.git_facts import write_facts

        self._session.cache_folder.mkdir(parents=True, exist_ok=True)
        place = Path(mkdtemp(prefix="checkout-", dir=self._session.cache_folder))
        self._stack.callback(_remove, place)
        write_facts(checkout, place / "git", self._session.runner, self._session.environment)
        return GatheredCheckout(folder=place / "git", path=relative_inside(checkout.root, top), linked=checkout.linked)

    def _files(
        self, modules: tuple[Path, ...], workspace: Path | None, here: Path, package: "MainPackage"
    ) -> Iterator[Path]:
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

    def _options(self, here: Path, chosen: "ChosenProgram", package: "MainPackage") -> dict[str, Any]:
        wanted = self._wanted
        named = chosen.service or (wanted.packages[0] if package.release or package.dependency else "")
        added = tuple(replace(one, file=relative_path(self._session.cwd / one.file, here)) for one in wanted.add or ())
        certificates = tuple(relative(self._session.cwd / one, here) for one in wanted.ca or ())
        return travelling(
            replace(
                wanted,
                packages=(named or f"./{relative(package.folder, here)}",),
                ca=certificates or wanted.ca,
                add=added or wanted.add,
            )
        )


def _with_mode(path: str, file: Path) -> Entry:
    """Make the entry of a file that an image gets: its mode counts."""
    status = file.stat()
    return Entry(path, EntryKind.FILE, status.st_mode & 0o777, size=status.st_size, content=FileContent(file))


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
