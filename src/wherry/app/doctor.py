"""What this machine can do for wherry: one value for each check."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from wherry.app.network import docker_config, keyring_of
from wherry.app.session import Session
from wherry.errors import WherryError
from wherry.host.cgroups import Cgroup, own_cgroup, pids_folders
from wherry.host.kernel import Ability, Kernel, emulation
from wherry.host.process import Command, which
from wherry.host.usernet import NoUserNetwork, user_network
from wherry.platform import Platform

_ROOM = 2 << 30
"""Bytes below which a disk is called full: a Go build cache and a few images."""
_MEMORY = 1 << 30
"""Bytes below which Go's compiler and linker may be killed at a large program."""
_FOREIGN = "linux/arm64", "linux/amd64", "linux/arm/v7", "linux/riscv64", "linux/s390x", "linux/ppc64le"


class CheckState(StrEnum):
    """How a check came out."""

    FINE = "ok"
    LIMITED = "limited"
    """Something works less well, or not at all, and building does not need it."""
    ABSENT = "absent"
    """It is not there, and nothing of a build needs it."""
    MISSING = "missing"
    """Building needs it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check."""

    name: str
    state: CheckState
    found: str
    """What there is, in words; `{free}` and the like stand for a figure of `sizes`."""
    remedy: str = ""
    """What to do about it; empty where nothing is to be done."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes, by name."""


def doctor(session: Session) -> Iterator[Check]:
    """Check this machine: Go, git, sandboxes, limits, registries' log-ins, daemons, room on the disk.

    No registry is asked, and no secret is in what is found.
    """
    kernel, root = Kernel.of_host(), os.geteuid() == 0
    yield _go(session)
    yield _git(session)
    yield _of("sandbox", kernel.sandbox())
    yield _namespaces(session, kernel, root=root)
    yield _ids(session)
    yield _of("overlay", kernel.overlay(root=root))
    yield _processors(session, kernel)
    yield _of("binfmt", kernel.own_binfmt())
    yield _step_network(session)
    yield limits(own_cgroup())
    yield _processes_limit(root=root)
    yield from _log_ins(session)
    yield _network(session)
    yield _daemon(session)
    yield _room("store", session.store_folder)
    yield _room("cache", session.cache_folder)


def _of(name: str, ability: Ability) -> Check:
    return Check(name, CheckState.FINE if ability.works else CheckState.LIMITED, ability.reason, ability.remedy)


def _step_network(session: Session) -> Check:
    """Look for what gives containers a network of their own."""
    found = user_network(session.environment.get("PATH", os.defpath))
    if isinstance(found, NoUserNetwork):
        reason = f"{found.reason}: steps and containers share this machine's, without raw and packet sockets"
        return Check("container network", CheckState.LIMITED, reason, found.remedy)
    words = f"one of its own by {found.program}"
    return Check(
        "container network", CheckState.FINE, f"{words}; name server at {found.forward}" if found.forward else words
    )


def _processes_limit(*, root: bool) -> Check:
    """Look for a control group that can limit how many processes root's containers have."""
    if not root:
        return Check("process limit", CheckState.FINE, "setrlimit holds for a plain user's steps")
    folders = [folder for folder in pids_folders() if os.access(folder, os.W_OK)]
    if folders:
        return Check("process limit", CheckState.FINE, f"a pids control group below {folders[-1]}")
    remedy = "mount the control group of the kind pids so that it can be written"
    return Check(
        "process limit", CheckState.LIMITED, "no pids control group can be made: steps are not limited", remedy
    )


def _go(session: Session) -> Check:
    from wherry.host.toolchain import find_toolchain

    try:
        toolchain = find_toolchain(session.runner, session.environment, session.cwd)
    except WherryError as error:
        return Check("go", CheckState.MISSING, error.message, error.hint)
    return Check(
        "go", CheckState.FINE, f"{toolchain.version.replace('go', 'go ', 1)}, {toolchain.program} ({toolchain.origin})"
    )


def _git(session: Session) -> Check:
    found = which("git", session.environment.get("PATH", os.defpath))
    if not found:
        return Check("git", CheckState.LIMITED, "not on PATH: images won't record a commit", "install git")
    done = session.runner.run(Command((found, "--version"), Path("/"), session.environment))
    return Check("git", CheckState.FINE, done.words.splitlines()[0] if done.words else found)


def _namespaces(session: Session, kernel: Kernel, *, root: bool) -> Check:
    """Try a user namespace: what the kernel says of itself knows no filter."""
    said = kernel.user_namespaces(root=root)
    unshare = which("unshare", session.environment.get("PATH", os.defpath))
    if not said.works or not unshare:
        return _of("user namespaces", said)
    done = session.runner.run(Command((unshare, "--user", "--map-root-user", "true"), Path("/"), session.environment))
    if done.returncode:
        words = done.words.splitlines()
        return Check(
            "user namespaces", CheckState.LIMITED, f"refused: {words[0] if words else 'no reason given'}", said.remedy
        )
    return Check("user namespaces", CheckState.FINE, "available")


def _ids(session: Session) -> Check:
    from wherry.app.sandboxes import mapping_of

    kind = mapping_of(session).kind
    if kind == "one":
        return Check(
            "sub-ids",
            CheckState.LIMITED,
            "none for this user: containers have a single user ID",
            "install uidmap, and as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
        )
    return Check(
        "sub-ids",
        CheckState.FINE,
        "not needed as root" if kind == "all" else "newuidmap and a range in /etc/subuid found",
    )


def _processors(session: Session, kernel: Kernel) -> Check:
    folders = [Path(folder) for folder in session.environment.get("PATH", os.defpath).split(os.pathsep) if folder]
    platforms = [platform for text in _FOREIGN if not kernel.runs(platform := Platform.parse(text))]
    there = [str(platform) for platform in platforms if emulation(platform, folders)]
    missing = [str(platform) for platform in platforms if not emulation(platform, folders)]
    native = f"{kernel.platform} natively"
    if not missing:
        return Check("runs", CheckState.FINE, f"{native}; {', '.join(there)} by qemu")
    found = f"{native}; {', '.join(there) or 'nothing'} by qemu; missing: {', '.join(missing)}"
    return Check(
        "runs", CheckState.LIMITED, found, "install qemu-user-static (only needed to run them, not to build for them)"
    )


def limits(own: Cgroup) -> Check:
    """Judge what a control group leaves a build."""
    if not own.version:
        return Check("cgroups", CheckState.FINE, "none found: no limits")
    memory = "memory {memory}" if own.memory else "no memory limit"
    processors = f"{own.processors:g} processors" if own.processors else "no processor limit"
    tight = own.memory is not None and own.memory < _MEMORY
    return Check(
        "cgroups",
        CheckState.LIMITED if tight else CheckState.FINE,
        f"version {own.version}: {memory}, {processors}",
        "raise the limit of this container or session, or set GOFLAGS=-p=1, so that Go compiles one package at a time"
        if tight
        else "",
        {"memory": own.memory} if own.memory else {},
    )


def _log_ins(session: Session) -> Iterator[Check]:
    path = docker_config(session)
    try:
        files = keyring_of(session).files
    except WherryError as error:
        yield Check("log-ins", CheckState.LIMITED, error.message, error.hint)
        return
    hosts = sorted({host for file in files for host in (*file.auths, *file.helpers)})
    helpers = sorted({helper for file in files for helper in (*file.helpers.values(), file.store) if helper})
    yield Check(
        "log-ins", CheckState.FINE, f"{', '.join(hosts) or 'none'} ({path}{'' if path.is_file() else ', missing'})"
    )
    for helper in helpers:
        program = f"docker-credential-{helper}"
        found = which(program, session.environment.get("PATH", os.defpath))
        if found:
            yield Check("helper", CheckState.FINE, found)
        else:
            remedy = f"install it, or remove {helper} from credsStore and credHelpers"
            yield Check("helper", CheckState.LIMITED, f"{program} is configured, but not on PATH", remedy)


def _network(session: Session) -> Check:
    names = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "WHERRY_INSECURE_REGISTRIES")
    said = {name: session.environment.get(name) or session.environment.get(name.lower()) for name in names}
    words = [f"{name}={_without_password(value)}" for name, value in said.items() if value]
    file = session.environment.get("SSL_CERT_FILE", "")
    if file and not Path(file).is_file():
        return Check(
            "network", CheckState.LIMITED, f"SSL_CERT_FILE={file}: no such file", "unset it, or set it to a file"
        )
    return Check("network", CheckState.FINE, ", ".join(words) or "no proxy, system certificates")


def _without_password(value: str) -> str:
    scheme, at, rest = value.rpartition("@")
    return f"{scheme.partition('://')[0]}://…@{rest}" if at and "://" in value else value


def _daemon(session: Session) -> Check:
    from wherry.daemon.errors import Forbidden
    from wherry.daemon.find import find_daemon

    try:
        daemon = find_daemon(session.runner, session.environment, docker_config(session).parent)
    except Forbidden as error:
        return Check("--load", CheckState.LIMITED, error.message, error.hint)
    except WherryError as error:
        return Check("--load", CheckState.ABSENT, error.message)
    return Check("--load", CheckState.FINE, daemon.name)


def _room(name: str, folder: Path) -> Check:
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    writable = os.access(place, os.W_OK)
    if not writable:
        return Check(name, CheckState.MISSING, f"{folder}: not writable", f"choose another with --{name}")
    state, remedy = (
        (CheckState.FINE, "")
        if free >= _ROOM
        else (CheckState.LIMITED, "free space with `wherry gc` and `go clean -cache`")
    )
    return Check(name, state, f"{folder}: {{free}} free", remedy, {"free": free})
