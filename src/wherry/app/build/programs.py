"""Which programs a command line means: folders, services of wherry.toml, published packages."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.build.ko import options_for
from wherry.app.places import TOML, toml_folder
from wherry.app.published import OFFLINE, find_published, names_published
from wherry.app.session import Session
from wherry.counted import counted
from wherry.errors import InvalidUsage, NotFound
from wherry.settings.budgets import Budgets
from wherry.settings.ko_yaml import FILE as KO_YAML
from wherry.settings.options import BuildOptions
from wherry.settings.prove import ProveSettings
from wherry.source.import_paths import is_import_path
from wherry.source.module import MainPackage, NoMainPackage, find_main, main_packages, package_names

if TYPE_CHECKING:
    from wherry.settings.base_table import BaseTable
    from wherry.settings.wherry_toml import Settings

SCHEME = "ko://"
"""What ko writes before an import path."""


@dataclass(frozen=True, slots=True)
class ChosenProgram:
    """A program, and what files say of its image."""

    package: MainPackage
    options: BuildOptions
    folder: Path
    """Where paths in wherry.toml start."""
    service: str = ""
    """Of wherry.toml; empty where none is meant."""
    budgets: Budgets = field(default_factory=Budgets)
    prove: ProveSettings = field(default_factory=ProveSettings)
    modules: str = ""
    """What `[trust] modules` asks for."""
    file: str = ""
    """The file that the options are from, as the user knows it; empty where there is none."""
    declared: "BaseTable | None" = None
    """The base that the file declares."""


def chosen_of(
    session: Session, paths: Sequence[str], *, offline: bool, profile: tuple[str, ...] | None = None
) -> Iterator[ChosenProgram]:
    """Find the programs that a command line names; without a name the services of wherry.toml, or the one here.

    Args:
        session: where.
        paths: the names.
        offline: whether nothing is asked of a network.
        profile: the one that the command line asks for; None: as wherry.toml says.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: with what to write instead.
    """
    folder = toml_folder(session.cwd, paths)
    if folder is None:
        told: dict[str, None] = {}
        for path in paths or _here(session.cwd):
            package = find_program(session, session.cwd, path, offline=offline)
            before = tuple(told)
            options = options_for(session, package, told.setdefault)
            yield ChosenProgram(package, options, session.cwd, file=KO_YAML)
            for line in (line for line in told if line not in before):
                session.note(f"warning: {line}")
        return
    from wherry.settings.wherry_toml import Settings

    file = folder / TOML
    name = os.path.relpath(file, session.cwd)
    settings = Settings.parse(file.read_text(errors="replace"), name)
    for path in paths or tuple(settings.services) or _here(session.cwd):
        if path in settings.services and not (session.cwd / path / "go.mod").exists():
            options = settings.resolve(path, profile)
            package = find_program(session, folder, options.package or ".", offline=offline)
            yield replace(_of_service(settings, package, folder, path, profile), file=name)
            continue
        package = find_program(session, session.cwd, path, offline=offline)
        names = settings.services_of(
            package.import_path if package.dependency else os.path.relpath(package.folder, os.path.realpath(folder)),
            package.import_path,
        )
        yield from (replace(_of_service(settings, package, folder, one, profile), file=name) for one in names)
        if not names:
            options = settings.options(profile=profile)
            budgets = settings.budgets_of("", options.profile if profile is None else profile)
            whole = ChosenProgram(package, options, folder, budgets=budgets, prove=settings.prove)
            whole = replace(whole, modules=settings.trust.modules, declared=settings.declared)
            yield replace(whole, file=name)


def _of_service(
    settings: "Settings", package: MainPackage, folder: Path, name: str, profile: tuple[str, ...] | None
) -> ChosenProgram:
    options = settings.resolve(name, profile)
    budgets = settings.budgets_of(name, options.profile if profile is None else profile)
    return ChosenProgram(
        package, options, folder, name, budgets, settings.prove_of(name), settings.trust.modules,
        declared=settings.declared,
    )  # fmt: skip


def _here(folder: Path) -> tuple[str, ...]:
    """Name the main package of a folder; of a workspace without one there, those of all its modules.

    Raises:
        NotFound: the modules of the workspace have none.
    """
    from wherry.source.import_paths import workspace_modules

    modules = workspace_modules(folder)
    if not modules or "main" in package_names(folder):
        return (".",)
    found = [main for module in modules for main in main_packages(module)]
    if not found:
        raise NotFound(
            f"go.work: no main package in its {counted(len(modules), 'module')}",
            hint="a main package starts with `package main`",
        )
    raise NoMainPackage(
        f"go.work: {len(found)} main packages in its modules, and none in this directory",
        hint="choose from: " + ", ".join(f"./{os.path.relpath(main, folder)}" for main in found),
    )


def find_program(session: Session, start: Path, path: str, *, offline: bool) -> MainPackage:
    """Find the program that a folder, an import path or PACKAGE@VERSION names.

    Raises:
        InvalidUsage, NotFound: it is none; with what to write instead.
    """
    named = path.removeprefix(SCHEME)
    if "://" in named:
        raise InvalidUsage(
            f"{path}: cannot build a URL",
            hint="give a directory such as ./cmd/api, an import path, or PACKAGE@VERSION",
        )
    if names_published(start, named):
        return find_published(session, named, offline=offline)
    if not is_import_path(named):
        return _in_folder(start, named)
    if path.startswith(SCHEME):
        return _imported(session, start, named, offline=offline)
    if not path.endswith(".go") and not (start / path).exists():
        try:
            return _imported(session, start, path, offline=offline)
        except NotFound:
            if "." in path.partition("/")[0]:
                raise
    return _in_folder(start, path)


def _in_folder(start: Path, path: str) -> MainPackage:
    """Find the program of a folder; messages name it as it was written."""
    if path.endswith(".go") and (start / path).is_file():
        folder = os.path.dirname(path) or "."  # noqa: PTH120 - `./cmd` has to stay `./cmd`
        raise InvalidUsage(f"{path}: is a file, and a main package is a directory", hint=f"wherry build {folder}")
    try:
        return find_main(start / path)
    except NoMainPackage as error:
        raise NoMainPackage(error.message.replace(str(start / path), path), hint=error.hint) from error
    except NotFound as error:
        raise NotFound(error.message.replace(str(start / path), path), hint=error.hint) from error


def _imported(session: Session, start: Path, import_path: str, *, offline: bool) -> MainPackage:
    """Find a program by its import path."""
    from wherry.source.import_paths import find_by_import_path

    environment = {**session.environment, **(OFFLINE if offline else {})}
    return find_by_import_path(import_path, start, session.runner, environment)


def door_of(session: Session, first: ChosenProgram, *, asked: bool) -> str:
    """Say which front end was chosen, and why."""
    if release := first.package.release:
        return f"{release.version}{f' ({release.query})' * (release.query != release.version)}, as published"
    if other := first.package.dependency:
        return f"Go module: {first.package.import_path} of {other.module}{'@' * bool(other.version)}{other.version}"
    if asked:
        return "Go module, because of --go"
    if first.options.front_door:
        return "Go module, because of wherry.toml"
    if any((folder / "Dockerfile").is_file() for folder in (first.package.folder, session.cwd)):
        return "Go module: main package found (the Dockerfile next to it is ignored)"
    return "Go module: main package found"
