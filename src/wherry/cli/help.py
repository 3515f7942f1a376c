"""`wherry help [TOPIC]`: a command's options, or a page of the documentation."""

import shutil
from collections.abc import Callable

import click

from wherry.cli.complete import topics
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World

_WIDEST = 100
"""Columns beyond which lines of text are hard to read."""


@click.command("help", cls=GroupedCommand)
@click.argument("topic", required=False, shell_complete=topics)
@click.pass_context
def command(context: click.Context, /, *, topic: str | None) -> None:
    """Show the options of a command, and pages of the documentation.

    TOPIC is a command, or a page such as exit-codes, wherry.toml or from-ko. Without TOPIC, list them.
    """
    from wherry.app.manual import find_pages, pages_of
    from wherry.cli.main import COMMANDS, wherry

    world: World = context.obj
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    if topic is None:
        _list(world, width)
        return
    above = context.parent
    if topic in COMMANDS and above is not None:
        found = wherry.get_command(above, topic)
        if found is not None:
            with found.make_context(topic, [], parent=above, resilient_parsing=True) as inner:
                world.say(found.get_help(inner))
        pages = pages_of(topic)
        if pages:
            world.say("")
    else:
        pages = find_pages(topic)
    from wherry.report.markdown import terminal_page

    for number, page in enumerate(pages):
        if number:
            world.say("")
        for line in terminal_page(page.read_text(encoding="utf-8"), width, bold=_bold(world)):
            world.say(line)


def _list(world: World, width: int) -> None:
    from wherry.app.manual import groups, title_of
    from wherry.report.markdown import columns

    bold = _bold(world)
    world.say("`wherry help TOPIC` shows a page, `wherry help COMMAND` the options of a command (`wherry --help`).")
    for title, pages in groups().items():
        world.say("")
        world.say(bold(title))
        for line in columns([(f"  {name}", title_of(page)) for name, page in pages.items()], width):
            world.say(line)


def _bold(world: World) -> Callable[[str], str]:
    return _bright if world.colour_out else str


def _bright(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m"
