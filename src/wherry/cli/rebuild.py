"""`wherry rebuild IMAGE`: build an image again, or compare two, and name the first difference and its cause."""

from typing import TYPE_CHECKING

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.app.rebuild_compare import Rebuilt

_MOST = 12
"""Differences that are printed for a platform; `--json` has all."""


@click.command("rebuild", cls=GroupedCommand)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.option("--source", metavar="DIR", help="Directory of the module or its repository. [default: current directory]")
@click.option("--fetch", is_flag=True, help="Clone the repository that IMAGE names, without credentials.")
@click.option("--provenance", metavar="FILE", help="SLSA provenance that says how an image without a recipe was built.")
@click.option("--ldflags", metavar="FLAGS", help="Linker flags, with the -X values that the recipe withholds.")
@click.option(
    "--against",
    metavar="IMAGE2",
    help="Build nothing: compare IMAGE with this image or program.",
    shell_complete=images,
)
@click.option("--platform", metavar="PLATFORM", help="Only this platform.", shell_complete=platforms)
@click.option("--json", "as_json", is_flag=True, help="Print all differences as JSON.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    image: str,
    source: str | None,
    fetch: bool,
    provenance: str | None,
    ldflags: str | None,
    against: str | None,
    platform: str | None,
    as_json: bool,
) -> int:
    """Rebuild IMAGE from its source and recipe with empty caches, and report whether the result is identical.

    If it differs, print the differences from the outside in (platform, config, layer, tar header, file, ELF section,
    function) and the likely cause. Exit codes: 0 identical, 1 different, 3 it cannot be rebuilt.
    """
    from wherry.app.rebuild import RebuildOptions, rebuild
    from wherry.app.rebuild_compare import compare
    from wherry.errors import InvalidUsage

    if against is not None:
        if source is not None or fetch or ldflags is not None or provenance is not None:
            raise InvalidUsage("--against builds nothing", hint="remove --source, --fetch, --ldflags and --provenance")
        done = compare(world, image, against, platform=platform)
    else:
        options = RebuildOptions(source=source, fetch=fetch, ldflags=ldflags, platform=platform, provenance=provenance)
        with world.reporter("plain") as progress:
            done = rebuild(world, image, options, progress=progress)
    if as_json:
        import msgspec

        world.say(msgspec.json.encode(done).decode())
    else:
        for line in lines_of(done):
            world.say(line)
    return 0 if done.identical else 1


def lines_of(done: "Rebuilt") -> "Iterator[str]":
    """Say for a person what is the same, or what differs first and why."""
    from wherry.report.terminal import printable

    yield printable(f"{'identical' if done.identical else 'different'}  {done.before}")
    for note in done.notes:
        yield printable(f"  {note}")
    for compared in done.platforms:
        if not compared.differences:
            continue
        yield ""
        yield printable(f"{compared.platform or 'program'}:")
        for one in compared.differences[:_MOST]:
            yield printable(f"  {one.level}  {one.place}: {_short(one.before)} → {_short(one.after)}")
        if len(compared.differences) > _MOST:
            yield f"  {len(compared.differences) - _MOST} more with --json"
        if compared.cause:
            yield printable(f"  likely cause: {compared.cause.message} ({compared.cause.rule})")
            for line in compared.cause.evidence:
                yield printable(f"    {_short(line, 160)}")
            if compared.cause.remedy:
                yield printable(f"    {compared.cause.remedy}")


def _short(text: str, most: int = 60) -> str:
    words = " ".join(text.split()) or "none"
    return words if len(words) <= most else f"{words[: most - 1]}…"
