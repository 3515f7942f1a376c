"""`wherry deps IMAGE|BINARY`: what programs need at run time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from wherry.cli.complete import images, platforms
from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World
from wherry.errors import InvalidUsage

if TYPE_CHECKING:
    from wherry.app.deps import TracedDeps
    from wherry.app.traces import TraceOptions


@click.command("deps", cls=GroupedCommand)
@click.argument("name", metavar="IMAGE|BINARY", shell_complete=images)
@click.argument("arguments", metavar="[ARG]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--platform", metavar="PLATFORM", help="Check only this platform.", shell_complete=platforms)
@click.option("--all", "every", is_flag=True, help="Show also the programs that lack nothing, and lists whole.")
@click.option(
    "--fail-on",
    multiple=True,
    metavar="SEVERITY|RULE",
    help="Exit 1 on a finding of this rule or severity (error, warning, note). [default: error]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole document; `wherry help deps` has its schema.")
@click.option("--trace", is_flag=True, help="Run the image and list what it opens, misses, executes and connects to.")
@click.option("--for", "length", default="", metavar="TIME", help="Trace for at most this long. [default: 10s]")
@click.option(
    "--probe",
    "probes",
    multiple=True,
    metavar="URL",
    help="Ask this inside the container until it answers, such as http://localhost:8080/healthz; then end the trace.",
)
@click.option("--until-exit", is_flag=True, help="Trace until the program ends by itself, or until Ctrl-C.")
@click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Set an environment variable for the trace.")
@click.option("-v", "--volume", multiple=True, metavar="SRC:DST[:ro]", help="Bind-mount for the trace.")
@click.option(
    "--network",
    type=click.Choice(["none", "default", "host"]),
    default="none",
    help="Network of the trace. none: loopback only; default, host: as for `wherry run`.",
)
@click.option(
    "--emit",
    type=click.Choice(["files", "seccomp", "apparmor", "selinux", "base"]),
    help="Print what the trace shows as a file list or a policy; seccomp: the image is then run under it, too. "
    "base: print the [base] of wherry.toml that has what it needs; without --trace, from what is linked.",
)
@click.pass_context
def command(context: click.Context, /, **words: object) -> int:
    """Show what programs need at run time, and whether it is there. Without --trace, nothing is run.

    For each executable of an image: the interpreter, all libraries as the dynamic linker of glibc or musl finds them
    in the image, symbol versions, and what starts a script. For Go programs: the files that linked packages can ask
    for, such as certificates and time zones, and the smallest of wherry's bases that has them.

    With --trace, the image is run in the sandbox, with ARG in place of its command, and what it did is shown next to
    what it declares: opened, missing, never opened, never declared. The trace ends with the program, when all probes
    have answered, or when its time is up. Put -- before arguments that start with a dash.

    A BINARY is checked against the files of this machine. Exits 1 where a program cannot be loaded.
    """
    from wherry.app.deps import deps, failures

    world: World = context.obj
    call = _Call(**words)  # type: ignore[arg-type] # click's words, by the names of the options above
    traced = None
    if call.trace or call.emit not in {None, "base"}:
        traced = _trace(world, call)
        document = traced.document
    else:
        _refuse_words(call)
        document = deps(world, call.name, platform=call.platform)
    broken = failures(document, call.fail_on)
    if call.emit == "base":
        from wherry.app.base_proposal import proposed_base

        for line in proposed_base(world, call.name, document).splitlines():
            world.say(line)
        return 0
    if traced is not None and call.emit:
        _emit(world, call, traced)
    elif call.as_json:
        import msgspec

        world.say(msgspec.json.encode(document).decode())
    else:
        from wherry.report.deps import lines_of

        for line in lines_of(document, every=call.every):
            world.say(line)
    return 1 if broken else 0


@dataclass(frozen=True, kw_only=True)
class _Call:
    """The words of one call."""

    name: str
    arguments: tuple[str, ...]
    platform: str | None
    every: bool
    fail_on: tuple[str, ...]
    as_json: bool
    trace: bool
    length: str
    probes: tuple[str, ...]
    until_exit: bool
    env: tuple[str, ...]
    volume: tuple[str, ...]
    network: str
    emit: str | None


def _refuse_words(call: _Call) -> None:
    given = {
        "--for": call.length,
        "--probe": call.probes,
        "--until-exit": call.until_exit,
        "--env": call.env,
        "--volume": call.volume,
        "--network": call.network != "none",
        "arguments": call.arguments,
    }
    word = next((name for name, value in given.items() if value), "")
    if word:
        raise InvalidUsage(f"{word} is for a trace, and nothing is run without --trace", hint="add --trace")


def options_of(world: World, call: _Call) -> "TraceOptions":
    """Read how an image is run."""
    from wherry.app.traces import TraceOptions
    from wherry.runtime.run import parse_volume
    from wherry.settings.sizes import parse_duration

    if call.until_exit and call.length:
        raise InvalidUsage("--until-exit and --for cannot be combined", hint="remove one of them")
    seconds = parse_duration(call.length, "--for") if call.length else 10.0
    environment = {}
    for line in call.env:
        name, equals, value = line.partition("=")
        if not name or "\0" in line:
            raise InvalidUsage(f"{line!r}: invalid variable", hint="write it as NAME=VALUE")
        if equals or name in world.environment:
            environment[name] = value if equals else world.environment[name]
    return TraceOptions(
        arguments=call.arguments,
        environment=environment,
        volumes=tuple(parse_volume(text, world.cwd) for text in call.volume),
        network=call.network,
        seconds=0.0 if call.until_exit else seconds,
        until="probes" if call.probes and not call.until_exit and not call.length else "exit",
        probes=call.probes,
        calls=call.emit == "seccomp",
        interruptible=True,
    )


def _trace(world: World, call: _Call) -> "TracedDeps":
    from wherry.app.deps import traced_deps

    def notice(line: str) -> None:
        world.note(f"  {line}")

    traced = traced_deps(world, call.name, options_of(world, call), platform=call.platform, notice=notice)
    outcome = traced.run.outcome
    for answer in outcome.answers:
        if not answer.answered:
            world.note(f"  warning: {answer.probe.text} was not answered: {answer.text}")
    return traced


def _emit(world: World, call: _Call, traced: "TracedDeps") -> None:
    from wherry.app.emit import emitted, evidence_of, try_profile

    text = emitted(call.emit or "", traced)
    if call.emit == "seccomp":
        from pathlib import Path
        from tempfile import TemporaryDirectory

        with TemporaryDirectory(prefix="wherry-") as folder:
            again = try_profile(world, traced, options_of(world, call), text, Path(folder))
        world.note(f"  tried: it runs under this profile (ended by {again.outcome.ended_by})")
    if call.emit != "files":
        for line in evidence_of(traced).unexercised():
            world.note(f"  never exercised: {line}")
    for line in text.splitlines():
        world.say(line)
