"""Rewrite one instruction as Docker's build checks ask for, where that changes nothing that it does."""

import json
import re
from collections.abc import Callable

from wherry.dockerfile import instructions as of
from wherry.dockerfile.fixes.words import raw_commands
from wherry.dockerfile.fixes.written import Replaced, WrittenInstruction, WrittenPart
from wherry.finding import Finding

_SIMPLE = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_VALUE = re.compile(r"[A-Za-z0-9_@%+:,./${}-]+")
_SPACED = re.compile(r"[A-Za-z0-9_@%+:,./${} ()<>=-]+")
_AUTHOR = re.compile(r"[^\"'\\$`\x00-\x1f]+")
_AS = re.compile(r"[ \t]([aA][sS])[ \t]+\S+$")
_BUILT_IN = frozenset({
    ".", ":", "[", "alias", "bg", "break", "case", "cd", "command", "continue", "eval", "exec", "exit", "export", "fg",
    "for", "getopts", "hash", "if", "jobs", "read", "readonly", "return", "set", "shift", "source", "time", "times",
    "trap", "type", "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
})  # fmt: skip


def _word_case(finding: Finding, written: WrittenInstruction, part: WrittenPart) -> list[Replaced]:
    word = written.instruction.word
    lower = "(lowercase)" in finding.message
    as_word = _AS.search(part.text) if isinstance(written.instruction, of.From) else None
    edits = [Replaced(0, len(word), word.lower() if lower else word.upper())]
    return edits + ([Replaced(*as_word.span(1), "as" if lower else "AS")] if as_word else [])


def _stage_name(_finding: Finding, written: WrittenInstruction, part: WrittenPart) -> list[Replaced]:
    one = written.instruction
    if not isinstance(one, of.From) or not part.text.endswith(one.written_name):
        return []
    return [Replaced(len(part.text) - len(one.written_name), len(part.text), one.name)]


def _as_word(_finding: Finding, written: WrittenInstruction, part: WrittenPart) -> list[Replaced]:
    one = written.instruction
    found = _AS.search(part.text)
    if not isinstance(one, of.From) or found is None:
        return []
    return [Replaced(found.start(1), found.end(1), "as" if one.word == one.word.lower() else "AS")]


def _platform(_finding: Finding, _written: WrittenInstruction, part: WrittenPart) -> list[Replaced]:
    found = re.search(r"[ \t]+--platform=\S+", part.text)
    return [Replaced(found.start(), found.end())] if found else []


def _maintainer(_finding: Finding, written: WrittenInstruction, part: WrittenPart) -> list[Replaced]:
    one = written.instruction
    if not isinstance(one, of.Maintainer):
        return []
    name = one.name.strip()
    name = name[1:-1] if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'" else name
    if not _AUTHOR.fullmatch(name):
        return []
    word = "label" if one.word == one.word.lower() else "LABEL"
    return [Replaced(0, len(part.text), f'{word} org.opencontainers.image.authors="{name}"')]


def _pairs(_finding: Finding, written: WrittenInstruction, part: WrittenPart) -> list[Replaced]:
    one = written.instruction
    if not isinstance(one, of.Env | of.Label) or len(one.pairs) != 1 or not one.pairs[0].legacy:
        return []
    found = re.fullmatch(r"(\S+[ \t]+)(\S+)([ \t]+)(.*)", part.text)
    if found is None:
        return []
    if _VALUE.fullmatch(found[4]):
        return [Replaced(found.start(3), found.end(3), "=")]
    if _SPACED.fullmatch(found[4]) and "  " not in found[4]:
        return [Replaced(found.start(3), found.end(3), '="'), Replaced(len(part.text), len(part.text), '"')]
    return []


def _protocol(_finding: Finding, _written: WrittenInstruction, part: WrittenPart) -> list[Replaced]:
    found = re.finditer(r"(?<=/)[A-Za-z]+(?=[ \t]|$)", part.text)
    return [Replaced(one.start(), one.end(), one[0].lower()) for one in found if one[0] != one[0].lower()]


def _as_json(_finding: Finding, written: WrittenInstruction, part: WrittenPart) -> list[Replaced]:
    """Write a command of plain words as a JSON array; only for bases that have no shell to run it otherwise."""
    one = written.instruction
    if not isinstance(one, of.Cmd | of.Entrypoint) or not one.command.shell:
        return []
    start = len(part.text) - len(part.text[len(one.word) :].lstrip())
    commands = list(raw_commands(part.text[start:]))
    words = part.text[start:].split()
    plain = len(commands) == 1 and all(_SIMPLE.fullmatch(word) for word in words)
    if not plain or "=" in words[0] or words[0] in _BUILT_IN:
        return []
    return [Replaced(start, len(part.text), json.dumps(words))]


INSTRUCTION_FIXES: dict[str, Callable[[Finding, WrittenInstruction, WrittenPart], list[Replaced]]] = {
    "ConsistentInstructionCasing": _word_case,
    "StageNameCasing": _stage_name,
    "FromAsCasing": _as_word,
    "RedundantTargetPlatform": _platform,
    "MaintainerDeprecated": _maintainer,
    "LegacyKeyValueFormat": _pairs,
    "ExposeProtoCasing": _protocol,
    "base-has-no-shell": _as_json,
}


def without_blank_lines(written: WrittenInstruction) -> list[str]:
    """Give an instruction's lines without the blank ones that it goes on over."""
    if written.main is None:
        return written.lines
    gone = set(written.blank)
    return [line for number, line in enumerate(written.lines) if number not in gone]
