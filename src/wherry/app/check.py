"""Images held to the budgets of wherry.toml."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from wherry.analysis.size import BudgetCheck
from wherry.app.budget_gate import Budgeted, counted_from
from wherry.app.budgets import judge, read_figures, reference_of, weigh
from wherry.app.build.programs import find_program
from wherry.app.places import TOML, toml_folder
from wherry.app.published import default_name
from wherry.app.session import Session
from wherry.errors import NotFound, WherryError
from wherry.oci.reference import Reference
from wherry.settings.wherry_toml import Settings
from wherry.store.files import replacing


@dataclass(frozen=True, slots=True)
class _Asked:
    """An image to check."""

    image: str
    name: str
    """Where it is looked for; a service's only in the local store."""
    budgeted: Budgeted


@dataclass(frozen=True, slots=True)
class Checked:
    """Images held to their budgets."""

    budgets: tuple[BudgetCheck, ...]
    """Each budget, with what was measured."""
    free: tuple[str, ...]
    """Images that have no budgets."""
    figures: Path | None = None
    """The file that was written, if one was asked for."""
    measured: tuple[str, ...] = ()
    """Services or images with figures in it."""

    @property
    def ok(self) -> bool:
        """Whether all budgets hold."""
        return all(one.ok for one in self.budgets)


def check(
    session: Session,
    names: Sequence[str] = (),
    *,
    against: str | None = None,
    figures: str | None = None,
) -> Checked:
    """Hold images to the budgets of wherry.toml.

    Args:
        session: its folder, or one above, has the wherry.toml.
        names: services or images; empty: every service.
        against: an image or a figures file that growth is counted from, in place of what wherry.toml says.
        figures: a file to write the figures of these images to, for growth to be counted from; growth is not judged
            then. Empty: the one of wherry.toml; None: none is written.

    Raises:
        NotFound: there is no wherry.toml, no such service or image.
        CannotTell, InvalidUsage: a budget can't be judged.
    """
    folder = toml_folder(session.cwd, ())
    if folder is None:
        raise NotFound(
            "no wherry.toml in this directory or above, up to go.mod",
            hint="add one with a table [budgets], or run `wherry init`",
        )
    file = folder / TOML
    settings = Settings.parse(file.read_text(errors="replace"), os.path.relpath(file, session.cwd))
    asked = list(_asked(session, settings, folder, names))
    budgeted = counted_from((one.budgeted for one in asked), against, session.cwd)
    asked = [replace(one, budgeted=other) for one, other in zip(asked, budgeted, strict=True)]
    found: list[BudgetCheck] = []
    for one in asked:
        budgets = one.budgeted.budgets if figures is None else replace(one.budgeted.budgets, growth={})
        if budgets:
            reference = reference_of(session, replace(one.budgeted, budgets=budgets))
            found += judge(session, one.name, one.image, budgets, reference)
    free = tuple(one.image for one in asked if not one.budgeted.budgets)
    if figures is None:
        return Checked(tuple(found), free)
    named = settings.budgets.against if settings.budgets.against.endswith(".json") else "figures.json"
    place = session.cwd / figures if figures else folder / named
    return Checked(tuple(found), free, place, tuple(_write_figures(session, asked, place)))


def _asked(session: Session, settings: Settings, folder: Path, names: Sequence[str]) -> Iterator[_Asked]:
    tags = {service: _tags(session, settings, service, folder) for service in settings.services}
    services = {tag: service for service, several in tags.items() for tag in several}
    if not names and not tags:
        raise NotFound(f"{TOML} has no service", hint="give an image, or add a table [services.NAME]")
    for name in names or tags:
        service = name if name in tags else services.get(_tagged(name), "")
        image = tags[name][0] if name in tags else name
        place = f"store:{image}" if service else image
        _there(session, place, service)
        budgets = settings.budgets_of(service, _profile_of(session, place))
        yield _Asked(image, place, Budgeted(service or image, budgets, folder))


def _profile_of(session: Session, place: str) -> tuple[str, ...]:
    """Give the profile that an image was built with, by its recipe; empty where there is none."""
    from wherry.app.images import recipe_of
    from wherry.app.places import find
    from wherry.settings.profile import PROFILES
    from wherry.store.images import images_of

    found = find(session, place)
    image = next(iter(images_of(found.source, found.root)), None)
    go = recipe_of(image).get("go") if image else None
    words = str(go.get("profile", "")).split(",") if isinstance(go, dict) else []
    return tuple(word for word in PROFILES if word in words)


def _tags(session: Session, settings: Settings, service: str, folder: Path) -> tuple[str, ...]:
    options = settings.resolve(service)
    names = options.tags or (default_name(find_program(session, folder, options.package or ".", offline=False)),)
    return tuple(str(Reference.parse(name)) for name in names)


def _tagged(name: str) -> str:
    """Write a name as the store does, where it is one."""
    with suppress(WherryError):
        return str(Reference.parse(name))
    return name


def _there(session: Session, name: str, service: str) -> None:
    """Refuse the image of a service that was not built, with what builds it."""
    from wherry.app.places import find

    try:
        find(session, name)
    except NotFound as error:
        if not service:
            raise
        raise NotFound(
            f"{name.removeprefix('store:')}: not in the local store", hint=f"build it with `wherry build {service}`"
        ) from error


def _write_figures(session: Session, asked: Sequence[_Asked], place: Path) -> Iterable[str]:
    """Write the figures of what was checked, and name it; those of other images stay."""
    from wherry.analysis.figures import FiguresDocument

    before = read_figures(place, place.name) if place.exists() else FiguresDocument()
    images = {
        one.budgeted.key: {row.platform: row.figures() for row in weigh(session, one.name, one.image, programs=True)}
        for one in asked
    }
    with replacing(place) as file:
        file.write(before.with_images(images).encoded())
    return images
