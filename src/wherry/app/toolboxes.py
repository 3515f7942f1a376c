"""What a debug shell brings along: busybox from memory, a small one built from Go, or the user's own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import HostUnable, InvalidDocument, InvalidUsage, NotFound
from wherry.host.process import Command

if TYPE_CHECKING:
    from wherry.app.session import Session
    from wherry.runtime.debug.shell import DebugTools

_BUSYBOX = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")
_MOST_NAMES = 1000
_MANY = ("busybox", "wherry-toolbox")
"""How programs are called that are many."""


@contextmanager
def toolbox_of(session: "Session", asked: str = "") -> "Iterator[DebugTools]":
    """Find the toolbox of a debug shell, and hold it while it is used.

    Args:
        session: where.
        asked: a static program, a folder, or an image; empty: busybox, or else one that wherry builds.

    Raises:
        NotFound, InvalidUsage: what was asked for is not there, or is no toolbox.
        HostUnable: there is no busybox, and none can be built.
    """
    from wherry.runtime.debug.shell import DebugTools

    if not asked:
        yield usual_toolbox(session)
        return
    path = session.cwd / Path(asked).expanduser()
    if path.is_dir():
        yield DebugTools(words=f"the folder {asked}", folders=(path.absolute(),))
    elif path.is_file():
        yield _own_program(session, path)
    elif asked.startswith(("/", "./", "../", "~")):
        raise NotFound(f"--toolbox {asked}: no such file or folder", hint="give a program, a folder or an image")
    else:
        with _image(session, asked) as folders:
            yield DebugTools(words=f"the image {asked}", folders=folders)


def expected_toolbox(session: "Session", asked: str = "") -> str:
    """Say which toolbox a debug shell would have; nothing is built, unpacked or fetched.

    Raises:
        NotFound, InvalidUsage, HostUnable: as `toolbox_of`.
    """
    path = session.cwd / Path(asked).expanduser() if asked else None
    if path is not None and path.is_dir():
        return f"the folder {asked}"
    if path is not None and path.is_file():
        return _own_program(session, path).words
    if path is not None:
        from wherry.app.places import find

        return f"the image {find(session, asked).name}"
    found = _static_busybox(session)
    if found:
        return f"busybox ({found}), executed from memory"
    from wherry.app.go_toolbox import expected_build

    return expected_build(session)


def usual_toolbox(session: "Session") -> "DebugTools":
    """Find a static busybox, or build the one of Go.

    Raises:
        HostUnable: neither can be had.
    """
    from wherry.runtime.debug.shell import DebugTools

    if found := _static_busybox(session):
        return DebugTools(words=f"busybox ({found})", program=Path(found), names=_names(session, found))
    from wherry.app.go_toolbox import built_toolbox

    return built_toolbox(session)


def _static_busybox(session: "Session") -> str:
    folders = [*session.environment.get("PATH", "").split(os.pathsep), *_BUSYBOX]
    places = (Path(folder) / "busybox" for folder in folders if folder)
    return next((str(place) for place in places if os.access(place, os.X_OK) and interpreter_of(place) == ""), "")


def _own_program(session: "Session", path: Path) -> "DebugTools":
    from wherry.runtime.debug.shell import DebugTools

    if (loader := interpreter_of(path)) is not None and loader:
        raise InvalidUsage(
            f"--toolbox {path}: it is dynamically linked ({loader}), and the target has no libraries for it",
            hint="give a static program, or a folder or an image with its libraries",
        )
    if loader is None:
        raise InvalidUsage(f"--toolbox {path}: not an ELF program", hint="give a static program, a folder or an image")
    many = path.name.startswith(_MANY)
    return DebugTools(words=str(path), program=path, names=_names(session, str(path)) if many else ())


def interpreter_of(path: Path) -> str | None:
    """Name the dynamic linker that a program asks for; empty: it is static. None: it is no ELF program."""
    import mmap

    from wherry.elf.reader import Elf

    try:
        with path.open("rb") as file:
            view = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)  # closed once nothing refers to it
        return Elf.parse(view, str(path)).interpreter
    except (OSError, ValueError, InvalidDocument):
        return None


def _names(session: "Session", program: str) -> tuple[str, ...]:
    done = session.runner.run(Command((program, "--list"), Path("/"), {}))
    names = done.stdout.decode(errors="replace").split()[:_MOST_NAMES]
    if done.returncode or "sh" not in names:
        raise HostUnable(f"{program}: it has no shell", hint="install busybox-static, or give another --toolbox")
    return tuple(name for name in names if "/" not in name)


@contextmanager
def _image(session: "Session", name: str) -> Iterator[tuple[Path, ...]]:
    """Unpack an image and hold its layers."""
    from wherry.app.places import find
    from wherry.app.sandboxes import mapping_of, trees_of
    from wherry.host.kernel import Kernel
    from wherry.store.images import image_for

    located = find(session, name)
    image = image_for(located.source, located.root, Kernel.of_host().platform, located.name)
    with trees_of(session, mapping_of(session), located.source).hold(image) as layers:
        yield layers
