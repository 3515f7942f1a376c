"""Resolve manifests for `resolve`, and pipe them to kubectl for `apply` and `create`."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from wherry.cli.world import World
from wherry.errors import HostUnable
from wherry.host.process import Command, which

if TYPE_CHECKING:
    from wherry.app.build.build import FinishedBuild


def resolved(world: World, names: Sequence[str], options: Mapping[str, Any], *, keep: bool = False) -> str:
    """Build and push what manifests reference; return them with image digests.

    Args:
        world: where.
        names: files, folders, or `-`.
        options: as the command line has them.
        keep: whether the text is all that the call prints, so that it may be kept for the same call.
    """
    from wherry.app.resolve import resolve
    from wherry.cli.ko_words import from_ko
    from wherry.cli.progress_printer import ProgressPrinter
    from wherry.cli.replay_build import may_remember
    from wherry.cli.words import given_words, go_build, voice_of

    given = given_words(click.get_current_context())
    options = from_ko(world, options, given)
    voice = voice_of(options)
    wanted = go_build((), options)
    began, began_at = time.time_ns(), world.clock()
    finished: list[FinishedBuild] = []
    with world.reporter(voice.mode) as progress:
        world.progress = progress
        text = resolve(
            world,
            names,
            wanted,
            listening=lambda call: ProgressPrinter(progress, call, voice),
            selector=options["selector"],
            recursive=options["recursive"],
            stdin=world.stdin.read,
            built=finished.append,
        )
    if finished:
        from wherry.cli.keep import keep_build

        keep_build(world, finished[0], began_at, "resolve")
    if keep and finished and "-" not in names and may_remember(wanted, voice):
        from wherry.cli.replay_transfer import remember_resolved

        remember_resolved(world, text, finished[0], voice, began, names, recursive=options["recursive"])
    return text


def hand_over(world: World, verb: str, flags: tuple[str, ...], options: Mapping[str, object]) -> int:
    """Resolve manifests and pipe them to kubectl; return its exit code.

    Raises:
        HostUnable: there is no kubectl (checked before anything is built).
    """
    kubectl = which("kubectl", world.environment.get("PATH", os.defpath))
    if kubectl is None:
        raise HostUnable(
            "kubectl: not on PATH", hint="install it, or pipe the output of `wherry resolve` to a machine that has it"
        )
    names = options["files"]
    assert isinstance(names, tuple)  # noqa: S101 - the option is one that repeats
    text = resolved(world, names, {key: value for key, value in options.items() if key != "files"})
    done = world.runner.run(Command((kubectl, verb, "-f", "-", *flags), world.cwd, world.environment, text.encode()))
    world.stderr.write(done.stderr.decode(errors="replace"))
    world.stdout.write(done.stdout.decode(errors="replace"))
    return done.returncode
