"""Advice about builders in the final stage: toolchains, compilers and caches that the image's program does not need."""

import posixpath
import re

from wherry.dockerfile import instructions as of
from wherry.dockerfile.advice.images import is_builder
from wherry.dockerfile.advice.shell import ShellCommand
from wherry.dockerfile.advice.stages import Advised, AdvisedStage, RunStep

_COMPILERS = re.compile(
    r"(?:build-essential|build-base|gcc|g\+\+|clang|make|cmake|musl-dev|libc6?-dev|rustc|cargo|golang)(?:[-=:~].*)?"
)
_CACHES = (
    "/go/pkg", "/root/.cache", "/root/.cargo/registry", "/root/.gradle", "/root/.m2", "/root/.npm", "/usr/local/cargo",
    "/usr/local/go", "/usr/local/rustup",
)  # fmt: skip
_COMPILES = {
    "cargo": ("build", "install"),
    "dotnet": ("build", "publish"),
    "go": ("build", "install"),
    "gradle": ("assemble", "bootJar", "build"),
    "mvn": ("install", "package", "verify"),
    "swift": ("build",),
}
_NATIVE = {
    "bundle": ("install",), "gem": ("install",), "npm": ("ci", "i", "install"), "pip": ("install",),
    "pip3": ("install",), "yarn": ("", "install"),
}  # fmt: skip
"""What compiles extensions while it installs."""


def judge_leftovers(file: Advised) -> None:
    """Find builders in the final stage."""
    root = file.final.root
    starts = any(isinstance(one, of.Cmd | of.Entrypoint) for stage in file.shipped for one in stage.stage.instructions)
    for stage in file.shipped:
        if starts:
            for step in stage.steps:
                if is_builder(root):
                    _judge_compile(file, step, root)
                else:
                    _judge_compilers(file, stage, step)
        for one in stage.stage.instructions:
            if isinstance(one, of.Copy) and one.from_:
                _judge_copy(file, one, root)


def _judge_compile(file: Advised, step: RunStep, root: str) -> None:
    for command in step.commands:
        if _does(command, _COMPILES):
            file.add(
                "build-tools-in-final-stage",
                step.run,
                f"`{command.program} {command.plain()[0]}` runs in the final stage: the image ships all of {root}",
            )
            return


def _does(command: ShellCommand, table: dict[str, tuple[str, ...]]) -> bool:
    program = command.program
    first = command.plain()[:1] or ("",)
    if program.startswith("python") and command.arguments[:2] == ("-m", "pip"):
        program, first = "pip", command.plain()[1:2] or ("",)
    return any(word in table.get(program, ()) for word in (*first, *command.plain()))


def _judge_compilers(file: Advised, stage: AdvisedStage, step: RunStep) -> None:
    """Find compilers that are installed for a later step, and not removed in the same one."""
    installed = [
        word
        for command in step.commands
        if command.does("apt-get", "install") or command.does("apt", "install") or command.does("apk", "add")
        if "--virtual" not in " ".join(command.words) and "-t" not in command.words
        for word in command.plain()[1:]
        if _COMPILERS.fullmatch(word)
    ]
    if not installed or any(_removes(command) for command in step.commands):
        return
    later = stage.steps[stage.steps.index(step) :]
    if any(_does(command, _COMPILES) or _does(command, _NATIVE) for one in later for command in one.commands):
        names = ", ".join(dict.fromkeys(installed))
        file.add("build-tools-in-final-stage", step.run, f"{names} stay in the image: only builds need them")


def _removes(command: ShellCommand) -> bool:
    verbs = {"autoremove", "del", "purge", "remove"}
    return command.program in ("apk", "apt", "apt-get") and bool(verbs & set(command.plain()))


def _judge_copy(file: Advised, copy: of.Copy, root: str) -> None:
    number = file.graph.named(copy.from_)
    if number is None or is_builder(root):
        return
    builder = file.stages[number]
    for source in copy.sources:
        path = posixpath.normpath(source)
        compiled = any(_does(command, _COMPILES) for step in builder.steps for command in step.commands)
        if path == "/" and (is_builder(builder.root) or compiled):
            words = f"COPY takes all of stage {builder.name}, its toolchain and sources included"
            file.add("build-tools-in-final-stage", copy, words)
        elif is_builder(builder.root) and path in _CACHES:
            file.add("build-tools-in-final-stage", copy, f"{path} of stage {builder.name} is only needed to build")
