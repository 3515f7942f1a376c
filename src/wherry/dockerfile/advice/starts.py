"""Advice about bases that can't start what is copied into them: no C library, another one, or no shell.

Sources: `go help environment` (CGO_ENABLED); The Cargo Book, `build.target`; rustc, "Target tier" (gnu targets link
glibc dynamically, musl ones statically).
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from wherry.dockerfile import instructions as of
from wherry.dockerfile.advice.go_flags import go_flags, is_static_link, linker_flags
from wherry.dockerfile.advice.images import ImageName, is_builder, lacks_libc, lacks_shell, libc_of
from wherry.dockerfile.advice.shell import ShellCommand
from wherry.dockerfile.advice.stages import Advised, AdvisedStage, RunStep

_NO_PROGRAMS = ("/etc", "/usr/share", "/var", "/tmp", "/lib", "/usr/lib", "/home", "/root")  # noqa: S108 - paths in images


@dataclass(frozen=True, slots=True)
class _Program:
    """A program that a stage compiles to be linked dynamically."""

    output: str
    """The base name of its file; empty: not known."""
    libc: str
    why: str
    unsure: str


def judge_starts(file: Advised) -> None:
    """Find programs that the final stage's base can't start."""
    _judge_shell(file)
    root = file.final.root
    for stage in file.shipped:
        for one in stage.stage.instructions:
            if isinstance(one, of.Copy) and one.from_:
                number = file.graph.named(one.from_)
                if number is not None:
                    _judge_copy(file, one, file.stages[number], root)


def _judge_copy(file: Advised, copy: of.Copy, builder: AdvisedStage, root: str) -> None:
    bare = lacks_libc(root) and not _brings_libc(file)
    target = libc_of(root)
    for program in _programs(builder):
        if not any(_copies(source, program.output) for source in copy.sources):
            continue
        if bare:
            message = f"{root} cannot start {program.why}: it has no C library"
        elif target and program.libc and target != program.libc:
            message = f"{root} has {target}, and {program.why} needs {program.libc}"
        else:
            continue
        file.add("base-cannot-start-program", copy, message, unsure=program.unsure)


def _brings_libc(file: Advised) -> bool:
    """Report whether files of a C library are copied into the final stage, or it is unpacked from an archive."""
    for stage in file.shipped:
        for one in stage.stage.instructions:
            if isinstance(one, of.Add):
                return True
            if isinstance(one, of.Copy) and any(
                "/lib" in source or source.rstrip("/") in ("", "/rootfs") or "ld-" in source for source in one.sources
            ):
                return True
    return False


def _copies(source: str, output: str) -> bool:
    if "$" in source or "*" in source:
        return False
    clean = posixpath.normpath(source)
    if output:
        return posixpath.basename(clean) == output
    return not clean.startswith(_NO_PROGRAMS)


def _programs(stage: AdvisedStage) -> Iterator[_Program]:
    for step in stage.steps:
        for command in step.commands:
            if command.does("go", "build"):
                yield from _go_program(stage, step, command)
            elif command.does("cargo", "build", "install"):
                yield from _rust_program(stage, step, command)


def _go_program(stage: AdvisedStage, step: RunStep, command: ShellCommand) -> Iterator[_Program]:
    flags = go_flags(step, command)
    cgo = step.setting(command, "CGO_ENABLED")
    if cgo not in (None, "1") or is_static_link(linker_flags(flags)) or "musl" in (step.setting(command, "CC") or ""):
        return
    tags = set(flags.get("tags", "").replace(",", " ").split())
    musl = libc_of(stage.root) == "musl"
    unsure = ""
    if cgo is None:
        crossing = step.setting(command, "GOARCH")
        if ImageName.parse(stage.root).short != "golang" or musl or crossing or {"netgo", "osusergo"} <= tags:
            return  # without a C compiler, or for another platform, Go builds without cgo
        unsure = "CGO_ENABLED is not set: the program is dynamic if it imports net, os/user or C"
    output = flags.get("o", "")
    libc = "musl" if musl else libc_of(stage.root)
    why = "a Go program compiled with cgo" if cgo else "a Go program that may be compiled with cgo"
    yield _Program("" if output.endswith("/") or "$" in output else posixpath.basename(output), libc, why, unsure)


def _rust_program(stage: AdvisedStage, step: RunStep, command: ShellCommand) -> Iterator[_Program]:
    words = " ".join((*command.words, *(f"{name}={value}" for name, value in command.environment.items())))
    settings = [step.setting(command, name) or "" for name in ("RUSTFLAGS", "CARGO_BUILD_TARGET")]
    if "musl" in words or "crt-static" in f"{words} {settings[0]}" or "musl" in settings[1] or "--target" in words:
        return
    if ImageName.parse(stage.root).short != "rust" or libc_of(stage.root) != "glibc":
        return
    yield _Program("", "glibc", "a Rust program for the gnu target", "")


def _judge_shell(file: Advised) -> None:
    """Find a CMD or ENTRYPOINT in shell form where there is no shell."""
    root = file.final.root
    if not lacks_shell(root) or is_builder(root):
        return
    last: dict[type[of.Instruction], of.Cmd | of.Entrypoint] = {}
    for stage in file.shipped:
        for one in stage.stage.instructions:
            if isinstance(one, of.Shell | of.Add):
                return
            if isinstance(one, of.Copy) and not _narrow(one):
                return
            if isinstance(one, of.Cmd | of.Entrypoint):
                last[type(one)] = one
    for one in last.values():
        if one.command.shell and one.command.words:
            file.add("base-has-no-shell", one, one.word.upper(), root)


def _narrow(copy: of.Copy) -> bool:
    """Report whether a COPY can't bring a shell: it names files, and none of a root or a folder of programs."""
    if posixpath.normpath(copy.destination) in ("/bin", "/bin/sh", "/usr/bin", "/usr"):
        return False
    return not any(
        "busybox" in source
        or posixpath.normpath(source) in ("/", ".", "/bin", "/usr")
        or "rootfs" in source
        or source.endswith("/")
        for source in copy.sources
    )
