"""What this machine gives to the steps of a Dockerfile."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.build.dockerfile_work import Machine
from wherry.app.build.secrets import SshAgent
from wherry.app.sandboxes import layer_reader, mapping_of, room_of, why_refused
from wherry.app.session import Session
from wherry.build.git import Credentials
from wherry.errors import HostUnable
from wherry.host.cgroups import pids_folders
from wherry.host.kernel import Kernel, emulation
from wherry.host.usernet import user_network
from wherry.platform import Platform
from wherry.sandbox.accounts import ContainerUser, read_accounts
from wherry.sandbox.client import SandboxClient
from wherry.sandbox.ids import Mapping as Ids
from wherry.sandbox.networks import Networks
from wherry.sandbox.spec import Container, Emulator
from wherry.snapshots.snapshots import Snapshots

if TYPE_CHECKING:
    from wherry.build.urls import CachingFetcher

_RESOLV = Path("/etc/resolv.conf")


def machine_of(  # noqa: PLR0913 - each is another of the user's options
    session: Session,
    *,
    isolation: str,
    secrets: Mapping[str, bytes],
    agents: Mapping[str, SshAgent],
    shell: Callable[[Ids], Callable[[Container, int], None]] | None = None,
    notice: Callable[[str], None],
    ignore_chown: bool = False,
) -> Machine:
    """Describe it.

    Args:
        session: where.
        isolation: how steps are kept apart from this machine: `auto`, `userns` or `chroot`.
        secrets: what steps may ask for, by id.
        agents: ssh agents, by name.
        notice: hears what the user should know.
        shell: opens a shell where a step failed; None: none is opened.
        ignore_chown: whether chown in a step does nothing where there is one id only.

    Raises:
        HostUnable: it cannot run such steps.
    """
    if (system := os.uname().sysname) != "Linux":
        raise HostUnable(
            f"cannot build a Dockerfile: its steps need Linux, this is {system}",
            hint="build it on Linux; Go modules without a Dockerfile build on this system",
        )
    kernel = Kernel.of_host()
    mapping = mapping_of(session)
    owners = "ignored" if ignore_chown else "answered" if kernel.answers_calls().works else ""
    _say_of_ids(mapping, notice, owners)
    isolation, refused = isolation_of(isolation, kernel, why_refused(mapping))
    if isolation == "chroot" and mapping.kind != "all":
        raise HostUnable(
            "--isolation chroot: only root can use chroot",
            hint="remove it: steps of other users run in a user namespace",
        )
    overlay = kernel.overlay(root=mapping.kind == "all").works and isolation != "chroot"
    client = SandboxClient(mapping, refused, isolation, room_of(session))
    return Machine(
        client=client,
        trees=Snapshots(session.cache_folder / "trees", client, layer_reader(session, session.store)),
        overlay=overlay,
        account=_account,
        emulator=lambda platform: _emulator(session, kernel, platform),
        secrets=secrets,
        agents=agents,
        outside=outside_of(session, Credentials(secrets, str(agents["default"].socket) if "default" in agents else "")),
        resolv_conf=_RESOLV.read_bytes() if _RESOLV.is_file() else b"",
        network=Networks.of(user_network(session.environment.get("PATH", os.defpath))),
        groups=pids_folders(),
        floor=session.min_free,
        owners=owners,
        failed=shell(mapping) if shell else lambda _job, _code: None,
    )


def isolation_of(asked: str, kernel: Kernel, why: Callable[[], str]) -> tuple[str, Callable[[], str]]:
    """Decide how steps are kept apart: on a host itself, a chroot is what only the user can choose.

    Args:
        asked: `auto`, `userns` or `chroot`.
        kernel: of this machine.
        why: gives the remedy where namespaces are refused.

    Returns:
        The same or a stricter one, and what gives the remedy for it.
    """
    if asked != "auto" or kernel.in_container():
        return asked, why
    return (
        "userns",
        lambda: f"{why()}; or use --isolation chroot, where steps share the host's processes and network",
    )


def outside_of(session: Session, credentials: Credentials) -> "CachingFetcher":
    """Give what fetches URLs."""
    from wherry.build.urls import CachingFetcher
    from wherry.settings.proxies import Proxies

    proxies = Proxies.of(session.environment)
    return CachingFetcher(
        session.cache_folder / "fetched", session.runner, session.environment, credentials, proxies.proxy_for
    )


def _say_of_ids(mapping: Ids, notice: Callable[[str], None], owners: str) -> None:
    """Say, before anything is done, what RUN can't do for a user with one id."""
    if mapping.kind != "one":
        return
    match owners:
        case "answered":
            words = "owners of files are emulated in RUN; links, and what programs make after setuid, stay root's"
        case "ignored":
            words = "chown in RUN does nothing (--ignore-chown-errors), so files stay root's"
        case _:
            words = "chown, useradd and apt-get in RUN will fail; --ignore-chown-errors lets chown do nothing"
    notice(f"no subordinate IDs for this user (/etc/subuid, /etc/subgid): {words}")


def _account(layers: Sequence[str], user: str) -> ContainerUser:
    found = read_accounts([Path(layer) for layer in layers]).find(user)
    # The group itself is among the others too, as containerd has it since CVE-2022-36109.
    return ContainerUser(found.uid, found.gid, tuple(dict.fromkeys((found.gid, *found.groups))), found.home)


def _emulator(session: Session, kernel: Kernel, platform: Platform) -> Emulator | None:
    if kernel.runs(platform):
        return None
    path = session.environment.get("PATH", os.defpath)
    found = emulation(platform, [Path(folder) for folder in path.split(os.pathsep) if folder.startswith("/")])
    own = kernel.own_binfmt()
    if (found is None or not own.works) and registered(platform):
        return Emulator(path="", magic=b"", mask=b"")
    if found is None or not own.works:
        why = own.reason if found else "no emulator is installed"
        raise HostUnable(
            f"cannot execute RUN for {platform}: {why}",
            hint="install qemu-user-static and register it as root (binfmt_misc), or run the stage on "
            "--platform=$BUILDPLATFORM and cross-compile",
        )
    return Emulator(path=found.path, magic=found.magic, mask=found.mask)


def registered(platform: Platform) -> bool:
    """Report whether the kernel runs a platform's programs for all users (binfmt_misc with flag F)."""
    names = {"arm64": "aarch64", "amd64": "x86_64", "386": "i386"}
    entry = Path("/proc/sys/fs/binfmt_misc") / f"qemu-{names.get(platform.architecture, platform.architecture)}"
    try:
        lines = entry.read_text().splitlines()
    except OSError:
        return False
    return "enabled" in lines and any(line.startswith("flags:") and "F" in line for line in lines)
