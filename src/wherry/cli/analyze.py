"""`wherry analyze IMAGE`: layers, files and waste."""

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World


@click.command("analyze", cls=GroupedCommand)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.option("--platform", metavar="PLATFORM", help="Analyze only this platform.", shell_complete=platforms)
@click.option(
    "--base", metavar="IMAGE", help="Base image, to tell its layers from the image's own.", shell_complete=images
)
@click.option(
    "--builder",
    metavar="IMAGE",
    help="Image of the build stage: list its files that are in IMAGE, by content.",
    shell_complete=images,
)
@click.option(
    "--top", type=click.IntRange(1, 100_000), default=10, show_default=True, metavar="N", help="Rows of each list."
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="SEVERITY|RULE|waste=SIZE",
    help="Exit 1 on a finding of this rule or severity (error, warning, note), or above this many wasted or duplicated "
    "bytes (waste=1MB, duplicates=1MB).",
)
@click.option("--ci", is_flag=True, help="Check dive's rules: .dive-ci in this directory, or dive's defaults.")
@click.option("--ci-config", metavar="FILE", help="Check dive's rules as this file has them.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole document; `wherry help analyze` has its schema.")
@click.pass_obj
def command(  # noqa: PLR0913 - click hands over one argument an option
    world: World,
    /,
    *,
    image: str,
    platform: str | None,
    base: str | None,
    builder: str | None,
    top: int,
    fail_on: tuple[str, ...],
    ci: bool,
    ci_config: str | None,
    as_json: bool,
) -> int:
    """Show the layers of IMAGE, what each changes, and which bytes are shipped in vain.

    Wasted are bytes that no container can see: overwritten, deleted, or copied whole to change a mode. Then content
    that is there twice, and files that a container rarely needs. Each comes with its layer, its share of the pulled
    bytes, and an edit of the instruction. dive's figures are printed too.

    IMAGE is a name of the local store, a layout, an archive of OCI or Docker, or a name in a registry, which is read
    without storing it. A layer that was read once is not read again.
    """
    from wherry.app.analyze import analyze, dive_rules, failures, thresholds

    limits = thresholds(fail_on)
    rules = dive_rules(world, ci_config) if ci or ci_config else None
    document = analyze(world, image, platform=platform, base=base, builder=builder, rules=rules, most=max(top, 100))
    if as_json:
        import msgspec

        world.say(msgspec.json.encode(document).decode())
    else:
        from wherry.report.analyze import lines_of

        for line in lines_of(document, most=top):
            world.say(line)
    broken = list(failures(document, limits))
    if broken:
        from wherry.report.terminal import printable

        for line in broken:
            world.note(printable(line))
    return 1 if broken else 0
