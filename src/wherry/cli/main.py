"""The commands, loaded when called, and the one place where an error becomes text."""

import errno
import importlib
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from wherry import __version__
from wherry.cli.world import World
from wherry.errors import CannotWrite, HostUnable, InvalidUsage, NotFound, WherryError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from wherry.cli.ahead import EarlyCompiler

_DESCRIPTORS = 64
"""Open files that any command does with; a build of a few steps takes about 40."""
COMMANDS = {
    "build": "Build the smallest working image from a Go module or a Dockerfile.",
    "why": "Explain why steps of a Dockerfile were rebuilt.",
    "run": "Run an image on this machine, rootless.",
    "ps": "List the containers that run.",
    "logs": "Print what a container in the background printed.",
    "exec": "Run one more program in a container that runs.",
    "stop": "Stop containers.",
    "kill": "Send a signal to containers.",
    "trace": "Print what a process, an image or a command does, as JSON lines.",
    "debug": "Open a shell next to a process, a container, an image or a pod.",
    "confine": "Write what a runtime has to be told, since an image can't say it.",
    "probe": "Watch a program for writes to closed connections (SIGPIPE).",
    "images": "List the images of the local store.",
    "inspect": "Show an image's config, layers and largest files.",
    "analyze": "Show an image's layers, and which of its bytes are shipped in vain.",
    "deps": "Show what programs need at run time, and whether it is there.",
    "explore": "Go through an image's layers and files in the terminal.",
    "tree": "Show an image's manifests, layers and attachments as a tree.",
    "verify-platforms": "Check that the platforms of an image agree.",
    "rebuild": "Rebuild an image and name the first difference and its cause.",
    "history": "Show figures of builds, pushes, pulls, runs and scans over time.",
    "board": "Write or serve an HTML page of the history: sizes, times, memory, caches, trends.",
    "report": "Write an HTML page that shows what takes up space in an image or a program.",
    "size": "Show how much of a Go binary each module, package and function takes.",
    "diff": "Show what grew between two programs or images.",
    "check": "Check images against the budgets of wherry.toml, or by a policy.",
    "policy": "Test a policy for images.",
    "slim": "Find what defeats dead-code elimination, and try known fixes.",
    "pack": "Show what packing a program saves and costs.",
    "flags": "Measure what each compiler and linker flag changes.",
    "modules": "Verify modules against go.sum, vendor/ and the checksum database.",
    "scan": "Find known vulnerabilities in an image, a Go binary or a go.mod.",
    "sbom": "Write what an image is made of as SPDX or CycloneDX.",
    "provenance": "Print how an image was built as SLSA provenance.",
    "leaks": "Find build paths, flags and secrets embedded in a program or image.",
    "push": "Push an image to a registry.",
    "pull": "Pull images from registries into the local store.",
    "copy": "Copy an image between registries, the local store, layouts and archives.",
    "sign": "Sign an image by a key.",
    "verify": "Verify that an image is signed by a key or an identity.",
    "attest": "Sign a statement about an image, such as an SBOM.",
    "verify-attestation": "Verify that an image has a signed statement.",
    "keys": "Make keys that sign images, and read them.",
    "resolve": "Build the Go packages that manifests reference, and print the manifests with image digests.",
    "apply": "Build the Go packages that manifests reference, and run kubectl apply.",
    "create": "Build the Go packages that manifests reference, and run kubectl create.",
    "watch": "Watch how a cluster pulls, starts and kills containers, by image.",
    "timeouts": "Check that the timeouts of a service, its manifests and the kernel agree.",
    "admission": "Judge images where a Kubernetes cluster admits pods.",
    "tags": "List the tags of a repository.",
    "login": "Log in to a registry.",
    "logout": "Log out of a registry.",
    "lock": "Pin the digests of all bases in wherry.lock.",
    "base": "List, build and update bases of signed Debian packages.",
    "certs": "Find the root certificates that an image needs.",
    "tag": "Add a name to an image.",
    "rm": "Remove image names.",
    "completion": "Print a completion script for bash, zsh or fish.",
    "init": "Write a wherry.toml for the current module.",
    "ci": "Write a step of CI that verifies modules, and sum a run of CI up.",
    "lint": "Check a Dockerfile without building it.",
    "context": "Show what a build context ships, and what .dockerignore could leave out.",
    "bench": "Build an image in two ways, and compare size, time and start.",
    "version": "Print the versions of wherry, Python and Go.",
    "help": "Show the options of a command, or a page of the documentation.",
    "doctor": "Check what wherry can use on this machine.",
    "gc": "Delete blobs and unpacked layers that no image name references.",
    "du": "Show the disk usage of the local store.",
    "verify-store": "Check every blob of the local store against its digest.",
    "load": "Load an archive or a layout into the local store.",
    "save": "Write images to an archive or a layout.",
}
"""Each command's name and its line in `wherry --help`, so that showing it imports no command.

Module `wherry.cli.NAME` (dashes become underscores) holds it as `command`.
"""


HIDDEN = frozenset({"worker"})
"""Commands that machines call and no list has."""


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the module of a command."""
        if cmd_name not in COMMANDS and cmd_name not in HIDDEN:
            return None
        from wherry.cli.grouped import note_json

        module = importlib.import_module("wherry.cli." + cmd_name.replace("-", "_"))
        command = module.command
        assert isinstance(command, click.Command)  # noqa: S101 - a slip of ours, found by the first test of the command
        for parameter in command.params:
            if parameter.name == "as_json":
                parameter.callback, parameter.is_eager = note_json, True
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; of an unknown one, name the nearest."""
        if args and args[0] not in COMMANDS and args[0] not in HIDDEN and not args[0].startswith("-"):
            import difflib

            from wherry.cli.other_tools import COMMANDS as OTHERS

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            hint = f"\nhint: {OTHERS[args[0]]}" if args[0] in OTHERS else guess
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Offer commands without importing them; options where a dash was typed."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=line) for name, line in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing them."""
        from wherry.cli.grouped import by_group

        for group, names in by_group(COMMANDS).items():
            if names:
                with formatter.section(group):
                    formatter.write_dl([(name, COMMANDS[name]) for name in names])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="wherry %(version)s")
@click.option("--store", metavar="DIR", envvar="WHERRY_STORE", help="Directory of the local store (an OCI layout).")
@click.option(
    "--cache", metavar="DIR", envvar="WHERRY_CACHE", help="Cache directory; it is safe to delete at any time."
)
@click.option(
    "--unpack-limit",
    metavar="SIZE",
    envvar="WHERRY_UNPACK_LIMIT",
    help="Most bytes of layers and archives that build and run unpack, such as 200GB. [default: 64 GiB]",
)
@click.option(
    "--min-free",
    metavar="SIZE",
    envvar="WHERRY_MIN_FREE",
    help="Bytes that RUN must leave free on the disk of the cache; 0 for no limit. [default: 256 MiB]",
)
@click.option("--verbose", is_flag=True, help="Print each program that is started, with its time and exit code.")
@click.option("--debug", is_flag=True, help="As --verbose, and print the Python traceback of an error.")
@click.pass_context
def wherry(  # noqa: PLR0913 - click hands over one argument an option
    ctx: click.Context,
    /,
    *,
    store: str | None,
    cache: str | None,
    unpack_limit: str | None,
    min_free: str | None,
    verbose: bool,
    debug: bool,
) -> None:
    """Build the smallest working container image from a Go module or a Dockerfile."""
    _check_descriptors()
    world: World = ctx.obj
    world.configure(store=store, cache=cache)
    if verbose or debug:
        world.be_verbose()
    world.debug = debug
    if unpack_limit is not None or min_free is not None:
        from wherry.settings.sizes import parse_bytes

        world.unpack_limit = parse_bytes(unpack_limit) if unpack_limit is not None else world.unpack_limit
        world.min_free = parse_bytes(min_free) if min_free is not None else world.min_free


def _check_descriptors() -> None:
    """Refuse to begin where so few files may be open that anything could fail halfway."""
    import resource

    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= allowed < _DESCRIPTORS and (most < 0 or most >= _DESCRIPTORS):
        resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, most))
    elif 0 <= allowed < _DESCRIPTORS:
        raise HostUnable(
            f"this shell lets a program open {allowed} files at once, and wherry needs {_DESCRIPTORS}",
            hint=f"raise the limit: ulimit -n 1024 (its hard limit is {most}; a new session or root can raise it)",
        )


def run(arguments: list[str], world: World) -> int:
    """Run one command line in a world; give the exit code.

    What the command returns is the code (None is 0); a `WherryError` is printed as
    `error:` and `hint:` on the world's stderr and gives its own code. Results that can't be
    written are an error too, see `console`.
    """
    from wherry.report.terminal import fitted

    with fitted(world.columns):
        return world.close(_run(arguments, world))


def _run(arguments: list[str], world: World) -> int:  # noqa: PLR0911 - one return a kind of end
    try:
        code = wherry.main(arguments, prog_name="wherry", obj=world, standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except (click.Abort, KeyboardInterrupt):  # click turns the second into the first
        world.note("cancelled")
        return 130
    except click.ClickException as error:
        error.show(world.stderr)
        code = InvalidUsage.exit_code if isinstance(error, click.UsageError) else error.exit_code
        _say_usage(error, code, arguments, world)
        return code
    except WherryError as error:
        _debug(error, world)
        world.fail(_with_figures(error))
        return error.exit_code
    except SystemExit as leaving:  # click's answer to a reader that went away; `World.close` knows better
        return leaving.code if isinstance(leaving.code, int) else 1
    except Exception as error:
        if isinstance(error, OSError) and (code := world.close(0)):
            return code  # stdout was what could not be written
        if world.environment.get("WHERRY_DEBUG"):
            raise
        _debug(error, world)
        return _unforeseen(error, arguments, world)
    return code if isinstance(code, int) else 0


def _say_usage(error: click.ClickException, code: int, arguments: list[str], world: World) -> None:
    """Print what is wrong with a command line as JSON, where it asks for JSON."""
    context = getattr(error, "ctx", None)
    known = context is not None and any(parameter.name == "as_json" for parameter in context.command.params)
    if (world.as_json or (known and "--json" in arguments)) and not world.said:
        refused = InvalidUsage(error.format_message(), hint=f"see {context.command_path} --help" if context else "")
        refused.exit_code = code
        world.as_json = True
        world.say_error(refused)


def _debug(error: Exception, world: World) -> None:
    """Print where an error comes from, where that is wanted."""
    if world.debug:
        import traceback

        world.note("".join(traceback.format_exception(error)).rstrip())


def _unforeseen(error: Exception, arguments: list[str], world: World) -> int:
    """Report what no room translated: a limit, a word that is not a text, or else a bug of ours."""
    known = _limited(error) or _misspelt(error, arguments) or _uninstalled(error)
    world.fail(
        known
        or WherryError(
            f"internal error: {type(error).__name__}: {error}",
            hint="this is a bug; run it again with WHERRY_DEBUG=1 and report what it prints",
        )
    )
    return known.exit_code if known else 70  # EX_SOFTWARE


def _limited(error: Exception) -> WherryError | None:
    """Name the limit of this process that an error comes from; None where it is another's."""
    number = error.errno if isinstance(error, OSError) else None
    where = f"{error.filename}: " if isinstance(error, OSError) and isinstance(error.filename, str) else ""
    if number in (errno.EMFILE, errno.ENFILE):
        return HostUnable(f"{where}too many open files", hint="raise the limit: ulimit -n 1024, or do less at once")
    if number == errno.ENAMETOOLONG:
        return NotFound(f"{where}the name is too long for a file", hint="shorten it; most file systems take 255 bytes")
    if number == errno.EFBIG:
        return CannotWrite(
            f"{where}a file would be larger than this shell allows", hint="raise the limit: ulimit -f unlimited"
        )
    return None


def _uninstalled(error: Exception) -> WherryError | None:
    """Name the optional package that is missing; None where it is another error."""
    from wherry.app.extras import missing

    return missing(error, "this command")


def _misspelt(error: Exception, arguments: list[str]) -> WherryError | None:
    """Name the words of the command line that came as other bytes than UTF-8, where something has to be text."""
    if not isinstance(error, UnicodeEncodeError):
        return None
    words = [word.encode(errors="surrogateescape") for word in arguments]
    odd = [repr(word)[2:-1] for word in words if word.decode(errors="ignore").encode() != word]
    if not odd:
        return None
    return InvalidUsage(f"{', '.join(odd)}: not UTF-8", hint="only names of files may be other bytes")


def _with_figures(error: WherryError) -> WherryError:
    """Add what budgets that are broken were measured to; figures are written for people up here only."""
    broken = getattr(error, "broken", ())
    if broken:
        from wherry.report.budgets import broken_lines

        error.message = "\n  ".join([error.message, *broken_lines(broken)])
    return error


def main(compiler: "EarlyCompiler | None" = None) -> NoReturn:
    """Be the `wherry` program.

    Args:
        compiler: what was started ahead, see `wherry.cli.ahead`.
    """
    world = World.of_process()
    world.compiler = compiler
    sys.exit(run(sys.argv[1:], world))
