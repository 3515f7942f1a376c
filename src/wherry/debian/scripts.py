"""Maintainer scripts: what those of a package would have done, read from their text; they are never run.

A shell script can do anything, so this is a list of the commands that Debian's packages use, and of nothing else: what
no row names is said to be other commands.

Sources: deb-postinst(5), deb-triggers(5); Debian policy 4.7, chapter 6.
"""

import re
from collections.abc import Iterator, Mapping

SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config", "triggers")
"""Members of a package's control archive that act; those for a removal are not listed."""
_ACTING = ("preinst", "postinst", "config")
_EFFECTS: Mapping[str, str] = {
    "adduser": "make an account",
    "addgroup": "make a group",
    "useradd": "make an account",
    "groupadd": "make a group",
    "update-alternatives": "set an alternative",
    "update-ca-certificates": "write the file of certificates",
    "ldconfig": "write the cache of libraries, which the loader does without",
    "update-rc.d": "register a service",
    "invoke-rc.d": "start a service",
    "deb-systemd-helper": "register a service",
    "deb-systemd-invoke": "start a service",
    "systemctl": "register a service",
    "update-mime-database": "write the database of MIME types",
    "update-passwd": "write the accounts of a system",
    "locale-gen": "make locales",
    "mkfontscale": "list fonts",
    "fc-cache": "list fonts",
    "py3compile": "compile Python files",
    "db_input": "ask questions",
    "db_get": "read answers to questions",
    "dpkg-divert": "move a file of another package",
    "dpkg-statoverride": "change an owner or a mode",
    "setcap": "give a program capabilities",
    "chown": "change an owner",
    "chmod": "change a mode",
    "install": "make files or directories",
    "mkdir": "make directories",
    "ln": "make links",
    "cp": "copy files",
    "mv": "move files",
    "touch": "make files",
}
_OTHER = "run other commands"
_SILENT = frozenset(
    {
        "set", "if", "then", "else", "elif", "fi", "case", "esac", "for", "do", "done", "while", "in", "exit", "return",
        "true", "false", "test", "echo", "printf", "export", "local", "shift", "read", "break", "continue", "eval",
        "exec", "rm", "rmdir", "unset", "dpkg", "dpkg-maintscript-helper", "which", "command", "type", "cat", "grep",
        "sed", "cut", "head", "tail", "sort",
    }
)  # fmt: skip
"""Words of the shell, what reads only, and what tidies up after an old version."""
_WORD = re.compile(r"(?:^|[;&|(`]|\$\(|\bthen\b|\bdo\b|\belse\b|!)\s*(?:/[\w/]*/)?([A-Za-z_][\w.+-]*)(?=[\s;)]|$)")
_ARGUMENT = re.compile(r"\s+([^;&|`<>]*)")
_TRIGGER = re.compile(r"activate(?:-[a-z]+)?\s+(\S+)")
_SHELL = re.compile(r"#!\s*/(?:usr/)?bin/(?:ba|da)?sh\b")
_LONGEST = 100
_MOST_LINES = 5000


def script_effects(scripts: Mapping[str, str]) -> tuple[str, ...]:
    """List what scripts of a package would do when it is installed, each once: the script, the effect, the words.

    Args:
        scripts: their texts, by names of `SCRIPTS`.
    """
    return tuple(dict.fromkeys(line for name in SCRIPTS if name in scripts for line in _effects(name, scripts[name])))


def _effects(name: str, text: str) -> Iterator[str]:
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()[:_MOST_LINES]]
    if name == "triggers":
        for line in lines:
            if match := _TRIGGER.match(line):
                yield f"trigger {match[1]}: {_EFFECTS.get(match[1], 'ask another package to act')}"
    elif name in _ACTING and not _SHELL.match(text):
        yield f"{name}: {_OTHER} (not a script of the shell)"
    elif name in _ACTING:
        functions = set(re.findall(r"^\s*([A-Za-z_]\w*)\s*\(\)", text, re.MULTILINE))
        found = [one for line in lines if not line.startswith("#") for one in _commands(line)]
        for command, shown in found:
            if command in _EFFECTS:
                yield f"{name}: {_EFFECTS[command]}: {shown[:_LONGEST]}"
        if any(command not in {*_EFFECTS, *_SILENT, *functions} for command, _ in found):
            yield f"{name}: {_OTHER}"


def _commands(line: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of a line of shell, each with its arguments."""
    for match in _WORD.finditer(line):
        rest = _ARGUMENT.match(line, match.end())
        yield match[1], f"{match[1]} {rest[1].strip()}".strip() if rest else match[1]
