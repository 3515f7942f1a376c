"""A Dockerfile with its stages merged into one, or with its one stage split: for comparing the two, not for use.

What COPY takes from a stage becomes a copy within the one root, which needs the base's `sh` and `cp`.
"""

import json
import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence

from wherry.dockerfile import instructions as of
from wherry.dockerfile.advice.compiled import outputs_of
from wherry.dockerfile.advice.images import lacks_shell
from wherry.dockerfile.advice.stages import Advised, AdvisedStage
from wherry.dockerfile.errors import DockerfileError
from wherry.dockerfile.fixes.written import split_lines

_BUILDS = (of.Add, of.Arg, of.Copy, of.Env, of.Run, of.Shell, of.User, of.Workdir)
"""What counts in a stage that does not become the image."""
_SETS = (
    of.Cmd, of.Entrypoint, of.Env, of.Expose, of.Healthcheck, of.Label, of.Stopsignal, of.Volume, of.Workdir,
)  # fmt: skip
"""What stays with the program when its stage is split."""
_HINT = "compare two Dockerfiles of your own with --against FILE"


class CannotReshape(DockerfileError):
    """Stages of a Dockerfile can't be merged, or its stage can't be split."""


def merged(file: Advised, text: str) -> str:
    """Merge the stages that the target needs into one.

    All commands run on the base of the first stage that runs some; whether they can, a build tells.

    Raises:
        CannotReshape: a mount needs a stage, or files have to be copied on a base without a shell.
    """
    lines = split_lines(text)
    reached = file.graph.reached((file.final.number,), [one.image for one in file.stages])
    stages = [one for one in file.stages if one.number in reached]
    base = _base(stages, file.final)
    out = [_source(lines, one) for one in file.file.preamble]
    head = f" --platform={base.stage.base.platform}" if base.stage.base.platform else ""
    out.append(f"FROM{head} {_root_of(file, base).stage.base.image}\n")
    last: AdvisedStage | None = None
    for stage in stages:
        if last is not None and stage.below != last.number:
            out.append("USER 0\nWORKDIR /\n")
        last = stage
        for one in stage.stage.instructions:
            out += _moved(file, lines, stage, one, base.root)
    return "".join(out)


def _root_of(file: Advised, stage: AdvisedStage) -> AdvisedStage:
    while stage.below is not None:
        stage = file.stages[stage.below]
    return stage


def _base(stages: Sequence[AdvisedStage], final: AdvisedStage) -> AdvisedStage:
    """Find the stage that gives the base for all commands: the first that runs some."""
    return next((one for one in stages if one.steps), final)


def _moved(file: Advised, lines: Sequence[str], stage: AdvisedStage, one: of.Instruction, root: str) -> Iterator[str]:
    if isinstance(one, of.Copy) and one.from_ and file.graph.named(one.from_) is not None:
        if one.contents or one.parents or one.exclude or any("*" in source for source in one.sources):
            raise CannotReshape("this COPY has no form within one stage", one.lines, hint=_HINT)
        yield from _copied_inside(one, root)
    elif isinstance(one, of.Run) and any(mount.from_ and not mount.from_.isdigit() for mount in one.mounts):
        raise CannotReshape("a mount takes files of a stage or an image", one.lines, hint=_HINT)
    elif stage is file.final or isinstance(one, _BUILDS):
        yield _source(lines, one)


def _copied_inside(one: of.Copy, root: str) -> Iterator[str]:
    for source in one.sources:
        path = posixpath.normpath("/" + source.lstrip("/"))
        folder = one.destination.endswith("/") or one.destination == "." or len(one.sources) > 1
        target = posixpath.join(one.destination, posixpath.basename(path)) if folder else one.destination
        if posixpath.normpath(target) == path:
            continue
        if lacks_shell(root):
            raise CannotReshape(f"{root} has no shell to copy within the merged stage", one.lines, hint=_HINT)
        quoted, to = shlex.quote(path), shlex.quote(target)
        into = shlex.quote(one.destination)
        # Both may be one path: in a stage of its own it was another file.
        contents = f"[ {quoted} -ef {into} ] || {{ mkdir -p {into} && cp -a {quoted}/. {into}/; }}"
        itself = f'[ {quoted} -ef {to} ] || {{ mkdir -p "$(dirname {to})" && cp -a {quoted} {to}; }}'
        yield f"RUN if [ -d {quoted} ]; then {contents}; else {itself}; fi\n"


def _source(lines: Sequence[str], one: of.Instruction) -> str:
    text = "".join(lines[one.lines.first - 1 : one.lines.last])
    return text if text.endswith("\n") else f"{text}\n"


def split(file: Advised, text: str) -> str:
    """Split the one stage of a Dockerfile that compiles a static Go program: the image has the program alone.

    Raises:
        CannotReshape: it compiles none that is known to be static, or starts something else.
    """
    stage = file.final
    start = _program(stage)
    builds = [
        (step, command) for step in stage.steps for command in step.commands if command.does("go", "build", "install")
    ]
    static = any(step.setting(command, "CGO_ENABLED") == "0" for step, command in builds)
    outputs = {output for step, command in builds for output in outputs_of(step, command)}
    if not builds or not static or posixpath.basename(start) not in outputs or not start.startswith("/"):
        raise CannotReshape(
            "this one stage can't be split: it starts no Go program that it compiles with CGO_ENABLED=0", hint=_HINT
        )
    lines = split_lines(text)
    name = stage.stage.base.name or "build"
    first = stage.stage.base.lines
    head = "".join(lines[: first.first - 1])
    base = stage.stage.base.text + ("" if stage.stage.base.name else f" AS {name}")
    out = [head, f"{base}\n"]
    out += [_source(lines, one) for one in stage.stage.instructions if isinstance(one, _BUILDS)]
    out += ["FROM scratch\n", f"COPY --from={name} {json.dumps([start, start])}\n"]
    for one in stage.stage.instructions:
        numeric = isinstance(one, of.User) and re.fullmatch(r"\d+(?::\d+)?", one.user)
        if isinstance(one, _SETS) or numeric:
            out.append(_source(lines, one))
    return "".join(out)


def _program(stage: AdvisedStage) -> str:
    """Give the program that an image starts by a JSON array; empty where a shell does."""
    found = ""
    for kind in (of.Cmd, of.Entrypoint):
        for one in stage.stage.instructions:
            if isinstance(one, kind) and not one.command.shell and one.command.words:
                found = one.command.words[0]
    return found


def is_split(file: Advised) -> bool:
    """Report whether a file's target needs more than one stage."""
    return len(file.graph.reached((file.final.number,), [one.image for one in file.stages])) > 1
