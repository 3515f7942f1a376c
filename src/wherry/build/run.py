"""RUN: a step's program, in a container that is Docker's to it.

Its network is this machine's, or none. Secrets reach it through memory alone, and never what it prints.

Source: Dockerfile reference, "RUN"; BuildKit 0.34's behaviour for what it leaves open: the hosts file, the mount of an
agent, what a cache begins with.
"""

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wherry.build.attendant import Attendant, require_room
from wherry.build.caches import begun, cache_folder
from wherry.errors import InvalidUsage, WherryError
from wherry.host.usernet import loopback_hosts
from wherry.plan.image_config import go_quoted
from wherry.plan.ops import RunOp, StepMount
from wherry.platform import Platform
from wherry.sandbox.accounts import ContainerUser
from wherry.sandbox.capabilities import DOCKERS
from wherry.sandbox.client import SandboxClient
from wherry.sandbox.control_groups import processes_group
from wherry.sandbox.networks import Networks
from wherry.sandbox.spec import Container, Emulator, Group, Mount
from wherry.sandbox.start import NotStarted

HOSTNAME = "buildkitsandbox"
"""What the machine of a step is called, as in BuildKit: builds that write it down give the same."""
_MOST_PROCESSES = 16384
_NPROC = 6  # RLIMIT_NPROC
_UNREACHED = "is on the host's loopback, which steps cannot reach from their own network"
_OPENS = "--network host --allow network.host"
_HINT_SHELL = (
    'the image has no /bin/sh: write RUN as a list, RUN ["/path/of/program", "argument"], begin with a base that has a '
    "shell, or copy what this stage needs from one that does (COPY --from)"
)
_HINT_FILES = "the step may open too few files: raise --ulimit nofile, such as --ulimit nofile=1024"
_HINT_PROGRAM = "name a program that the image has by then, by its whole path; SHELL and PATH count too"
_LIMITS = {
    "core": 4, "cpu": 0, "data": 2, "fsize": 1, "locks": 10, "memlock": 8, "msgqueue": 12, "nice": 13, "nofile": 7,
    "nproc": 6, "rss": 5, "rtprio": 14, "rttime": 15, "sigpending": 11, "stack": 3,
}  # fmt: skip
"""Numbers of limits (Linux, include/uapi/asm-generic/resource.h)."""


class StepFailed(WherryError):
    """A step's program ended with another code than 0."""

    exit_code = 1

    def __init__(self, argv: Sequence[str], code: int, words: str) -> None:
        super().__init__(
            f"process {go_quoted(' '.join(argv))} did not complete successfully: exit code: {code}{words}",
            hint="see its output above; `--debug-shell` opens a shell in the failed step",
        )
        self.code = code


class Agent(Protocol):
    """An ssh agent that steps may use."""

    def opened(self) -> AbstractContextManager[Path]:
        """Give a socket that points to it, for one mount."""


class AccountReader(Protocol):
    """Reads the accounts of a rootfs."""

    def __call__(self, layers: Sequence[str], user: str) -> ContainerUser:
        """Find whom a text means.

        Raises:
            WherryError: there is no such account.
        """


@dataclass(frozen=True, slots=True)
class MountedStack:
    """A stack that a step mounts, or that a cache of it begins with."""

    layers: Sequence[str]
    key: str
    """Of what is in it."""


@dataclass(frozen=True, slots=True)
class RunRoot:
    """Where a step runs."""

    layers: Sequence[str]
    mounted: Sequence["MountedStack"]
    """Each stack that it mounts or that a cache begins with, in order."""
    writable: Path
    stage: Path
    overlay: bool


@dataclass
class StepRunner:
    """Runs steps."""

    client: SandboxClient
    accounts: AccountReader
    emulator: Callable[[Platform], Emulator | None]
    """How a platform's programs run here; None: by themselves.

    Raises:
        HostUnable: they can't.
    """
    secrets: Mapping[str, bytes]
    agents: Mapping[str, Agent]
    """By name."""
    caches: Path
    """Where caches of mounts are kept."""
    said: Callable[[str, str], None]
    """Called with what a step prints: the step, and a line."""
    proxies: tuple[tuple[str, str], ...] = ()
    resolv_conf: bytes = b""
    network: Networks = field(default_factory=Networks)
    groups: tuple[str, ...] = ()
    """Folders in which control groups that limit processes may be made, best first."""
    floor: int = 256 << 20
    """Bytes that have to stay free on the disk."""
    owners: str = "answered"
    """What chown does where this user has one id only: see `Container`."""
    failed: Callable[[Container, int], None] = field(default=lambda _job, _code: None)
    """Called where a step's program failed, while its files are still there."""
    noticed: set[str] = field(default_factory=set)

    def reads(self, action: RunOp) -> dict[str, str]:
        """Name what a step reads besides its rootfs and definition: nothing that may change unseen counts."""
        del action
        return {"owners": "ignored"} if self.owners == "ignored" and self.client.mapping.kind == "one" else {}

    def run(self, name: str, action: RunOp, where: RunRoot) -> None:
        """Run a step to its end.

        Raises:
            StepFailed: its program did not end well.
            WherryError: it can't be run.
        """
        with ExitStack() as stack:
            job = self._job(action, where, stack)
            if job["network"] == "own":
                for variable, host in loopback_hosts(job["environment"]):
                    self.notice(name, f"{variable}: {host} {_UNREACHED}; if steps need it: {_OPENS}")
            require_room(where.writable, self.floor)
            try:
                code, words = self._attend(name, job)
            except NotStarted as error:
                error.hint = _hint_of(error, action)
                raise
            if code:
                self.failed(job, code)
                raise StepFailed(action.argv, code, words)

    def notice(self, name: str, words: str) -> None:
        """Report what a person should know of how steps run; once."""
        if words not in self.noticed:
            self.noticed.add(words)
            self.said(name, words)

    def _job(self, action: RunOp, where: RunRoot, stack: ExitStack) -> Container:
        try:
            account = self.accounts(where.layers, action.user)
        except InvalidUsage as error:
            error.hint = "make the account in a RUN above USER (useradd, adduser), or give numbers: USER 1000:1000"
            raise
        emulator = self.emulator(action.platform)
        mapping = self.client.mapping
        ids = mapping.for_user(account.uid, account.gid)
        if emulator is not None:  # registered in a namespace that only this step has
            ids = mapping.nested or ids
        inside = mapping.kind != "all" or emulator is not None
        environment = {**dict(self.proxies), "HOME": account.home, **dict(action.environment)}
        stacks = iter(where.mounted)
        mounts = [*self._provided(action)]
        for mount in action.mounts:
            if mount.kind == "secret":
                mounts += self._secret(mount, environment)
            else:
                mounts += self._mounts(mount, stacks, environment, stack, where)
        limits = [(_NPROC, _MOST_PROCESSES, _MOST_PROCESSES)]
        limits += [(_limit(name), soft, hard) for name, soft, hard in action.limits]
        network = self.network.mode(action.network)
        return Container(
            task="run",
            ids=ids if inside else None,
            stage=str(where.stage),
            layers=list(where.layers),
            overlay=where.overlay,
            read_only=False,
            argv=list(action.argv),
            environment={key: value for key, value in environment.items() if key and "\0" not in key + value},
            folder=action.folder,
            uid=account.uid,
            gid=account.gid,
            groups=list(account.groups),
            hostname=HOSTNAME,
            volumes=[],
            emulator=emulator,
            terminal=False,
            writable=str(where.writable),
            own_tmp=False,
            mounts=mounts,
            privileges="all" if action.privileged else "usual",
            capabilities=list(DOCKERS),
            no_new_privileges=False,
            seccomp="usual",
            socketcall=action.platform.architecture == "386",
            network=network,
            uplink=self.network.uplink if network == "own" else None,
            shared=self.network.reason,
            control=self._processes(limits, asked="nproc" in [name for name, _, _ in action.limits]),
            shm=action.shm or 64 << 20,
            limits=limits,
            owners=self.owners,
        )

    def _processes(self, limits: Sequence[tuple[int, int, int]], *, asked: bool) -> list[Group]:
        """Limit processes by a control group too where root runs steps: no other limit holds for root."""
        if self.client.mapping.kind != "all":
            return []
        most = [hard for number, _, hard in limits if number == _NPROC][-1]
        return [processes_group(self.groups, most, required=asked)] if most >= 0 else []

    def _provided(self, action: RunOp) -> Iterator[Mount]:
        hosts = f"127.0.0.1\tlocalhost {HOSTNAME}\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        hosts += "".join(f"{address}\t{name}\n" for name, address in action.hosts)
        yield _mount("content", "/etc/hosts", content=hosts.encode(), mode=0o644, provided=True)
        if self.resolv_conf:
            yield _mount("content", "/etc/resolv.conf", content=self.resolv_conf, mode=0o644, provided=True)

    def _mounts(
        self,
        mount: StepMount,
        stacks: Iterator[MountedStack],
        environment: dict[str, str],
        stack: ExitStack,
        where: RunRoot,
    ) -> Iterator[Mount]:
        match mount.kind:
            case "stack":
                yield _mount(
                    "stack",
                    mount.target,
                    layers=list(next(stacks).layers),
                    inner=mount.source,
                    read_only=mount.read_only,
                )
            case "tmpfs":
                yield _mount("tmpfs", mount.target, size=mount.size, mode=0o1777)
            case "content":
                yield _mount(
                    "content",
                    mount.target,
                    content=mount.content.encode(errors="surrogateescape"),
                    mode=0o755,
                    read_only=True,
                )
            case "cache":
                yield self._cache(mount, next(stacks) if mount.stack else None, stack, where)
            case "ssh":
                agent = self.agents.get(mount.name)
                if agent is None and mount.required:
                    raise InvalidUsage(
                        f"RUN --mount=type=ssh: no SSH agent named {mount.name}",
                        hint=f"pass one with --ssh {mount.name}[=SOCKET]",
                    )
                if agent is not None:
                    target = mount.target or "/run/buildkit/ssh_agent.0"
                    environment.setdefault("SSH_AUTH_SOCK", target)
                    place = stack.enter_context(agent.opened())
                    mode = mount.mode if mount.mode is not None else 0o600
                    yield _mount(
                        "folder", target, source=str(place.parent), inner=place.name, mode=mode, uid=mount.uid or 0,
                        gid=mount.gid or 0,
                    )  # fmt: skip

    def _cache(self, mount: StepMount, begins: MountedStack | None, stack: ExitStack, where: RunRoot) -> Mount:
        """Have a cache; one that begins with other files than another is another, as for BuildKit."""
        name = mount.name if begins is None else f"{mount.name} of {begins.key}"
        folder = stack.enter_context(cache_folder(self.caches, name, mount.sharing))
        inner, mode = "/", mount.mode if mount.mode is not None else 0o755
        given = mount.source == "/" and (mount.mode, mount.uid, mount.gid) != (None, None, None)
        if begins is not None and not given:
            mode = 0  # it has that of what it begins with
            folder, inner = begun(self.client, folder, begins.layers, mount.source, where.stage)
        return _mount(
            "folder", mount.target, source=str(folder), inner=inner, read_only=mount.read_only, mode=mode,
            uid=mount.uid or 0, gid=mount.gid or 0,
        )  # fmt: skip

    def _secret(self, mount: StepMount, environment: dict[str, str]) -> Iterator[Mount]:
        content = self.secrets.get(mount.name)
        if content is None:
            if mount.required:
                raise InvalidUsage(
                    f"RUN --mount=type=secret: no secret named {mount.name}",
                    hint=f"pass it with --secret id={mount.name},src=FILE",
                )
            return
        if mount.variable is not None:
            environment[mount.variable or mount.name] = content.decode(errors="surrogateescape")
        if mount.target:
            yield _mount(
                "content", mount.target, content=content, read_only=True,
                mode=mount.mode if mount.mode is not None else 0o400, uid=mount.uid or 0, gid=mount.gid or 0,
            )  # fmt: skip

    def _attend(self, name: str, job: Container) -> tuple[int, str]:
        """Stay with a step until it ends; give its code, and what a person should know of it."""
        read, write = os.pipe()
        with os.fdopen(read, "rb", buffering=0) as output:
            try:
                context = self.client.at_work(job, out=write, err=write)
                running = context.__enter__()
            finally:
                os.close(write)
            try:
                Attendant(self, name, running, output, Path(job["writable"])).attend()
            finally:
                context.__exit__(None, None, None)
        assert running.code is not None  # noqa: S101 - it has ended
        return running.code, ""


def _hint_of(error: NotStarted, action: RunOp) -> str:
    """Say what to do about a program that was not started."""
    if error.message.endswith(os.strerror(errno.EMFILE)):
        return _HINT_FILES
    return _HINT_SHELL if action.argv[:2] == ("/bin/sh", "-c") else _HINT_PROGRAM


def _mount(kind: str, destination: str, **values: object) -> Mount:
    usual: Mount = {
        "kind": kind, "destination": destination, "read_only": False, "content": b"", "source": "", "layers": [],
        "inner": "/", "mode": 0, "uid": 0, "gid": 0, "size": 0, "provided": False,
    }  # fmt: skip
    return {**usual, **values}  # type: ignore[typeddict-item] # names of its own


def _limit(name: str) -> int:
    if name not in _LIMITS:
        raise InvalidUsage(f"--ulimit {name}: unknown limit", hint=f"use one of {', '.join(_LIMITS)}")
    return _LIMITS[name]
