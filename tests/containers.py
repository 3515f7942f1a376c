"""Images to run in tests, and real plain users to run them as."""

import os
import pwd
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
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
    tables = [Path("/etc/subuid"), Path("/etc/subgid")]
    with tempfile.TemporaryDirectory() as home:
        try:
            for name in names.values():
                subprocess.run(["useradd", "-m", name], check=True, capture_output=True)
            for table in tables:
                kept = [line for line in table.read_text().splitlines() if not line.startswith(f"{names['one']}:")]
                table.write_text("".join(f"{line}\n" for line in kept))
            made = {kind: pwd.getpwnam(name) for kind, name in names.items()}
            root = {"root": Person("root", Path(home), 0)}
            yield root | {kind: Person(user.pw_name, Path(user.pw_dir), user.pw_uid) for kind, user in made.items()}
        finally:
            for name in names.values():
                subprocess.run(["userdel", "-r", name], check=False, capture_output=True)
