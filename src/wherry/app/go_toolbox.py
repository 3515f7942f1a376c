"""The toolbox that wherry builds where no static busybox is installed: a shell and small programs, in one Go binary."""

import hashlib
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.errors import HostUnable
from wherry.host.process import Command

if TYPE_CHECKING:
    from wherry.app.session import Session
    from wherry.host.toolchain import Toolchain
    from wherry.runtime.debug.shell import DebugTools

_FILES = ("main.go", "go.mod", "go.sum")
_HINT = "install busybox-static, or give a static program with --toolbox"


def built_toolbox(session: "Session") -> "DebugTools":
    """Build it, or give the one that was built before.

    Raises:
        HostUnable: there is no Go, or a module can't be had.
    """
    from wherry.runtime.debug.shell import DebugTools

    place = _place(session)
    if not place.exists():
        _build(session, place)
    listed = session.runner.run(Command((str(place), "--list"), Path("/"), {}))
    names = tuple(listed.stdout.decode().split())
    return DebugTools(words=f"a small toolbox of Go ({place}); busybox is not installed", program=place, names=names)


def expected_build(session: "Session") -> str:
    """Say what would be used.

    Raises:
        HostUnable: there is no Go to build it with.
    """
    if _place(session).exists():
        return f"a small toolbox of Go ({_place(session)}); busybox is not installed"
    return f"a small toolbox, to be built by {_toolchain(session).version}; busybox is not installed"


def _build(session: "Session", place: Path) -> None:
    from wherry.errors import CannotWrite

    toolchain = _toolchain(session)
    session.waits("busybox is not installed: building a small toolbox, once")
    draft = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        session.cache_folder.mkdir(parents=True, exist_ok=True)
        session.keep_cache_private()
        place.parent.mkdir(parents=True, exist_ok=True)
        command = toolchain.command(
            _source(), "build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags=-s", "-o", str(draft), ".",
            extra={"CGO_ENABLED": "0", "GOFLAGS": "-modcacherw", "GOWORK": "off", "GOOS": "linux"},
        )  # fmt: skip
        done = session.runner.run(command)
        if done.returncode:
            raise HostUnable(
                f"busybox is not installed, and a toolbox could not be built: {done.words[-500:]}", hint=_HINT
            )
        draft.rename(place)
    except OSError as error:
        raise CannotWrite(
            f"{place}: {error.strerror or error}", hint="free disk space, or use another --cache"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _toolchain(session: "Session") -> "Toolchain":
    from wherry.host.toolchain import find_toolchain

    try:
        return find_toolchain(session.runner, {**session.environment, "GOWORK": "off"}, _source())
    except HostUnable as error:
        raise HostUnable(
            f"busybox is not installed, and a toolbox cannot be built: {error.message}", hint=_HINT
        ) from error


def _place(session: "Session") -> Path:
    """Name the file: another source, or another machine, makes another."""
    text = b"\0".join((_source() / name).read_bytes() for name in _FILES) + platform.machine().encode()
    return session.cache_folder / "toolbox" / hashlib.sha256(text).hexdigest()[:16] / "wherry-toolbox"


def _source() -> Path:
    return Path(__file__).resolve().parents[1] / "runtime" / "debug" / "toolbox"
