"""An image, run here: its config and the user's options to one container.

Sources: OCI image-spec v1.1.1, config.md and conversion.md; docker run's reference for the names and the
meaning of the options, and for PATH, HOME and TERM where an image says nothing.
"""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wherry.errors import InvalidDocument, InvalidUsage, NotFound
from wherry.oci.config import RuntimeConfig
from wherry.runtime.security import Security
from wherry.sandbox import ids
from wherry.sandbox.accounts import AccountFiles, ContainerUser
from wherry.sandbox.attach import run_container
from wherry.sandbox.control_groups import ControlFolders, Limits, control_groups
from wherry.sandbox.networks import Networks
from wherry.sandbox.spec import Container, Emulator
from wherry.sandbox.spec import HostMount as VolumeDocument

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
_NPROC = 6  # RLIMIT_NPROC
_OF_PROC = tuple(
    f"/proc/{name}"
    for name in ("cpuinfo", "diskstats", "loadavg", "meminfo", "net/dev", "slabinfo", "stat", "swaps", "uptime")
)
"""Files that runc lets others stand for (libcontainer/rootfs_linux.go, `checkProcMount`)."""
_PROVIDED = ("/etc/resolv.conf", "/etc/hosts")


@dataclass(frozen=True, slots=True)
class BindMount:
    """A file or folder of this machine that the container sees too."""

    source: Path
    destination: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the user wants other than the image says; None and empty mean: as the image says."""

    arguments: tuple[str, ...] = ()
    """In place of the image's Cmd."""
    entrypoint: str | None = None
    """In place of the image's; then its Cmd doesn't count either."""
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None
    user: str | None = None
    volumes: tuple[BindMount, ...] = ()
    hostname: str = ""
    read_only: bool = False
    stdin: bool = False
    terminal: bool = False
    security: Security = field(default_factory=Security)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class RunSpec:
    """All that is decided about a container."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str
    account: ContainerUser
    volumes: tuple[BindMount, ...]
    hostname: str
    read_only: bool
    stdin: bool
    terminal: bool
    security: Security
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class RunHost:
    """Where a container runs: what this machine gives it."""

    layers: tuple[Path, ...]
    """Unpacked, base first."""
    stage: Path
    """An empty folder to mount on."""
    mapping: ids.Mapping
    emulator: Emulator | None = None
    overlay: bool = True
    network: Networks = field(default_factory=Networks)
    control: ControlFolders = field(default_factory=ControlFolders)
    """Where control groups may be made."""
    architecture: str = ""
    """Of the image."""


def prepare(config: RuntimeConfig, options: RunOptions, accounts: AccountFiles, name: str) -> RunSpec:
    """Put an image's config and the user's options together.

    Args:
        config: how the image says it starts.
        options: what the user says.
        accounts: the image's own.
        name: what the user knows the image by.

    Raises:
        InvalidUsage: nothing says what to start, or an account does not exist.
    """
    if options.entrypoint is not None:
        argv = (*((options.entrypoint,) if options.entrypoint else ()), *options.arguments)
    else:
        argv = (*(config.entrypoint or ()), *(options.arguments or config.cmd or ()))
    if not argv or not argv[0]:
        raise InvalidUsage(f"{name} has no entry point or command", hint=f"give a program: wherry run {name} PROGRAM")
    _check(name, argv, options.hostname)
    account = accounts.find(config.user if options.user is None else options.user)
    folder = options.folder or config.working_dir or "/"
    if not folder.startswith("/") or "\0" in folder:
        raise InvalidUsage(
            f"{folder}: the working directory must be absolute", hint="give an absolute path with --workdir"
        )
    return RunSpec(
        argv=argv,
        environment=_environment(config, options, account),
        folder=folder,
        account=account,
        volumes=options.volumes,
        hostname=options.hostname,
        read_only=options.read_only,
        stdin=options.stdin,
        terminal=options.terminal,
        security=options.security,
        limits=options.limits,
    )


def run(spec: RunSpec, place: RunHost, *, notice: Callable[[str], None], why: Callable[[], str]) -> int:
    """Run a container to its end.

    Args:
        spec: what was decided about it.
        place: where it runs.
        notice: receives notes for the user, one line at a time.
        why: asked why this machine may refuse a sandbox.

    Returns:
        The program's exit code; 128 and the signal where one killed it.

    Raises:
        HostUnable: this machine can't.
        NotStarted: the program is not in the image, or can't be executed.
    """
    return run_container(document(spec, place), stdin=spec.stdin, notice=notice, why=why)


def document(spec: RunSpec, place: RunHost) -> Container:
    """Write down what the launcher is asked."""
    account, security = spec.account, spec.security
    network = place.network.publishing(security.ports)
    mode = network.mode(security.network)
    asked = [_volume(volume, provided=False) for volume in spec.volumes]
    provided = [
        _volume(BindMount(Path(path), path, read_only=True), provided=True) for path in _PROVIDED if Path(path).exists()
    ]
    return Container(
        task="run",
        ids=place.mapping.for_user(account.uid, account.gid),
        stage=str(place.stage),
        layers=[str(layer) for layer in place.layers],
        overlay=place.overlay,
        read_only=spec.read_only,
        argv=list(spec.argv),
        environment=dict(spec.environment),
        folder=spec.folder,
        uid=account.uid,
        gid=account.gid,
        groups=list(account.groups),
        hostname=spec.hostname,
        volumes=[*provided, *asked],
        emulator=place.emulator,
        terminal=spec.terminal,
        writable="",
        own_tmp=True,
        mounts=[],
        privileges="usual",
        capabilities=list(security.capabilities),
        no_new_privileges=security.no_new_privileges,
        seccomp=security.seccomp,
        socketcall=place.architecture == "386",
        network=mode,
        uplink=network.uplink if mode == "own" else None,
        shared=network.reason,
        control=control_groups(_grouped(spec.limits, place), place.control),
        shm=0,
        few_devices=security.few_devices,
        limits=[(_NPROC, spec.limits.processes, spec.limits.processes)] if spec.limits.processes else [],
    )


def _grouped(limits: Limits, place: RunHost) -> Limits:
    """Give the limits that need a control group: setrlimit(2) holds for the processes of a plain user."""
    return limits if place.mapping.kind == "all" else replace(limits, processes=0)


def _environment(config: RuntimeConfig, options: RunOptions, account: ContainerUser) -> dict[str, str]:
    chosen = {**config.environment, **options.environment}
    usual = {"PATH": DEFAULT_PATH, "HOME": account.home}
    if options.terminal:
        usual["TERM"] = "xterm"
    return {key: value for key, value in {**usual, **chosen}.items() if key and "\0" not in key + value}


def _check(name: str, argv: Sequence[str], hostname: str) -> None:
    if any("\0" in word for word in argv):
        raise InvalidDocument(name, "the command contains a zero byte", hint="give a program: --entrypoint PROGRAM")
    if hostname and not _HOSTNAME.fullmatch(hostname):
        raise InvalidUsage(
            f"{hostname!r} is not a valid host name",
            hint="use letters, digits, dots and dashes, 64 at most, with --hostname",
        )


def _volume(volume: BindMount, *, provided: bool) -> VolumeDocument:
    return VolumeDocument(
        source=str(volume.source), destination=volume.destination, read_only=volume.read_only, provided=provided
    )


def parse_volume(text: str, folder: Path) -> BindMount:
    """Read `SOURCE:DESTINATION[:ro|rw]`.

    Args:
        text: as docker's -v has it.
        folder: what a relative source starts from.

    Raises:
        InvalidUsage: it is invalid.
        NotFound: there is nothing at its source.
    """
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[0] or not parts[1].startswith("/"):
        raise InvalidUsage(
            f"{text}: invalid volume",
            hint="write it as SOURCE:DESTINATION or SOURCE:DESTINATION:ro, with / before the destination",
        )
    flags = {flag for options in parts[2:] for flag in options.split(",")}
    if not flags <= {"ro", "rw", "z", "Z"}:
        raise InvalidUsage(f"{text}: unknown option {parts[2]}", hint="use ro, rw or nothing after the destination")
    destination = posixpath.normpath("/" + parts[1].strip("/"))
    if destination == "/":
        raise InvalidUsage(f"{text}: cannot mount a volume at /", hint="mount a file or directory below it")
    if destination == "/proc" or (destination.startswith("/proc/") and destination not in _OF_PROC):
        raise InvalidUsage(
            f"{text}: {destination} is the kernel's in a container",
            hint="mount a file or directory elsewhere, such as at /mnt",
        )
    if not parts[0].startswith(("/", "./", "../")) and parts[0] not in (".", ".."):
        raise InvalidUsage(
            f"{text}: named volumes are not supported", hint=f"for a directory on the host, write ./{text}"
        )
    source = folder / parts[0]
    if not source.exists():
        raise NotFound(f"{source}: no such file or directory", hint="create it first, or give another source with -v")
    return BindMount(source, destination, read_only="ro" in flags)
