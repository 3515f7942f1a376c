"""Help that is read: commands by what they are for, options by what they touch, two examples a page."""

from collections.abc import Iterable, Mapping

import click
from click.core import ParameterSource

from wherry.cli.examples import EXAMPLES

COMMAND_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Build": ("build", "base", "certs", "lint", "context", "why", "lock", "init", "ci"),
    "Run": ("run", "ps", "logs", "exec", "stop", "kill", "trace", "probe", "debug", "confine"),
    "Measure": (
        *("size", "diff", "check", "slim", "flags", "pack", "leaks"),
        *("scan", "bench", "report", "history", "board"),
    ),
    "Look at images": ("images", "inspect", "tree", "analyze", "deps", "explore", "rebuild", "verify-platforms"),
    "Move images": ("push", "pull", "copy", "save", "load", "tags", "tag", "rm", "login", "logout"),
    "Trust": ("sign", "verify", "attest", "verify-attestation", "keys", "modules", "sbom", "provenance", "policy"),
    "Kubernetes": ("resolve", "apply", "create", "timeouts", "admission", "watch"),
    "This machine": ("doctor", "gc", "du", "verify-store", "completion", "version", "help"),
}
_OTHER = "Other commands"
_WITH_TABLES = frozenset({
    "size", "diff", "check", "slim", "flags", "leaks", "scan", "inspect", "analyze", "deps", "images", "du", "lock",
    "ps", "tags", "doctor", "bench", "base", "certs", "pack", "history",
})  # fmt: skip
"""Commands that print tables for people; those take `--no-trunc`."""
_FEW = 16
"""Options up to which a page needs no groups."""
OPTION_GROUPS: Mapping[str, str] = {
    "Result": "--tag --format --push --load --output --metadata-file --iidfile --quiet --json --budgets --prove "
    "--against --size-record --sbom --provenance --attach --debug-info --jobs",
    "Manifests": "--filename --recursive --selector",
    "Both front ends": "--file --go --platform --timeout --pull --offline --insecure --no-cache --explain --progress "
    "--debug-shell",
    "Image": "--label --annotation --env --user --workdir --expose --entrypoint --cmd --add --compression "
    "--compression-level --release --strict-encoder",
    "Go": "--base --debian --keep --ca --ca-for --ca-only --ldflags --allow-secret-ldflags --build-tags --tags "
    "--disable-optimizations "
    "--gcflags --asmflags --go-env --go-version --strip "
    "--trimpath --strip-buildid --no-vcs --profile --device-memory --pie --cgo",
    "Dockerfile": "--target --build-arg --build-context --secret --ssh --no-cache-filter --add-host --ulimit "
    "--shm-size --network --allow --isolation --ignore-chown-errors --check --cache-from --cache-to",
    "On a cluster": "--on --builder --namespace --context --parallelism --queue --suspend --verify --detach --print "
    "--sign",
    "Names, as in ko": "--repo --preserve-import-paths --base-import-paths --bare --local --tag-only --image-refs",
}
"""Options of pages with many, by long name; the first group that names one is its."""
_RUN_GROUPS: Mapping[str, str] = {
    "Container": "--env --env-file --volume --workdir --user --entrypoint --platform --hostname --network --publish "
    "--interactive --tty --detach --name --rm --quiet",
    "Limits": "--memory --cpus --pids-limit --read-only --no-dev --cap-add --cap-drop --security-opt",
    "Health": "--health --health-cmd --health-interval --health-timeout --health-start-period --health-retries "
    "--no-healthcheck",
}
_NEVER_EMPTY = (
    "copy_out", "cpus", "device_memory", "health_cmd", "health_interval", "health_start_period", "health_timeout",
    "memory", "profile", "toolbox",
)  # fmt: skip
"""Options that need a value: an empty one comes from a variable that is not set.

Docker takes an empty --name, --platform and --target, and so do we.
"""
_ARGUMENTS = ("image", "name", "target")
"""The same of arguments."""
_ADMISSION_GROUPS: Mapping[str, str] = {
    "Policy": "--config --policy --mode --exempt --insecure",
    "Server": "--address --port --drain --log",
    "Certificate": "--tls-cert --tls-key --tls-name --tls-secret --webhook --provider --ca-file",
}
_MISPLACED = "Other options"
_GENERAL = "General"
_EVERYWHERE = frozenset({"--help", "--verbose", "--no-trunc"})


def groups_of(command: str) -> Mapping[str, str]:
    """Give the groups of options that a command's page has."""
    return {"run": _RUN_GROUPS, "serve": _ADMISSION_GROUPS}.get(command, OPTION_GROUPS)


def group_of(command: str, option: click.Option) -> str:
    """Name the group of an option on a page with many."""
    names = set(option.opts)
    if names & _EVERYWHERE:
        return _GENERAL
    return next((group for group, words in groups_of(command).items() if names & set(words.split())), _MISPLACED)


def by_group(commands: Iterable[str]) -> dict[str, list[str]]:
    """Sort commands into the groups of `wherry --help`."""
    left = dict.fromkeys(commands)
    found = {group: [name for name in names if name in left] for group, names in COMMAND_GROUPS.items()}
    named = {name for names in found.values() for name in names}
    return {**found, **({_OTHER: others} if (others := [name for name in left if name not in named]) else {})}


class GroupedCommand(click.Command):
    """A command with grouped options, examples, and `--verbose`."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Add what every command has."""
        own = super().get_params(ctx)
        taken = {name for parameter in own for name in parameter.opts}
        more = [] if "--verbose" in taken else [_verbose()]
        more += [_no_trunc()] if self.name in _WITH_TABLES else []
        return [*own[:-1], *more, *own[-1:]]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; for an option of docker that wherry does not have, say what to use in its place."""
        try:
            left = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            from wherry.cli.other_tools import OPTIONS

            if hint := OPTIONS.get(self.name or "", {}).get(error.option_name):
                raise click.UsageError(f"No such option {error.option_name!r}.\nhint: {hint}", ctx) from error
            raise
        for one in self.params:
            name, option = one.name or "", isinstance(one, click.Option)
            given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
            if name in (_NEVER_EMPTY if option else _ARGUMENTS) and given and ctx.params.get(name) == "":
                shown = "--" + name.replace("_", "-") if option else name.upper()
                raise click.UsageError(f"{shown} has an empty value.\nhint: is a variable not set?", ctx)
        return left

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write options by group; a page with few has one."""
        options = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        many = len(options) > _FEW
        groups: dict[str, list[tuple[str, str]]] = {group: [] for group in groups_of(self.name or "")} if many else {}
        for option in options:
            if record := option.get_help_record(ctx):
                groups.setdefault(group_of(self.name or "", option) if many else "Options", []).append(record)
        for group, records in groups.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        inside = ctx.parent is not None and isinstance(ctx.parent.command, CommandGroup)
        write_examples(f"{ctx.parent.info_name} {self.name}" if inside and ctx.parent else self.name or "", formatter)


class CommandGroup(click.Group):
    """A command that is a group of others, each imported when it is called."""

    def __init__(self, name: str, *, commands: Mapping[str, tuple[str, str]], help: str) -> None:  # noqa: A002 - click's name
        """Take the commands.

        Args:
            name: of the group.
            commands: by name, the module that holds each as `command`, and its line on the group's page.
            help: what the group is for.
        """
        super().__init__(name, help=help)
        self.subcommands = commands

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands."""
        return list(self.subcommands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command."""
        if cmd_name not in self.subcommands:
            return None
        import importlib

        found = importlib.import_module(self.subcommands[cmd_name][0]).command
        assert isinstance(found, click.Command)  # noqa: S101 - a slip of ours, found by the first test of the command
        for parameter in found.params:
            if parameter.name == "as_json":
                parameter.callback, parameter.is_eager = note_json, True
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.subcommands.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        write_examples(self.name or "", formatter)


def write_examples(name: str, formatter: click.HelpFormatter) -> None:
    """Write the examples of a command."""
    if examples := EXAMPLES.get(name):
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{' ' * formatter.current_indent}{example}\n")


def note_json(context: click.Context, _: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click's signature
    """Have errors printed as JSON, where results are."""
    context.obj.as_json = value
    return value


def _no_trunc() -> click.Option:
    return click.Option(
        ["--no-trunc"], is_flag=True, expose_value=False, callback=_leave_whole,
        help="Do not shorten names to fit the terminal.",
    )  # fmt: skip


def _leave_whole(_context: click.Context, _option: click.Parameter, value: object) -> None:
    if value:
        from wherry.report.terminal import leave_whole

        leave_whole()


def _verbose() -> click.Option:
    return click.Option(
        ["--verbose"], is_flag=True, expose_value=False, callback=be_verbose,
        help="Print each program that is started, with its time and exit code.",
    )  # fmt: skip


def be_verbose(context: click.Context, _option: click.Parameter, value: object) -> None:
    """Print each program that is started, if asked to: what `--verbose` does."""
    if value and context.obj is not None:
        context.obj.be_verbose()
