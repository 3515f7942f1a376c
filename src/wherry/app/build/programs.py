"""Which programs a command line means: folders, services of wherry.toml, published packages."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wherry.app.build.ko import options_for
from wherry.app.places import TOML, toml_folder
from wherry.app.published import find_published, names_published
from wherry.app.session import Session
from wherry.errors import InvalidUsage, NotFound
from wherry.settings.budgets import Budgets
from wherry.settings.options import BuildOptions
from wherry.source.module import MainPackage, NoMainPackage, find_main


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


def chosen_of(session: Session, paths: Sequence[str], *, offline: bool) -> Iterator[ChosenProgram]:
    """Find the programs that a command line names; without a name the services of wherry.toml, or the one here.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: with what to write instead.
    """
    folder = toml_folder(session.cwd, paths)
    if folder is None:
        for path in paths or (".",):
            package = _main(session, session.cwd, path, offline=offline)
            yield ChosenProgram(package, options_for(session, package), session.cwd)
        return
    from wherry.settings.wherry_toml import Settings

    file = folder / TOML
    settings = Settings.parse(file.read_text(errors="replace"), os.path.relpath(file, session.cwd))
    for path in paths or tuple(settings.services) or (".",):
        if path in settings.services and not (session.cwd / path / "go.mod").exists():
            options = settings.resolve(path)
            package = _main(session, folder, options.package or ".", offline=offline)
            yield ChosenProgram(package, options, folder, path, settings.budgets_of(path))
            continue
        package = _main(session, session.cwd, path, offline=offline)
        names = settings.services_of(os.path.relpath(package.folder, os.path.realpath(folder)))
        yield from (
            ChosenProgram(package, settings.resolve(name), folder, name, settings.budgets_of(name)) for name in names
        )
        if not names:
            yield ChosenProgram(package, settings.build, folder, budgets=settings.budgets)


def _main(session: Session, start: Path, path: str, *, offline: bool) -> MainPackage:
    if "://" in path:
        raise InvalidUsage(f"{path}: cannot build a URL", hint="give a directory such as ./cmd/api, or PACKAGE@VERSION")
    if names_published(start, path):
        return find_published(session, path, offline=offline)
    try:
        return find_main(start / path)
    except NoMainPackage as error:
        raise NoMainPackage(error.message.replace(str(start / path), path), hint=error.hint) from error
    except NotFound as error:
        raise NotFound(error.message.replace(str(start / path), path), hint=error.hint) from error


def door_of(session: Session, first: ChosenProgram, *, asked: bool) -> str:
    """Say which front end was chosen, and why."""
    if release := first.package.release:
        return f"{release.version}{f' ({release.query})' * (release.query != release.version)}, as published"
    if asked:
        return "Go module, because of --go"
    if first.options.front_door:
        return "Go module, because of wherry.toml"
    if any((folder / "Dockerfile").is_file() for folder in (first.package.folder, session.cwd)):
        return "Go module: main package found (the Dockerfile next to it is ignored)"
    return "Go module: main package found"
