"""Copy a file or a folder out of what is debugged; what it has for names and links never leads out of the place."""

import os
import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import IO, TYPE_CHECKING

from wherry.app.debug_options import DebugOptions
from wherry.app.debugging import POD, ImageTarget, ProcessTarget, find_target, why_refused_to_enter
from wherry.errors import CannotWrite, InvalidUsage, NotFound

if TYPE_CHECKING:
    from wherry.app.session import Session
    from wherry.layer.entry import Entry
    from wherry.layer.tar import TarBody
    from wherry.runtime.debug.shell import DebugTools

Copier = Callable[["DebugTools", DebugOptions, Callable[[bytes], None]], int]
"""Runs a command in the target and hands on what it prints; gives its exit code."""
_HIDDEN = ("proc", "sys", "dev", ".wherry")
"""What is left out where all of a root is copied: the kernel's, and ours."""
_WHOLE = f"""cd /; for one in .[!.]* *; do case $one in {"|".join(_HIDDEN)}) ;; *)
if [ -e "$one" ] || [ -L "$one" ]; then set -- "$@" "$one"; fi;; esac; done; exec tar -cf - -C / -- "$@" """
_KEPT_MODE = 0o777
"""No set-user-ID bit of a target's file is kept."""


def copy_out(
    session: "Session",
    target: str,
    path: str,
    destination: Path,
    options: DebugOptions,
    *,
    notice: Callable[[str], None],
) -> int:
    """Copy a file or folder of a target; give how many files and folders were written.

    Symbolic links stay links, set-user-ID bits are dropped, and device nodes and pipes are left out.

    Args:
        session: where.
        target: as `debug` takes it.
        path: absolute, in the target.
        destination: what it is called here; it must not be there yet.
        options: the toolbox, and as whom the files are read.
        notice: called with what was left out.

    Raises:
        NotFound: there is no such target, or no such path in it.
        CannotWrite: the destination is there already, or can't be written.
    """
    from wherry.app.toolboxes import toolbox_of

    if not path.startswith("/") or "\0" in path:
        raise InvalidUsage(f"--copy-out {path}: not an absolute path", hint="start it with /, such as /etc/hosts")
    if destination.is_symlink() or destination.exists():
        raise CannotWrite(f"{destination}: it exists already", hint="move it away, or give another name with -o")
    if target.startswith(POD):
        return _of_pod(session, target, path, destination, options, notice)
    found = find_target(session, target)
    inner = posixpath.normpath("/" + path.lstrip("/"))
    folder, name = posixpath.split(inner)
    words = ("tar", "-cf", "-", "-C", folder, "--", name) if name else ("sh", "-c", _WHOLE)
    with toolbox_of(session, options.toolbox) as tools, _draft(destination) as place:
        wanted = replace(options, command=words, terminal=False)
        copier = _copier(session, found, (folder, name or "."), notice)
        code, written, skipped = _received(lambda out: copier(tools, wanted, out), place, f"{target}:{inner}")
        made = place / name if name else place
        if code or not (made.is_symlink() or made.exists()):
            raise NotFound(
                f"{target}: cannot copy {inner}" + (f" (tar exited with {code})" if code else ""),
                hint="check the path; --root reads what the target's user may not",
            )
        _moved(made, destination)
    for line in skipped:
        notice(f"left out: {line}")
    return written


def _of_pod(
    session: "Session", target: str, path: str, destination: Path, options: DebugOptions, notice: Callable[[str], None]
) -> int:
    from wherry.app.debug_pod import debug_pod
    from wherry.app.pod_run import pod_address

    folder, name = posixpath.split(posixpath.normpath("/" + path.lstrip("/")))
    if not name:
        raise InvalidUsage("--copy-out /: not of a pod", hint="name a file or a folder")
    address = pod_address(session, target.removeprefix(POD), namespace=options.namespace, context=options.context)
    words = ("tar", "-cf", "-", "-C", f"/proc/1/root{folder}", "--", name)
    wanted = replace(options, command=words, terminal=False)
    with _draft(destination) as place:
        code, written, skipped = _received(
            lambda out: debug_pod(session, address, wanted, notice, out=out), place, target
        )
        if code or not ((place / name).is_symlink() or (place / name).exists()):
            raise NotFound(f"{target}: cannot copy {path} (tar exited with {code})", hint="check the path")
        _moved(place / name, destination)
    for line in skipped:
        notice(f"left out: {line}")
    return written


def _copier(
    session: "Session", found: ProcessTarget | ImageTarget, path: tuple[str, str], notice: Callable[[str], None]
) -> Copier:
    if isinstance(found, ImageTarget):
        located = found.located

        def of_image(tools: "DebugTools", options: DebugOptions, out: Callable[[bytes], None]) -> int:
            from wherry.app.debug_image import debug_image

            return debug_image(session, located, tools, options, notice, out=out)

        return of_image
    access = found.access

    def of_process(tools: "DebugTools", options: DebugOptions, out: Callable[[bytes], None]) -> int:
        from wherry.runtime.debug.access import AccessState

        if access.shell.state is AccessState.NO and access.files.state is AccessState.YES:
            from wherry.runtime.debug.files import write_archive

            return write_archive(access.process.pid, *path, out, hidden=_HIDDEN)
        from wherry.runtime.debug.shell import ShellOptions, enter_job
        from wherry.sandbox.piped import run_piped

        job = enter_job(access, tools, ShellOptions(command=options.command, root=options.root))
        return run_piped(job, out, why=lambda: why_refused_to_enter(access))

    return of_process


def _received(run: Callable[[Callable[[bytes], None]], int], place: Path, name: str) -> tuple[int, int, list[str]]:
    """Unpack what a command prints while it prints it; give its exit code, how many were written, what was left out."""
    from wherry.layer.tar import read_tar
    from wherry.layer.unpack import Unpacked, unpack

    read, write = os.pipe()
    done: list[Unpacked] = []
    failed: list[BaseException] = []
    left: list[str] = []

    def receive() -> None:
        try:
            with os.fdopen(read, "rb") as stream:
                done.append(unpack(_kept(read_tar(stream, name), left), place))
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            failed.append(error)

    receiver = Thread(target=receive, name="copy-out", daemon=True)
    receiver.start()
    try:
        with os.fdopen(write, "wb", buffering=0) as sink:
            code = run(lambda chunk: _written(sink, chunk))
    except BrokenPipeError:
        code = 0
    finally:
        receiver.join()
    if failed and not code:
        raise failed[0]
    unpacked = done[0] if done else Unpacked()
    return code, unpacked.entries, [*left, *unpacked.skipped]


def _written(sink: IO[bytes], chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[sink.write(rest) :]


def _kept(entries: "Iterator[tuple[Entry, TarBody]]", left: list[str]) -> "Iterator[tuple[Entry, TarBody]]":
    """Leave out what is neither file, folder nor link, and whatever this machine would act on."""
    from wherry.layer.changes import WHITEOUT
    from wherry.layer.entry import EntryKind

    kinds = {EntryKind.FILE, EntryKind.FOLDER, EntryKind.SYMLINK, EntryKind.HARDLINK}
    for entry, body in entries:
        if entry.kind not in kinds or posixpath.basename(entry.path).startswith(WHITEOUT):
            left.append(f"{entry.path}: {entry.kind.name.lower()}")
            continue
        yield replace(entry, mode=entry.mode & _KEPT_MODE, xattrs={}), body


@contextmanager
def _draft(destination: Path) -> Iterator[Path]:
    """Make a folder next to a destination, which is deleted with what is left in it."""
    try:
        with TemporaryDirectory(prefix=".wherry-copy-", dir=destination.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise CannotWrite(
            f"{destination.parent}: {error.strerror or error}", hint="name another place with -o"
        ) from error


def _moved(made: Path, destination: Path) -> None:
    if made.is_dir() and not made.is_symlink():
        destination.mkdir()
        made.chmod(made.stat().st_mode | 0o700)
        for child in made.iterdir():
            child.rename(destination / child.name)
        return
    made.rename(destination)
