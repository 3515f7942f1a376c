"""`wherry check`, carried out."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from wherry.analysis.size import BudgetCheck, Held
from wherry.cli.budget_gate import Budgeted, counted_from
from wherry.cli.budgets import judge, read_figures, reference_of, weigh
from wherry.cli.chosen import TOML, toml_folder
from wherry.cli.published import default_name
from wherry.cli.world import World
from wherry.errors import NotFound, WherryError
from wherry.oci.reference import Reference
from wherry.settings.wherry_toml import Settings
from wherry.source.module import find_main
from wherry.store.files import replacing


@dataclass(frozen=True, slots=True)
class _Asked:
    """An image to check."""

    image: str
    name: str
    """Where it is looked for; a service's only in the local store."""
    budgeted: Budgeted


def check(world: World, options: Mapping[str, Any]) -> int:
    """Carry `wherry check` out.

    Raises:
        NotFound: there is no wherry.toml, no such service or image.
        CannotTell, InvalidUsage: a budget can't be judged.
    """
    folder = toml_folder(world.cwd, ())
    if folder is None:
        raise NotFound(
            "no wherry.toml here or above, up to go.mod", hint="write one with a table [budgets], or `wherry init`"
        )
    file = folder / TOML
    settings = Settings.parse(file.read_text(errors="replace"), os.path.relpath(file, world.cwd))
    asked = list(_asked(world, settings, folder, options["names"]))
    budgeted = counted_from((one.budgeted for one in asked), options["against"], world.cwd)
    asked = [replace(one, budgeted=other) for one, other in zip(asked, budgeted, strict=True)]
    writes = options["figures"] is not None
    found: list[BudgetCheck] = []
    for one in asked:
        budgets = replace(one.budgeted.budgets, growth={}) if writes else one.budgeted.budgets
        if budgets:
            reference = reference_of(world, replace(one.budgeted, budgets=budgets))
            found += judge(world, one.name, one.image, budgets, reference)
    _say(world, found, asked, options)
    if writes:
        named = settings.budgets.against if settings.budgets.against.endswith(".json") else "figures.json"
        _write_figures(world, asked, world.cwd / options["figures"] if options["figures"] else folder / named)
    return 0 if all(one.ok for one in found) else 1


def _asked(world: World, settings: Settings, folder: Path, names: Sequence[str]) -> Iterator[_Asked]:
    tags = {service: _tags(settings, service, folder) for service in settings.services}
    services = {tag: service for service, several in tags.items() for tag in several}
    if not names and not tags:
        raise NotFound(f"{TOML} has no service", hint="name an image, or add a table [services.NAME]")
    for name in names or tags:
        service = name if name in tags else services.get(_tagged(name), "")
        image = tags[name][0] if name in tags else name
        place = f"store:{image}" if service else image
        _there(world, place, service)
        yield _Asked(image, place, Budgeted(service or image, settings.budgets_of(service), folder))


def _tags(settings: Settings, service: str, folder: Path) -> tuple[str, ...]:
    options = settings.resolve(service)
    names = options.tags or (default_name(find_main(folder / (options.package or "."))),)
    return tuple(str(Reference.parse(name)) for name in names)


def _tagged(name: str) -> str:
    """Write a name as the store does, where it is one."""
    with suppress(WherryError):
        return str(Reference.parse(name))
    return name


def _there(world: World, name: str, service: str) -> None:
    """Refuse the image of a service that was not built, with what builds it."""
    from wherry.cli.places import find

    try:
        find(world, name)
    except NotFound as error:
        if not service:
            raise
        raise NotFound(
            f"{name.removeprefix('store:')}: not in the local store", hint=f"`wherry build {service}` builds it"
        ) from error


def _say(world: World, found: Sequence[BudgetCheck], asked: Sequence[_Asked], options: Mapping[str, Any]) -> None:
    from wherry.report.budgets import lines_of

    if options["as_json"]:
        world.say(msgspec.json.encode(Held(budgets=tuple(found))).decode())
        return
    for line in lines_of(found):
        world.say(line)
    for one in asked:
        if not one.budgeted.budgets:
            world.note(f"{one.image} has no budgets; add some to [budgets] of {TOML}")


def _write_figures(world: World, asked: Sequence[_Asked], place: Path) -> None:
    """Write the figures of what was checked; those of other images stay."""
    from wherry.analysis.figures import FiguresDocument

    before = read_figures(place, place.name) if place.exists() else FiguresDocument()
    images = {
        one.budgeted.key: {row.platform: row.figures() for row in weigh(world, one.name, one.image, programs=True)}
        for one in asked
    }
    with replacing(place) as file:
        file.write(before.with_images(images).encoded())
    world.note(f"wrote the figures of {', '.join(images)} to {os.path.relpath(place, world.cwd)}")
