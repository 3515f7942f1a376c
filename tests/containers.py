"""Images to run in tests, and real plain users to run them as."""

import fcntl
import os
import pwd
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wherry.layer.compress import Encoding, pack
from wherry.layer.entry import BytesContent, Entry, EntryKind, FileContent, with_parents
from wherry.oci import media
from wherry.oci.config import ImageConfig, RootFS, RuntimeConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Manifest
from wherry.platform import Platform
from wherry.store.contract import BlobStore, write_document

PROBE = Path(__file__).parent / "sandbox" / "samples" / "probe.go"
ROOT = Path(__file__).resolve().parents[1]
_USER = re.compile(r"wherry(\d+)(?:many|one)")
HERE = Platform.of("linux", os.uname().machine)


def file(path: str, content: bytes | Path, *, mode: int = 0o644, uid: int = 0, gid: int = 0) -> Entry:
    """Make a file of bytes, or of a file that is here."""
    source = FileContent(content) if isinstance(content, Path) else BytesContent(content)
    size = content.stat().st_size if isinstance(content, Path) else len(content)
    return Entry(path=path, kind=EntryKind.FILE, mode=mode, uid=uid, gid=gid, size=size, content=source)


def folder(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Entry:
    """Make a folder."""
    return Entry(path=path, kind=EntryKind.FOLDER, mode=mode, uid=uid, gid=gid)


def link(path: str, target: str) -> Entry:
    """Make a symbolic link."""
    return Entry(path=path, kind=EntryKind.SYMLINK, mode=0o777, target=target)


def hard(path: str, target: str) -> Entry:
    """Make a hard link."""
    return Entry(path=path, kind=EntryKind.HARDLINK, target=target)


def make_image(
    store: BlobStore,
    layers: Sequence[Iterable[Entry]],
    config: RuntimeConfig | None = None,
    platform: Platform = HERE,
    *,
    parents: bool = True,
) -> Descriptor:
    """Store an image of these layers, base first; folders that are left out are put in, unless `parents` is off."""
    packed = [pack(with_parents(layer) if parents else layer, Encoding("none", 0), store) for layer in layers]
    document = ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        config=config,
        rootfs=RootFS(diff_ids=tuple(layer.diff_id for layer in packed)),
    )
    stored = write_document(store, media.OCI_CONFIG, document.encoded())
    manifest = Manifest.of(stored, tuple(layer.blob for layer in packed))
    return write_document(store, media.OCI_MANIFEST, manifest.encoded())


@dataclass(frozen=True)
class Person:
    """Somebody who runs wherry: root, or a plain user made for it."""

    name: str
    home: Path
    uid: int

    def argv(self, *arguments: str) -> list[str]:
        """Give the command line of wherry as this person."""
        python = sys.executable if self.uid == 0 else "/usr/bin/python3"
        wherry = [python, "-m", "wherry", *arguments]
        if self.uid == os.geteuid():
            return wherry
        return ["setpriv", f"--reuid={self.name}", f"--regid={self.name}", "--init-groups", *wherry]

    @property
    def environment(self) -> dict[str, str]:
        """Give what wherry finds in the environment: a home of the person's own, and this repository's code."""
        packages = os.pathsep.join([str(ROOT / "src"), sysconfig.get_path("purelib")])
        return {
            "HOME": str(self.home),
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "PYTHONPATH": packages,
            "SECRET": "s3cret",
        }

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run wherry to its end."""
        given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        return subprocess.run(
            self.argv(*arguments),
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **given,
        )

    def start(self, *arguments: str, **kept: object) -> "subprocess.Popen[str]":
        """Start wherry, its output in pipes."""
        return subprocess.Popen(
            self.argv(*arguments), env=self.environment, cwd=self.home, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kept,
        )  # fmt: skip


@contextmanager
def people() -> Iterator[dict[str, Person]]:
    """Give root, a plain user with sub-ids (`many`) and one without (`one`); where we aren't root, only ourselves.

    The users are made for it and deleted again.
    """
    if os.geteuid() != 0:
        yield {"self": Person(pwd.getpwuid(os.geteuid()).pw_name, Path.home(), os.geteuid())}
        return
    names = {kind: f"wherry{os.getpid()}{kind}" for kind in ("many", "one")}
    with tempfile.TemporaryDirectory() as home:
        try:
            with _tables():
                _delete_left()
                for name in names.values():
                    subprocess.run(["useradd", "-m", name], check=True, capture_output=True)
                for table in (Path("/etc/subuid"), Path("/etc/subgid")):
                    kept = [line for line in table.read_text().splitlines() if not line.startswith(f"{names['one']}:")]
                    table.write_text("".join(f"{line}\n" for line in kept))
            made = {kind: pwd.getpwnam(name) for kind, name in names.items()}
            root = {"root": Person("root", Path(home), 0)}
            yield root | {kind: Person(user.pw_name, Path(user.pw_dir), user.pw_uid) for kind, user in made.items()}
        finally:
            with _tables():
                for name in names.values():
                    _delete(name)


@contextmanager
def _tables() -> Iterator[None]:
    """Change the users of this machine alone: useradd and userdel fail where another holds /etc/passwd."""
    with Path(tempfile.gettempdir(), "wherry-tests-users.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _delete_left() -> None:
    """Delete users of tests that were killed: their process is gone, and they have none."""
    for user in pwd.getpwall():
        match = _USER.fullmatch(user.pw_name)
        if match and not Path("/proc", match[1]).exists() and not _processes(user.pw_uid):
            _delete(user.pw_name)


def _delete(name: str) -> None:
    """Delete a user; what is left of its processes ends first, since userdel refuses else."""
    with suppress(KeyError):
        for process in _processes(pwd.getpwnam(name).pw_uid):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    subprocess.run(["userdel", "-f", "-r", name], check=False, capture_output=True)


def _processes(uid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and entry.stat().st_uid == uid:
                found.append(int(entry.name))
    return found
