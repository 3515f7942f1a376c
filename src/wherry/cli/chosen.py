"""Which programs a command line means: folders, services of wherry.toml, published packages."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wherry.app.places import TOML, toml_folder
from wherry.app.published import find_published, names_published
from wherry.cli.ko import options_for
from wherry.cli.world import World
from wherry.errors import InvalidUsage, NotFound
from wherry.settings.budgets import Budgets
from wherry.settings.options import BuildOptions
from wherry.source.module import MainPackage, NoMainPackage, find_main


@dataclass(frozen=True, slots=True)
class Chosen:
    """A program, and what files say of its image."""

    package: MainPackage
    options: BuildOptions
    folder: Path
    """Where paths in wherry.toml start."""
    service: str = ""
    """Of wherry.toml; empty where none is meant."""
    budgets: Budgets = field(default_factory=Budgets)


def chosen_of(world: World, paths: Sequence[str], *, offline: bool) -> Iterator[Chosen]:
    """Find the programs that a command line names; without a name the services of wherry.toml, or the one here.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: with what to write instead.
    """
    folder = toml_folder(world.cwd, paths)
    if folder is None:
        for path in paths or (".",):
            package = _main(world, world.cwd, path, offline=offline)
            yield Chosen(package, options_for(world, package), world.cwd)
        return
    from wherry.settings.wherry_toml import Settings

    file = folder / TOML
    settings = Settings.parse(file.read_text(errors="replace"), os.path.relpath(file, world.cwd))
    for path in paths or tuple(settings.services) or (".",):
        if path in settings.services and not (world.cwd / path / "go.mod").exists():
            options = settings.resolve(path)
            package = _main(world, folder, options.package or ".", offline=offline)
            yield Chosen(package, options, folder, path, settings.budgets_of(path))
            continue
        package = _main(world, world.cwd, path, offline=offline)
        names = settings.services_of(os.path.relpath(package.folder, os.path.realpath(folder)))
        yield from (Chosen(package, settings.resolve(name), folder, name, settings.budgets_of(name)) for name in names)
        if not names:
            yield Chosen(package, settings.build, folder, budgets=settings.budgets)


def _main(world: World, start: Path, path: str, *, offline: bool) -> MainPackage:
    if "://" in path:
        raise InvalidUsage(
            f"{path}: an address is not what is built", hint="give a folder such as ./cmd/api, or PACKAGE@VERSION"
        )
    if names_published(start, path):
        return find_published(world, path, offline=offline)
    try:
        return find_main(start / path)
    except NoMainPackage as error:
        raise NoMainPackage(error.message.replace(str(start / path), path), hint=error.hint) from error
    except NotFound as error:
        raise NotFound(error.message.replace(str(start / path), path), hint=error.hint) from error


def door_of(world: World, first: Chosen, *, asked: bool) -> str:
    """Say which front door was taken, and why."""
    if release := first.package.release:
        return f"{release.version}{f' ({release.query})' * (release.query != release.version)}, as published"
    if asked:
        return "Go module, as --go says"
    if first.options.front_door:
        return "Go module, as wherry.toml says"
    if any((folder / "Dockerfile").is_file() for folder in (first.package.folder, world.cwd)):
        return "Go module: there is a main package (the Dockerfile beside it is not read)"
    return "Go module: there is a main package"
