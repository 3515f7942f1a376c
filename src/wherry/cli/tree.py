"""`wherry tree IMAGE`: show an image's documents and layers as a tree."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from wherry.cli.complete import images
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.app.tree import TreeNode


@click.command("tree", cls=GroupedCommand)
@click.argument("image", metavar="IMAGE", shell_complete=images)
@click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON.")
@click.pass_obj
def command(world: World, /, *, image: str, as_json: bool) -> None:
    """Show the index, manifests, configs, layers and attachments of IMAGE as a tree, with sizes as stored.

    IMAGE is a name or digest of the local store, a layout folder, an archive, or a name in a registry. Layers are not
    read.
    """
    from wherry.app.tree import tree

    root = tree(world, image)
    if as_json:
        world.say(json.dumps({"version": 1, "name": image, "root": asdict(root)}, indent=2))
        return
    for line in _lines(root, "", ""):
        world.say(line)


def _lines(node: "TreeNode", first: str, rest: str) -> "Iterator[str]":
    from wherry.report.terminal import printable, size

    label = " ".join(node.label.split())
    shown = f"  {label[:76]}{'…' * (len(label) > 76)}" if label else ""  # noqa: PLR2004 - as `inspect` cuts instructions
    missing = "" if node.here else "  (missing)"
    digest = node.digest if not rest else node.digest[: len("sha256:") + 12]
    yield printable(f"{first}{node.role} {digest}  {size(node.size)}{shown}{missing}")
    for place, child in enumerate(node.children, 1):
        last = place == len(node.children)
        yield from _lines(child, f"{rest}{'└── ' if last else '├── '}", f"{rest}{'    ' if last else '│   '}")
