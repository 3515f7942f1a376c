"""What starts a script: its interpreter, that one's, and the program that /usr/bin/env looks up.

Sources: execve(2), "Interpreter scripts"; Linux 6.12, fs/exec.c (`exec_binprm`: how often a script may start another);
GNU coreutils 9.7, env(1).
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

from wherry.analysis.deps.facts import ElfFacts, ScriptFacts
from wherry.analysis.deps.root import ProgramRoot

_MOST_STEPS = 5
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What runtimes set where an image sets none."""


@dataclass(frozen=True, slots=True)
class Interpreters:
    """The programs that a script is started by, one after the other."""

    names: tuple[str, ...]
    """As they are written."""
    paths: tuple[str, ...]
    """Where they are, links followed; shorter than `names` where the last one is missing."""
    problem: str = ""
    """What is wrong; empty where it starts."""
    program: ElfFacts | None = None
    """The program at the end."""


def interpreters_of(root: ProgramRoot, script: ScriptFacts) -> Interpreters:
    """Follow a script's first line to a program."""
    names: list[str] = []
    paths: list[str] = []
    step: ScriptFacts | None = script
    while step:
        if len(names) >= _MOST_STEPS:
            return Interpreters(tuple(names), tuple(paths), "its interpreters are scripts that start each other")
        for name in (step.interpreter, *_looked_up(step)):
            names.append(name)
            real = root.find(name) if name.startswith("/") else find_command(root, name)
            if real is None:
                return Interpreters(tuple(names), tuple(paths), f"the root has no {name}")
            paths.append(real)
        facts = root.facts(paths[-1])
        step = facts if isinstance(facts, ScriptFacts) else None
    if not isinstance(facts, ElfFacts):
        return Interpreters(tuple(names), tuple(paths), f"{paths[-1]} is not a program")
    return Interpreters(tuple(names), tuple(paths), program=facts)


def find_command(root: ProgramRoot, name: str) -> str | None:
    """Find a program as a shell does, by PATH."""
    if "/" in name:
        return root.find(name)
    folders = root.environment().get("PATH", _PATH).split(":")
    found = (root.find(f"{folder.rstrip('/')}/{name}") for folder in folders if folder.startswith("/"))
    return next((real for real in found if real and root.facts(real)), None)


def _looked_up(step: ScriptFacts) -> tuple[str, ...]:
    """Give the program that env(1) would start; nothing for another interpreter."""
    if PurePosixPath(step.interpreter).name != "env":
        return ()
    # Without -S the kernel passes one word, so `env python3 -u` looks for a program of that whole name.
    text = step.argument
    if not text.startswith(("-S", "--split-string")):
        return (text,) if text and not text.startswith("-") and "=" not in text else ()
    words = text.removeprefix("--split-string").removeprefix("-S").lstrip("= ").split()
    return next(((word,) for word in words if not word.startswith("-") and "=" not in word), ())
