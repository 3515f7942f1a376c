"""Advice about the order of steps: dependencies are fetched before the sources are copied."""

import posixpath
from collections.abc import Sequence

from wherry.dockerfile import instructions as of
from wherry.dockerfile.advice.shell import ShellCommand
from wherry.dockerfile.advice.stages import Advised, AdvisedStage, RunStep

_STEPS = (
    ("go", ("mod download",), "go.mod and go.sum"),
    ("npm", ("ci", "install", "i"), "package.json and package-lock.json"),
    ("yarn", ("install", ""), "package.json and yarn.lock"),
    ("pnpm", ("install", "i"), "package.json and pnpm-lock.yaml"),
    ("pip", ("install",), "the requirements file"),
    ("pip3", ("install",), "the requirements file"),
    ("uv", ("pip sync", "pip install"), "the requirements file"),
    ("poetry", ("install",), "pyproject.toml and poetry.lock"),
    ("pipenv", ("install", "sync"), "Pipfile and Pipfile.lock"),
    ("cargo", ("fetch",), "Cargo.toml and Cargo.lock"),
    ("bundle", ("install",), "Gemfile and Gemfile.lock"),
    ("composer", ("install",), "composer.json and composer.lock"),
)
_EVERYTHING = frozenset({".", "/", "*"})


def judge_order(file: Advised) -> None:
    """Find dependency steps that run again for each change of a source."""
    if {"*", "**", "**/*"} & set(file.around.ignored):
        return  # the context may hold the manifests alone
    for stage in file.wanted:
        _judge(file, stage)


def _judge(file: Advised, stage: AdvisedStage) -> None:
    steps = {id(step.run): step for step in stage.steps}
    copied: of.Instruction | None = None
    for one in stage.stage.instructions:
        if isinstance(one, of.Copy | of.Add) and takes_all(one):
            copied = copied or one
        elif isinstance(one, of.Run) and copied is not None and not _cached(steps[id(one)]):
            for command in steps[id(one)].commands:
                if (found := dependency_step(command)) is not None:
                    file.add("sources-before-dependencies", one, found[0], str(copied.lines.first), found[1])
                    break


def takes_all(one: of.Copy | of.Add) -> bool:
    """Report whether an instruction copies the whole context."""
    if isinstance(one, of.Copy) and (one.from_ or one.parents):
        return False
    return not one.exclude and any(posixpath.normpath(source) in _EVERYTHING for source in one.sources)


def _cached(step: RunStep) -> bool:
    return any(mount.type == "cache" for mount in step.mounts)


def dependency_step(command: ShellCommand) -> tuple[str, str] | None:
    """Give how a command fetches dependencies and the files it needs for that; None: it does something else."""
    words = command.plain()
    program = command.program
    if program.startswith("python") and command.arguments[:2] == ("-m", "pip"):
        program, words = "pip", words[1:]
    for name, verbs, files in _STEPS:
        if program != name:
            continue
        for verb in verbs:
            if tuple(verb.split()) == words[: len(verb.split())] and _for_a_manifest(name, command, words):
                return f"{name} {verb}".strip(), files
    return None


def _for_a_manifest(name: str, command: ShellCommand, words: Sequence[str]) -> bool:
    """Report whether it fetches what a manifest lists, not packages by name or the project itself."""
    if name in ("pip", "pip3", "uv"):
        local = any(word in (".", "-e", "--editable") or word.startswith((".[", "./", "-e")) for word in command.words)
        return not local and any(word == "sync" or word.startswith(("-r", "--requirement")) for word in command.words)
    if name in ("npm", "pnpm"):
        return len(words) == 1 and not {"-g", "--global", "--location=global"} & set(command.words)
    if name == "yarn":
        return len(words) <= 1 and not {"--version", "-v"} & set(command.words)
    return True
