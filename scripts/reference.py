"""Write docs/reference/cli.md from the commands themselves; `make docs` calls it, and a test that it is current."""

import sys
from pathlib import Path

import click

from wherry.cli.main import COMMANDS, wherry

TARGET = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"
_HEAD = """# The command line

Made from the commands by `make docs`. See also the [exit codes](exit-codes.md) and the settings file,
[wherry.toml](wherry-toml.md).
"""


def reference() -> str:
    """Give the whole page."""
    top = wherry.make_context("wherry", [], resilient_parsing=True)
    parts = [_HEAD, _section(wherry, top)]
    for name in COMMANDS:
        command = wherry.get_command(top, name)
        if command is None:
            raise LookupError(name)
        parts.append(_section(command, command.make_context(name, [], parent=top, resilient_parsing=True)))
    return "\n".join(parts)


def _section(command: click.Command, context: click.Context) -> str:
    rows = [row for parameter in command.get_params(context) if (row := _row(parameter, context))]
    table = "\n".join(["| option | meaning |", "|---|---|", *rows])
    return f"## {context.command_path}\n\n    {_usage(command, context)}\n\n{_text(command)}\n\n{table}\n"


def _usage(command: click.Command, context: click.Context) -> str:
    return f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}"


def _text(command: click.Command) -> str:
    return "\n".join(line.strip() for line in (command.help or "").strip().replace("\b", "").splitlines())


def _row(parameter: click.Parameter, context: click.Context) -> str | None:
    record = parameter.get_help_record(context)
    if record is None or not record[1]:
        return None  # an argument: the usage line shows it, the text explains it
    option, meaning = (text.replace("|", "\\|").replace("\n", " ") for text in record)
    return f"| `{option}` | {meaning} |"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        TARGET.write_text(reference())
    else:
        print(reference(), end="")
