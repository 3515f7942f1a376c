"""Advice about flags of Go builds that do nothing, or not what they are believed to do.

Sources: `go help build` (`-a`, `-installsuffix`); Go 1.10 release notes, "Build cache"; Go 1.22 release notes, "Linker"
(`-s` implies `-w`); cmd/link (its flags).
"""

import shlex
from itertools import pairwise

from wherry.dockerfile.advice.shell import ShellCommand
from wherry.dockerfile.advice.stages import Advised, RunStep

_COMMANDS = ("build", "install", "test", "run")


def judge_go_flags(file: Advised) -> None:
    """Find flags of `go build` and `go install` that are better left out."""
    for stage in file.wanted:
        for step in stage.steps:
            for command in step.commands:
                if command.does("go", *_COMMANDS):
                    _judge(file, step, command)


def go_flags(step: RunStep, command: ShellCommand) -> dict[str, str]:
    """Give a Go command's own flags by name, GOFLAGS among them; a flag without a value has an empty one."""
    words = [*_split(step.setting(command, "GOFLAGS") or ""), *command.words[2:]]
    flags: dict[str, str] = {}
    for number, word in enumerate(words):
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or not name:
            continue
        if not equals and name in _WITH_VALUE:
            value = words[number + 1] if number + 1 < len(words) else ""
        flags[name] = value
    return flags


_WITH_VALUE = frozenset({"asmflags", "buildmode", "gcflags", "installsuffix", "ldflags", "mod", "o", "p", "tags"})


def linker_flags(flags: dict[str, str]) -> list[str]:
    """Give the words of -ldflags."""
    return _split(flags.get("ldflags", ""))


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _judge(file: Advised, step: RunStep, command: ShellCommand) -> None:
    flags = go_flags(step, command)
    linker = [word.removeprefix("-") if word.startswith("--") else word for word in linker_flags(flags)]
    without_cgo = step.setting(command, "CGO_ENABLED") == "0"
    if "a" in flags:
        file.add("go-rebuild-all", step.run)
    if "installsuffix" in flags:
        file.add("go-installsuffix", step.run)
    if "-s" in linker and "-w" in linker:
        file.add("go-strip-twice", step.run)
    if "-buildid=" in linker or ("-buildid", "") in pairwise(linker):
        file.add("go-empty-build-id", step.run)
    if "-z" in linker:
        file.add("go-linker-z", step.run)
    if without_cgo and is_static_link(linker):
        file.add("go-static-without-cgo", step.run)


def is_static_link(linker: list[str]) -> bool:
    """Report whether the linker's flags ask the external linker for a static program."""
    for number, word in enumerate(linker):
        if word.startswith("-extldflags"):
            value = word.partition("=")[2] or (linker[number + 1] if number + 1 < len(linker) else "")
            if "-static" in value.split():
                return True
    return False
