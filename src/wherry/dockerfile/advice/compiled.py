"""Which COPY of everything only the Go compiler reads: then what it read last time is all that is needed of it."""

import posixpath
from collections.abc import Iterator

from wherry.dockerfile import instructions as of
from wherry.dockerfile.advice.dependencies import takes_all
from wherry.dockerfile.advice.go_flags import go_flags
from wherry.dockerfile.advice.shell import ShellCommand
from wherry.dockerfile.advice.stages import Advised, AdvisedStage, RunStep

_GO = ("build", "env", "install", "mod", "version")
_HARMLESS = frozenset({
    "", "adduser", "addgroup", "apk", "apt", "apt-get", "echo", "export", "groupadd", "mkdir", "set", "strip", "true",
    "upx", "useradd", "update-ca-certificates",
})  # fmt: skip
"""Programs that read nothing of a context, or only what they are named."""


def compiled_only(file: Advised) -> frozenset[int]:
    """Give the first lines of the COPY instructions of the whole context that nothing but `go build` reads."""
    return frozenset(line for stage in file.stages for line in _of_stage(file, stage))


def _of_stage(file: Advised, stage: AdvisedStage) -> Iterator[int]:
    copies = [one for one in stage.stage.instructions if isinstance(one, of.Copy | of.Add) and takes_all(one)]
    if not copies or stage is file.final or any(other.below == stage.number for other in file.stages):
        return
    commands = [(step, command) for step in stage.steps for command in step.commands]
    builds = [(step, one) for step, one in commands if one.does("go", "build", "install")]
    if not builds or not all(one.program in _HARMLESS or one.does("go", *_GO) for _, one in commands):
        return
    if any(mount.from_ == stage.name for other in file.stages for step in other.steps for mount in step.mounts):
        return
    outputs = {output for step, one in builds for output in outputs_of(step, one)}
    for one in copies:
        target = _absolute(one.destination, _folder_at(stage, one))
        if target != "/" and all(_apart(source, target, outputs) for source in _taken_of(file, stage)):
            yield one.lines.first


def outputs_of(step: RunStep, command: ShellCommand) -> Iterator[str]:
    """Give the names of the programs that a `go build` makes, as far as it names them."""
    output = go_flags(step, command).get("o")
    if output:
        yield posixpath.basename(output.rstrip("/"))
    else:
        yield from (posixpath.basename(word.rstrip("/")) for word in command.plain()[1:])


def _taken_of(file: Advised, stage: AdvisedStage) -> Iterator[str]:
    """Give what other stages copy of a stage."""
    for other in file.stages:
        for one in other.stage.instructions:
            if isinstance(one, of.Copy) and one.from_ and file.graph.named(one.from_) == stage.number:
                yield from one.sources


def _apart(source: str, target: str, outputs: set[str]) -> bool:
    """Report whether a source of another stage is a program that was compiled, or nothing of the context's."""
    path = _absolute(source, "/")
    inside = path == target or path.startswith(f"{target}/") or target.startswith(f"{path.rstrip('/')}/")
    return not inside or posixpath.basename(path) in outputs


def _folder_at(stage: AdvisedStage, until: of.Instruction) -> str:
    folder = "/"
    for one in stage.stage.instructions:
        if one is until:
            break
        if isinstance(one, of.Workdir):
            folder = _absolute(one.path, folder)
    return folder


def _absolute(path: str, folder: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))
