"""What this machine gives to the steps of a Dockerfile."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.sandboxes import mapping_of, why_refused
from wherry.build.git import Credentials
from wherry.cli.world import World
from wherry.dockerfiles import Machine
from wherry.errors import HostUnable
from wherry.host.kernel import Kernel, emulation
from wherry.host.process import which
from wherry.platform import Platform
from wherry.sandbox.accounts import Account, read_accounts
from wherry.sandbox.crew import Crew
from wherry.sandbox.ids import Mapping as Ids
from wherry.sandbox.spec import Container, Emulator, Volume
from wherry.store.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.build.outside import Fetcher
    from wherry.digest import Digest
    from wherry.layer.entry import Entry
    from wherry.layer.tar import Body
    from wherry.oci.descriptor import Descriptor

_RESOLV = Path("/etc/resolv.conf")


def machine_of(
    world: World,
    *,
    isolation: str,
    secrets: Mapping[str, bytes],
    agents: Mapping[str, Path],
    debug_shell: bool,
    notice: Callable[[str], None],
) -> Machine:
    """Describe it.

    Raises:
        HostUnable: it can't run steps as they are asked for.
    """
    if not sys.platform.startswith("linux"):
        raise HostUnable(
            f"a Dockerfile can't be built: its steps need Linux, and this is {sys.platform}",
            hint="build it on Linux; Go modules are built here without one",
        )
    kernel = Kernel.of_host()
    mapping = mapping_of(world)
    _say_of_ids(mapping, notice)
    isolation, refused = isolation_of(isolation, kernel, why_refused(mapping))
    if isolation == "chroot" and mapping.kind != "all":
        raise HostUnable(
            "--isolation chroot: only root may change its root, and this user is none",
            hint="leave it out: a plain user's steps run in a user namespace",
        )
    overlay = kernel.overlay(root=mapping.kind == "all").works and isolation != "chroot"
    crew = Crew(mapping, refused, isolation)
    return Machine(
        crew=crew,
        trees=Trees(world.cache_folder / "trees", crew, _reader(world)),
        overlay=overlay,
        account=_account,
        emulator=lambda platform: _emulator(world, kernel, platform),
        secrets=secrets,
        agents=agents,
        outside=outside_of(world, Credentials(secrets, str(agents.get("default", "")))),
        resolv_conf=_RESOLV.read_bytes() if _RESOLV.is_file() else b"",
        failed=_Shell(world, mapping, notice).open if debug_shell else lambda _job, _code: None,
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
        lambda: f"{why()}; or accept that steps share this host's processes and network: --isolation chroot",
    )


class _Shell:
    """A shell where a step failed: in its rootfs, as it left it, with its mounts, as its user."""

    def __init__(self, world: World, mapping: Ids, notice: Callable[[str], None]) -> None:
        self._world = world
        self._mapping = mapping
        self._notice = notice

    def open(self, job: Container, code: int) -> None:
        """Open one; what is written in it is kept nowhere."""
        from wherry.sandbox.attend import run_container
        from wherry.sandbox.view import View

        argv, volumes = ["/bin/sh"], job["volumes"]
        if View([*job["layers"], f"{job['writable']}/tree"]).status("/bin/sh") is None:
            busybox = which("busybox", self._world.environment.get("PATH", os.defpath))
            if busybox is None:
                self._notice("--debug-shell: the root has no shell, and there is no busybox here to bring along")
                return
            argv = ["/.wherry/busybox", "sh"]
            program: Volume = {
                "source": busybox, "destination": "/.wherry/busybox", "read_only": True, "provided": False,
            }  # fmt: skip
            volumes = [*volumes, program]
        self._notice(f"the step ended with {code}; this is a shell in its place, `exit` leaves it")
        shell: Container = {
            **job,
            "argv": argv,
            "volumes": volumes,
            "ids": self._mapping.for_user(job["uid"], job["gid"]),
            "layers": [*job["layers"], f"{job['writable']}/tree"],
            "writable": "",
            "own_tmp": False,
            "terminal": sys.stdin.isatty() and self._world.stdout.isatty(),
        }
        run_container(shell, stdin=True, notice=self._notice, why=why_refused(self._mapping))


def outside_of(world: World, credentials: Credentials) -> "Fetcher":
    """Give whoever fetches URLs."""
    from wherry.build.outside import Fetcher

    return Fetcher(world.cache_folder / "fetched", world.runner, world.environment, credentials)


def _say_of_ids(mapping: Ids, notice: Callable[[str], None]) -> None:
    if mapping.kind == "one":
        notice(
            "this user has no sub-ids: steps run as root with one id, so other users than root can't be had in them; "
            "/etc/subuid and /etc/subgid give more"
        )


def _reader(world: World) -> "Callable[[Descriptor, Digest], Iterator[tuple[Entry, Body]]]":
    def read(blob: "Descriptor", diff_id: "Digest") -> "Iterator[tuple[Entry, Body]]":
        from wherry.layer.decompress import open_layer
        from wherry.layer.tar import read_tar

        return read_tar(open_layer(world.store, blob, diff_id), f"layer {blob.digest}")

    return read


def _account(layers: Sequence[str], user: str) -> Account:
    found = read_accounts([Path(layer) for layer in layers]).find(user)
    # The group itself is among the others too, as containerd has it since CVE-2022-36109.
    return Account(found.uid, found.gid, tuple(dict.fromkeys((found.gid, *found.groups))), found.home)


def _emulator(world: World, kernel: Kernel, platform: Platform) -> Emulator | None:
    if kernel.runs(platform):
        return None
    path = world.environment.get("PATH", os.defpath)
    found = emulation(platform, [Path(folder) for folder in path.split(os.pathsep) if folder.startswith("/")])
    own = kernel.own_binfmt()
    if (found is None or not own.works) and registered(platform):
        return Emulator(path="", magic=b"", mask=b"")
    if found is None or not own.works:
        why = own.reason if found else "no emulator for it is installed"
        raise HostUnable(
            f"a RUN for {platform} can't be executed here: {why}",
            hint="install qemu-user-static, as root register it (binfmt_misc), or let the stage run on "
            "--platform=$BUILDPLATFORM and cross-compile",
        )
    return Emulator(path=found.path, magic=found.magic, mask=found.mask)


def registered(platform: Platform) -> bool:
    """Tell whether the kernel starts a platform's programs for everybody (binfmt_misc with flag F)."""
    names = {"arm64": "aarch64", "amd64": "x86_64", "386": "i386"}
    entry = Path("/proc/sys/fs/binfmt_misc") / f"qemu-{names.get(platform.architecture, platform.architecture)}"
    try:
        lines = entry.read_text().splitlines()
    except OSError:
        return False
    return "enabled" in lines and any(line.startswith("flags:") and "F" in line for line in lines)
