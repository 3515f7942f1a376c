"""A layer's folder to a tar on standard output: what changed, deletions as whiteouts, in one fixed order.

Folders that an overlay took up only because something below them changed are there for that something, never for
themselves. Sockets have no form in a tar and are left out, and so is the root itself.

Sources: OCI image-spec v1.1.1, layer.md; Linux 6.18, overlayfs.rst; BuildKit's overlay differ for unchanged folders.
"""

import os
import stat

from wherry.layer.header import BLOCK, Header, encode
from wherry.sandbox.launcher.owners import read_owner
from wherry.sandbox.launcher.paths import open_real
from wherry.sandbox.layer_stack import LayerStack, is_opaque, is_whiteout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.sandbox.spec import DiffTar

_STDOUT = 1
_BUFFER = 1 << 18
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FLAGS = {stat.S_IFREG: b"0", stat.S_IFLNK: b"2", stat.S_IFCHR: b"3", stat.S_IFBLK: b"4", stat.S_IFIFO: b"6"}
_SECOND = 1_000_000_000
_CAPABILITY = "security.capability"


def write(job: "DiffTar") -> None:
    """Write the tar.

    Raises:
        OSError: the layer can't be read, or nobody reads the tar.
    """
    layer = _Layer(job)
    layer.folder([])
    layer.put(bytes(2 * BLOCK))
    layer.flush()


class _Layer:
    """A layer on its way out."""

    def __init__(self, job: "DiffTar") -> None:
        self._root = os.open(job["folder"], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._here = -1
        """The folder that is being written, open: a name in it is looked up there, never by a path."""
        self._below = LayerStack(job["below"])
        self._latest = job["latest"]
        self._first: dict[tuple[int, int], bytes] = {}
        self._waiting: list[bytes] = []
        """Headers of folders that go out with the first thing in them."""
        self._buffer: list[bytes] = []
        self._size = 0

    def folder(self, names: "list[str]") -> None:
        """Write what is in a folder."""
        path = "/".join(names)
        self._here = open_real(self._root, path)
        try:
            found = sorted(os.listdir(self._here), key=os.fsencode)
            if names and is_opaque(self._here):
                self._entry(Header(os.fsencode(f"{path}/.wh..wh..opq"), b"0", 0o644))
            for name in found:
                self._one([*names, name])
        finally:
            os.close(self._here)

    def _one(self, names: "list[str]") -> None:
        path, name = "/".join(names), names[-1]
        status = os.stat(name, dir_fd=self._here, follow_symlinks=False)
        if is_whiteout(status):
            above = "".join(f"{above}/" for above in names[:-1])
            self._entry(Header(os.fsencode(f"{above}.wh.{name}"), b"0", 0o644))
        elif stat.S_ISDIR(status.st_mode):
            self._inner(names, path, status)
        elif stat.S_ISREG(status.st_mode):
            self._file(path, status)
        elif not stat.S_ISSOCK(status.st_mode):
            target = os.fsencode(os.readlink(name, dir_fd=self._here)) if stat.S_ISLNK(status.st_mode) else b""
            self._entry(self._header(path, status, _FLAGS[stat.S_IFMT(status.st_mode)], target=target))

    def _inner(self, names: "list[str]", path: str, status: os.stat_result) -> None:
        block = self._encoded(self._header(f"{path}/", status, b"5"), path)
        os.close(self._here)  # one folder is open at a time, however deep they are
        try:
            self._below_it(names, path, status, block)
        finally:
            self._here = open_real(self._root, "/".join(names[:-1]))

    def _below_it(self, names: "list[str]", path: str, status: os.stat_result, block: bytes) -> None:
        depth = len(self._waiting)
        if self._unchanged(path, status):
            self._waiting.append(block)
        else:
            self._out(block)
        self.folder(names)
        del self._waiting[depth:]

    def _unchanged(self, path: str, status: os.stat_result) -> bool:
        below = self._below.status(path)
        if below is None or not stat.S_ISDIR(below.st_mode):
            return False
        same = ("st_mode", "st_uid", "st_gid", "st_mtime_ns")
        return all(getattr(status, name) == getattr(below, name) for name in same)

    def _file(self, path: str, status: os.stat_result) -> None:
        if status.st_nlink > 1:
            first = self._first.setdefault((status.st_dev, status.st_ino), os.fsencode(path))
            if first != os.fsencode(path):
                self._entry(self._header(path, status, b"1", target=first))
                return
        opened = os.open(path.rpartition("/")[2], _FILE, dir_fd=self._here)
        try:
            self._out(self._encoded(self._header(path, status, b"0", size=status.st_size), path))
            self._body(opened, path, status.st_size)
        finally:
            os.close(opened)

    def _body(self, opened: int, path: str, size: int) -> None:
        if size <= _BUFFER:
            content = os.read(opened, size + 1) if size else b""
            if len(content) != size:
                raise OSError(0, "was changed while it was packed", path)
            self.put(content)
        else:
            self.flush()
            left = size
            while left:
                sent = os.sendfile(_STDOUT, opened, size - left, left)
                if not sent:
                    raise OSError(0, "became shorter while it was packed", path)
                left -= sent
        self.put(bytes(-size % BLOCK))

    def _header(self, path: str, status: os.stat_result, flag: bytes, *, target: bytes = b"", size: int = 0) -> Header:
        uid, gid = read_owner(self._here, path.rstrip("/").rpartition("/")[2], status)
        mtime = max(status.st_mtime_ns // _SECOND, 0)
        return Header(
            path=os.fsencode(path),
            flag=flag,
            mode=0o777 if flag == b"2" else stat.S_IMODE(status.st_mode),
            uid=uid,
            gid=gid,
            size=size,
            mtime=min(mtime, self._latest) if self._latest >= 0 else mtime,
            target=target,
            device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if flag in b"34" else (0, 0),
        )

    def _encoded(self, header: Header, path: str) -> bytes:
        try:
            place = f"/proc/self/fd/{self._here}/{path.rpartition('/')[2]}"
            capability = os.getxattr(place, _CAPABILITY, follow_symlinks=False)
        except OSError:
            return encode(header, {})
        return encode(header, {_CAPABILITY: capability})

    def _entry(self, header: Header) -> None:
        self._out(encode(header, {}))

    def _out(self, block: bytes) -> None:
        for waiting in self._waiting:
            self.put(waiting)
        # What waited has gone out; its place is kept, so that each folder takes its own away again.
        self._waiting[:] = [b""] * len(self._waiting)
        self.put(block)

    def put(self, chunk: bytes) -> None:
        """Write some of it."""
        if not chunk:
            return
        self._buffer.append(chunk)
        self._size += len(chunk)
        if self._size > _BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        whole = memoryview(b"".join(self._buffer))
        while whole:
            whole = whole[os.write(_STDOUT, whole) :]
        self._buffer.clear()
        self._size = 0
