"""Write docs/reference/cli.md, `wherry --help` and completions from the commands, and api.md from the docstrings.

`make docs` calls it, and a test that both are current.
"""

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

import wherry as library
from wherry.cli import ready
from wherry.cli.completion import script
from wherry.cli.main import COMMANDS, wherry

PAGES = Path(__file__).resolve().parents[1] / "docs" / "reference"
TARGET = PAGES / "cli.md"
API = PAGES / "api.md"
_COMPLETIONS = Path(__file__).resolve().parents[1] / "completions"
COMPLETIONS = {
    "bash": _COMPLETIONS / "wherry.bash",
    "zsh": _COMPLETIONS / "_wherry",
    "fish": _COMPLETIONS / "wherry.fish",
}
"""What the wheel has for each shell."""
_API_HEAD = """# The Python API

Made from the docstrings by `make docs`. [How to use it](../how-to/python.md) has whole scripts. Sizes are bytes;
relative paths start at the session's folder.

"""
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
        context = command.make_context(name, [], parent=top, resilient_parsing=True)
        parts.append(_section(command, context))
        if isinstance(command, click.Group):
            parts += _subsections(command, context)
    return "\n".join(parts)


def _subsections(group: click.Group, above: click.Context) -> Iterator[str]:
    """Give the sections of the commands of a group."""
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        if command is None:
            raise LookupError(name)
        yield _section(command, command.make_context(name, [], parent=above, resilient_parsing=True))


def ready_help(columns: int) -> str:
    """Give what `wherry --help` prints on a terminal of a width."""
    # click leaves two columns empty
    context = wherry.make_context("wherry", [], resilient_parsing=True, terminal_width=columns - 2)
    return wherry.get_help(context) + "\n"


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


def api() -> str:
    """Give the page of the Python API: its verbs first, then its values."""
    intro = inspect.getdoc(sys.modules[library.push.__module__.rpartition(".")[0]]) or ""
    found = {name: getattr(library, name) for name in library.__all__ if not name.startswith("_")}
    verbs = [(name, one) for name, one in found.items() if inspect.isfunction(one)]
    values = [(name, one) for name, one in found.items() if inspect.isclass(one)]
    parts = [_API_HEAD + intro.partition("\n\n")[2]]
    parts += ["## Verbs", *(f"### `{name}`\n\n{_called(name, one)}\n\n{_prose(one)}" for name, one in verbs)]
    parts += ["## Values", *(f"### `{name}`\n\n{_value(name, one)}" for name, one in values)]
    return "\n\n".join(parts) + "\n"


def _called(name: str, one: object) -> str:
    signature = inspect.signature(one)  # type: ignore[arg-type]  # only what can be called is asked
    words = [_plain(str(parameter)) for parameter in signature.parameters.values()]
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        words.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    given = "" if signature.return_annotation in {inspect.Signature.empty, None} else f" -> {_type(signature)}"
    return "```python\n" + f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){given}\n```"


def _type(signature: inspect.Signature) -> str:
    return _plain(inspect.formatannotation(signature.return_annotation))


def _plain(text: str) -> str:
    """Write types by their own names, as a caller imports them."""
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text.replace("'", ""))


def _prose(one: object) -> str:
    """Give a docstring as Markdown: its sections become lists."""
    lines, section = [], ""
    for line in (inspect.getdoc(one) or "").splitlines():
        if line.rstrip(":") in {"Args", "Returns", "Raises", "Cost", "Source"} and line.endswith(":"):
            section = line
            lines += [f"**{line[:-1]}**", ""]
        elif section in {"Args:", "Raises:"} and line.startswith("    ") and not line.startswith("     "):
            name, colon, text = line.strip().partition(": ")
            lines.append(f"- `{name}`: {text}" if colon else line.strip())
        else:
            lines.append(line.strip() if section else line)
    return "\n".join(lines).strip()


def _value(name: str, one: type) -> str:
    parts = [_prose(one)]
    if dataclasses.is_dataclass(one):
        rows = [f"| `{field.name}` | `{_field_type(field)}` |" for field in dataclasses.fields(one)]
        parts.append("\n".join(["| field | type |", "|---|---|", *rows]) if rows else "")
    elif name == "Session":
        parts.append(f"{_called(name, one)}\n\n{_prose(one.__init__)}")  # type: ignore[misc]  # its docstring is read
    parts += [f"- `{member}`: {_first(inspect.getdoc(what))}" for member, what in _members(one)]
    return "\n\n".join(part for part in parts if part)


def _field_type(field: "dataclasses.Field[object]") -> str:
    kind = field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)
    return _plain(kind).replace("|", "\\|")


def _members(one: type) -> Iterator[tuple[str, object]]:
    for member, what in vars(one).items():
        if isinstance(what, property):
            yield member, what
        elif isinstance(what, classmethod) or (inspect.isfunction(what) and not member.startswith("_")):
            yield f"{member}()", getattr(one, member)


def _first(text: str | None) -> str:
    return (text or "").partition("\n\n")[0].replace("\n", " ")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        TARGET.write_text(reference())
        API.write_text(api())
        for columns in ready.WIDTHS:
            Path(ready.file_of(columns)).write_text(ready_help(columns))
        for shell, file in COMPLETIONS.items():
            file.write_text(script(wherry, shell) + "\n")
    else:
        print(reference(), end="")
