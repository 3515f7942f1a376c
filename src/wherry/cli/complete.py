"""Shell completion of images, platforms, bases and outputs. Loads none of the modules that commands need."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from wherry.cli.world import World

_PLATFORMS = (
    "linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386", "linux/ppc64le", "linux/s390x",
    "linux/riscv64", "linux/loong64", "all",
)  # fmt: skip
_BASES = "static", "static-notz", "ultra-minimal", "scratch", "declared", "auto"


def images(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of the local store."""
    return [name for name in _names(_world(ctx)) if name.startswith(incomplete)]


def bases(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Offer embedded bases, then images."""
    return [name for name in (*_BASES, *_names(_world(ctx))) if name.startswith(incomplete)]


def platforms(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Complete platforms; after a comma, those not in the list yet."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{name}" for name in _PLATFORMS if name.startswith(last) and name not in taken]


def services(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Offer the services of wherry.toml, then folders."""
    folder = _world(ctx).cwd
    return [name for name in (*_services(folder), *_folders(folder, incomplete)) if name.startswith(incomplete)]


def topics(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Offer commands, then pages of the documentation."""
    from wherry.app.manual import groups
    from wherry.cli.main import COMMANDS

    names = (*COMMANDS, *(name for pages in groups().values() for name in pages))
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def outputs(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Offer the types of `--output`, then folders; after a comma, the type's keys that are not said yet."""
    from wherry.settings.outputs import KEYS, PUSHED, OutputType

    before, comma, last = incomplete.rpartition(",")
    if not comma:
        types = [f"type={kind}" for kind in (*OutputType, PUSHED)]
        return [name for name in (*types, *_folders(_world(ctx).cwd, incomplete)) if name.startswith(incomplete)]
    said = dict(field.partition("=")[::2] for field in before.split(","))
    kind = said.get("type", "")
    known = KEYS.get(OutputType.IMAGE if kind == PUSHED else kind, ())  # type: ignore[call-overload]  # a StrEnum is its text
    return [f"{before},{key}=" for key in known if key.startswith(last) and key not in said]


def files(_: click.Context, __: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Let the shell complete files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def _world(ctx: click.Context) -> "World":
    world: World = ctx.find_root().obj
    world.configure(store=ctx.find_root().params.get("store"), cache=None)
    return world


def _names(world: "World") -> Iterator[str]:
    from wherry.errors import WherryError
    from wherry.oci.reference import is_attachment

    try:
        tags = world.store.tags()
    except WherryError:
        return
    yield from (name for name, root in tags.items() if name != root.digest and not is_attachment(name))


def _services(folder: Path) -> Iterator[str]:
    import tomllib

    for place in (folder, *folder.parents):
        if (place / "wherry.toml").is_file():
            try:
                yield from tomllib.loads((place / "wherry.toml").read_text()).get("services", {})
            except (OSError, ValueError, TypeError):
                return
            return


def _folders(folder: Path, incomplete: str) -> Iterator[str]:
    start, slash, _ = incomplete.rpartition("/")
    try:
        for entry in sorted((folder / (start + slash)).iterdir()):
            if entry.is_dir() and not entry.name.startswith("."):
                yield f"{start}{slash}{entry.name}/"
    except OSError:
        return
