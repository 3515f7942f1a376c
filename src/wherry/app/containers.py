"""One container of an image, run rootless on this machine."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.session import Session
from wherry.errors import HostUnable, NotFound
from wherry.platform import Platform
from wherry.store.find import Located
from wherry.store.images import image_for, images_of

if TYPE_CHECKING:
    from wherry.oci.image import Image
    from wherry.runtime.run import RunHost, RunOptions, RunSpec
    from wherry.sandbox.accounts import AccountFiles
    from wherry.sandbox.spec import Emulator


@dataclass(frozen=True, slots=True)
class PreparedContainer:
    """A container that can be started: all that is decided about it, and its unpacked layers, which are held."""

    image: "Image"
    spec: "RunSpec"
    place: "RunHost"
    accounts: "AccountFiles"
    """Of the image."""
    why: Callable[[], str]
    """Says why this machine may refuse a sandbox."""


@contextmanager
def prepared(
    session: Session,
    located: Located,
    options: "RunOptions",
    *,
    platform: Platform | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> Iterator[PreparedContainer]:
    """Unpack an image's layers and decide how its container is started.

    Args:
        session: where the unpacked layers are.
        located: the image.
        options: what is to be other than the image says.
        platform: of an image with several, the one to run; None: this machine's.
        notice: called with each limit of this machine that counts here.

    Raises:
        NotFound: there is no image for this platform.
        HostUnable: this machine can't run it.
    """
    from wherry.app.sandboxes import mapping_of, trees_of, why_refused
    from wherry.host.cgroups import control_folders
    from wherry.host.kernel import Kernel
    from wherry.host.usernet import user_network
    from wherry.runtime.run import RunHost, prepare
    from wherry.runtime.volumes import unwritable
    from wherry.sandbox.accounts import read_accounts
    from wherry.sandbox.control_groups import ControlFolders
    from wherry.sandbox.networks import Networks

    kernel = Kernel.of_host()
    image = _choose(located, platform, kernel.platform)
    emulator = None if kernel.runs(image.platform) else _emulator(session, image.platform, located.name)
    mapping = mapping_of(session)
    overlay = kernel.overlay(root=mapping.kind == "all")
    trees = trees_of(session, mapping, located.source)
    with trees.hold(image) as layers:
        accounts = read_accounts(layers)
        spec = prepare(image.config.runtime, options, accounts, located.name)
        if mapping.kind == "one":
            notice(
                f"no subordinate IDs (/etc/subuid): the container has only user {spec.account.uid}, who owns all files"
            )
        for line in unwritable(options.volumes, mapping, spec.account):
            notice(line)
        if not overlay.works:
            notice(f"copying layers instead of mounting them (slower): {overlay.reason}")
        place = RunHost(
            layers,
            trees.stage,
            mapping,
            emulator,
            overlay.works,
            Networks.of(user_network(session.environment.get("PATH", os.defpath))),
            ControlFolders(*control_folders()),
            image.platform.architecture,
        )
        _say_network(place.network.mode(options.security.network), spec.environment, notice)
        yield PreparedContainer(image, spec, place, accounts, why_refused(mapping))


def _say_network(mode: str, environment: Mapping[str, str], notice: Callable[[str], None]) -> None:
    """Say which network a container has, if it is not its own, and what can't be reached from its own."""
    if mode == "host":
        notice("network: host (no isolation, ports need no -p)")
    if mode == "own":
        from wherry.host.usernet import loopback_hosts

        for variable, host in loopback_hosts(environment):
            notice(f"{variable}: {host} is on this machine's loopback, out of reach; --network host reaches it")


def _choose(located: Located, wanted: Platform | None, here: Platform) -> "Image":
    """Take the image of the platform that is wanted, else this machine's, else the only one there is."""
    if wanted is not None:
        return image_for(located.source, located.root, wanted, located.name)
    images = images_of(located.source, located.root)
    same = [
        image for image in images if (image.platform.os, image.platform.architecture) == ("linux", here.architecture)
    ]
    own = [image for image in same if image.platform == here] or same or (images if len(images) == 1 else [])
    if own:
        return own[0]
    there = ", ".join(str(image.platform) for image in images) or "none"
    raise NotFound(f"{located.name} has no image for {here}", hint=f"choose one with --platform; available: {there}")


def _emulator(session: Session, platform: Platform, name: str) -> "Emulator":
    from wherry.host.kernel import emulation
    from wherry.sandbox.spec import Emulator

    if platform.os != "linux":
        raise HostUnable(f"{name} is built for {platform}", hint="choose a linux image with --platform")
    folders = [Path(folder) for folder in session.environment.get("PATH", "").split(":") if folder]
    found = emulation(platform, folders)
    if found is None:
        raise HostUnable(
            f"{name} is built for {platform}, but no emulator is installed",
            hint="install qemu-user-static (its programs are named qemu-ARCH-static), or choose another --platform",
        )
    return Emulator(path=found.path, magic=found.magic, mask=found.mask)
