"""What this machine gives to the steps of a Dockerfile."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.build.running import Account
from wherry.cli.sandboxes import mapping_of, why_refused
from wherry.cli.world import World
from wherry.dockerfiles import Machine
from wherry.errors import HostUnable
from wherry.host.kernel import Kernel, emulation
from wherry.platform import Platform
from wherry.runtime.run import read_accounts
from wherry.sandbox.crew import Crew
from wherry.sandbox.ids import Mapping as Ids
from wherry.sandbox.spec import Emulator
from wherry.store.trees import Trees

if TYPE_CHECKING:
    from wherry.build.outside import Fetcher
    from wherry.digest import Digest
    from wherry.layer.entry import Entry
    from wherry.layer.tar import Body
    from wherry.oci.descriptor import Descriptor

_RESOLV = Path("/etc/resolv.conf")


def machine_of(  # noqa: PLR0913 - what a user may say of it, all named
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
    del debug_shell
    kernel = Kernel.of_host()
    mapping = mapping_of(world)
    _say_of_ids(mapping, notice)
    overlay = kernel.overlay(root=mapping.kind == "all").works and isolation != "chroot"
    crew = Crew(mapping, why_refused(mapping))
    return Machine(
        crew=crew,
        trees=Trees(world.cache_folder / "trees", crew, _reader(world)),
        overlay=overlay,
        account=_account,
        emulator=lambda platform: _emulator(world, kernel, platform),
        secrets=secrets,
        agents=agents,
        outside=outside_of(world),
        resolv_conf=_RESOLV.read_bytes() if _RESOLV.is_file() else b"",
    )


def outside_of(world: World) -> "Fetcher":
    """Give whoever fetches URLs."""
    from wherry.build.outside import Fetcher

    return Fetcher(world.cache_folder / "fetched", world.runner, world.environment)


def _say_of_ids(mapping: Ids, notice: Callable[[str], None]) -> None:
    if mapping.kind == "one":
        notice(
            "this user has no sub-ids: steps run as root with one id, so other users than root can't be had in them; "
            "/etc/subuid and /etc/subgid give more"
        )


def _reader(world: World) -> "Callable[[Descriptor, Digest], object]":
    def read(blob: "Descriptor", diff_id: "Digest") -> "object":
        from wherry.layer.decompress import open_layer
        from wherry.layer.tar import read_tar

        return read_tar(open_layer(world.store, blob, diff_id), f"layer {blob.digest}")

    return read


def _account(layers: Sequence[str], user: str) -> Account:
    found = read_accounts([Path(layer) for layer in layers]).find(user)
    return Account(found.uid, found.gid, found.groups, found.home)


def _emulator(world: World, kernel: Kernel, platform: Platform) -> Emulator | None:
    if kernel.runs(platform):
        return None
    if registered(platform):
        return None
    path = world.environment.get("PATH", os.defpath)
    found = emulation(platform, [Path(folder) for folder in path.split(os.pathsep) if folder.startswith("/")])
    own = kernel.own_binfmt()
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
