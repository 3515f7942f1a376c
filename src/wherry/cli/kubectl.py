"""Resolve manifests for `resolve`, and pipe them to kubectl for `apply` and `create`."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from wherry.cli.world import World
from wherry.errors import HostUnable
from wherry.host.process import Command, which


def resolved(world: World, names: Sequence[str], options: Mapping[str, Any]) -> str:
    """Build and push what manifests reference; return them with image digests."""
    from wherry.app.resolve import resolve
    from wherry.cli.ko_words import from_ko
    from wherry.cli.progress_printer import ProgressPrinter
    from wherry.cli.words import given_words, go_build, voice_of

    given = given_words(click.get_current_context())
    options = from_ko(world, options, given)
    voice = voice_of(options)
    with world.reporter(voice.mode) as progress:
        world.progress = progress
        return resolve(
            world,
            names,
            go_build((), options),
            listening=lambda call: ProgressPrinter(progress, call, voice),
            selector=options["selector"],
            recursive=options["recursive"],
            stdin=world.stdin.read,
        )


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
