"""Remove flags of `go build` that do nothing, as they are written: quotes and other flags stay.

What is left must read as the same commands without those flags, or nothing is changed.
"""

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from wherry.dockerfile.advice.shell import ShellCommand
from wherry.dockerfile.fixes.words import RawWord, raw_commands
from wherry.dockerfile.fixes.written import Replaced, WrittenPart

GO_FLAGS: dict[str, tuple[str, re.Pattern[str] | None]] = {
    "go-rebuild-all": ("a", None),
    "go-installsuffix": ("installsuffix", None),
    "go-strip-twice": ("", re.compile(r"--?w(?:=true)?")),
    "go-empty-build-id": ("", re.compile(r"--?buildid=")),
    "go-static-without-cgo": ("", re.compile(r"--?extldflags[= ]\s*(?:-static|'-static'|\\?\"-static\\?\")")),
    "go-linker-z": ("", re.compile(r"--?z")),
}
"""By rule: the flag of `go build` to remove, or the flag of its linker."""
_COMMANDS = ("build", "install", "test", "run")
_WITH_VALUE = "installsuffix"
_LDFLAGS = re.compile(r"""["']?--?ldflags(?:=|$)""")


def remove_flag(rule: str, part: WrittenPart) -> list[Replaced]:
    """Give the edits of a shell text that remove a rule's flag from each `go` command."""
    flag, linker = GO_FLAGS[rule]
    edits: list[Replaced] = []
    for words in raw_commands(part.text):
        begin = next((at for at, word in enumerate(words) if word.text.rpartition("/")[2] == "go"), None)
        if begin is None or begin + 1 >= len(words) or words[begin + 1].text not in _COMMANDS:
            continue
        rest = words[begin + 2 :]
        edits += _own_flag(part, rest, flag) if flag else _linker_flag(part, rest, linker or re.compile("$^"))
    return edits


def _own_flag(part: WrittenPart, words: Sequence[RawWord], flag: str) -> Iterator[Replaced]:
    for number, word in enumerate(words):
        name, equals, _ = word.text.lstrip("-").partition("=")
        if not word.text.startswith("-") or name != flag:
            continue
        yield part.without(word.start, word.end)
        if flag == _WITH_VALUE and not equals and number + 1 < len(words):
            yield part.without(words[number + 1].start, words[number + 1].end)


def _linker_flag(part: WrittenPart, words: Sequence[RawWord], flag: re.Pattern[str]) -> Iterator[Replaced]:
    for number, word in enumerate(words):
        if not (found := _LDFLAGS.match(word.text)):
            continue
        separate = not found[0].endswith("=")
        if separate and number + 1 >= len(words):
            return
        value = words[number + 1] if separate else word
        skipped = 0 if separate else found.end()
        inner = value.text[skipped:]
        left = _without(inner, flag)
        if left == inner:
            continue
        if left.strip("\"' ") == "":
            yield part.without(word.start, word.end)
            if separate:
                yield part.without(value.start, value.end)
        else:
            yield Replaced(value.start + skipped, value.end, left)


def _without(value: str, flag: re.Pattern[str]) -> str:
    """Give a value of -ldflags without a flag, its quotes and other flags unchanged."""
    quote = "\"'"
    whole = re.compile(rf"""(?P<before>^[{quote}]?|[\s])(?:{flag.pattern})(?P<after>\s+|(?=[{quote}]?$))""")
    found = whole.search(value)
    if found is None:
        return value
    before = found["before"] if found["before"].strip() or found["after"] else ""
    return value[: found.start()] + before + value[found.end() :]


def keeps_commands(before: Sequence[ShellCommand], after: Sequence[ShellCommand], rule: str) -> bool:
    """Report whether two scripts are the same but for a flag that a rule removes."""
    if len(before) != len(after):
        return False
    gone = _is_removed(rule)
    return all(_differ_by(old, new, gone) for old, new in zip(before, after, strict=True))


def _differ_by(old: ShellCommand, new: ShellCommand, gone: Callable[[str], bool]) -> bool:
    if old == new:
        return True
    if old.program != "go" or old.environment != new.environment:
        return False
    left = Counter(_flat(old.words))
    left.subtract(_flat(new.words))
    return all(count >= 0 for count in left.values()) and all(
        gone(word) for word, count in left.items() if count > 0
    )  # fmt: skip


def _flat(words: Sequence[str]) -> Iterator[str]:
    """Give words, those of -ldflags one by one; an empty -ldflags is none."""
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name.lstrip("-") == "ldflags" and word.startswith("-"):
            if equals:
                yield from _split(value)
            continue
        if number and words[number - 1].lstrip("-") == "ldflags":
            yield from _split(word)
            continue
        yield word


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _is_removed(rule: str) -> Callable[[str], bool]:
    flag, linker = GO_FLAGS[rule]
    if rule == "go-installsuffix":
        return lambda word: not word.startswith("-") or word.lstrip("-").startswith("installsuffix")
    if flag:
        return lambda word: word.lstrip("-").partition("=")[0] == flag
    if rule == "go-static-without-cgo":
        return lambda word: word.lstrip("-") in ("extldflags", "extldflags=-static", "static")
    pattern = linker or re.compile("$^")
    return lambda word: pattern.fullmatch(word) is not None
