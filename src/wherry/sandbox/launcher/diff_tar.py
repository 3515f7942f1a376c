"""A layer's folder to a tar on standard output: what changed, deletions as whiteouts, in one fixed order.

What the layers below have already, with the same content, mode, owner and time, is left out: a COPY or a chmod that
changes nothing ships nothing. Folders that an overlay took up only because something below them changed are there for
that something, never for themselves. Sockets have no form in a tar and are left out, and so is the root itself.

Sources: OCI image-spec v1.1.1, layer.md; Linux 6.18, overlayfs.rst; BuildKit's overlay differ for what is unchanged,
and for a folder that was deleted and made again.
"""

import os
import stat

from wherry.layer.header import BLOCK, Header, encode
from wherry.sandbox.launcher.below import Below, BelowFolder, is_same, same_links
from wherry.sandbox.launcher.owners import read_owner
from wherry.sandbox.launcher.paths import open_real
from wherry.sandbox.layer_stack import is_opaque, is_whiteout

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
        OSError: the layer can't be read, or the tar has no reader.
    """
    below = Below(job["below"])
    try:
        layer = _Layer(job, below)
        layer.folder([], below.root())
        layer.put(bytes(2 * BLOCK))
        layer.flush()
    finally:
        below.close()


class _Layer:
    """A layer on its way out."""

    def __init__(self, job: "DiffTar", layers: Below) -> None:
        self._root = os.open(job["folder"], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._here = -1
        """The folder that is being written, open: a name in it is looked up there, never by a path."""
        self._layers = layers
        self._below = layers.root()
        """What the layers below show of that folder."""
        self._latest = job["latest"]
        self._first: dict[tuple[int, int], bytes] = {}
        self._linked: set[tuple[int, int]] | None = None
        """Files with several names that the layers below have under all of them; None: not looked for."""
        self._waiting: list[bytes] = []
        """Headers of folders that go out with the first thing in them."""
        self._buffer: list[bytes] = []
        self._size = 0

    def folder(self, names: "list[str]", below: BelowFolder, *, replaced: bool = False) -> None:
        """Write what is in a folder.

        Args:
            names: the way to it.
            below: what the layers below show of it.
            replaced: whether one above it was deleted and made again, so that names which it lacks are gone.
        """
        self._here, self._below = open_real(self._root, "/".join(names)), below
        try:
            found = set(os.listdir(self._here))
            opaque = bool(names) and is_opaque(self._here)
            gone = below.names() - found if opaque or replaced else set()
            if opaque and gone and not any(below.find(name) for name in found):
                self._entry(Header(os.fsencode(f"{'/'.join(names)}/.wh..wh..opq"), b"0", 0o644))
                gone.clear()
            for name in sorted(found | gone, key=os.fsencode):
                if name in gone:
                    self._whiteout([*names, name])
                else:
                    self._one([*names, name], replaced=replaced or opaque)
        finally:
            os.close(self._here)

    def _whiteout(self, names: "list[str]") -> None:
        above = "".join(f"{above}/" for above in names[:-1])
        self._entry(Header(os.fsencode(f"{above}.wh.{names[-1]}"), b"0", 0o644))

    def _one(self, names: "list[str]", *, replaced: bool) -> None:
        path, name = "/".join(names), names[-1]
        status = os.stat(name, dir_fd=self._here, follow_symlinks=False)
        if is_whiteout(status):
            if not replaced or self._below.find(name):
                self._whiteout(names)
        elif stat.S_ISDIR(status.st_mode):
            self._inner(names, path, status, replaced=replaced)
        elif stat.S_ISSOCK(status.st_mode) or self._is_same(name, status):
            return
        elif stat.S_ISREG(status.st_mode):
            self._file(path, status)
        else:
            target = os.fsencode(os.readlink(name, dir_fd=self._here)) if stat.S_ISLNK(status.st_mode) else b""
            self._entry(self._header(path, status, _FLAGS[stat.S_IFMT(status.st_mode)], target=target))

    def _inner(self, names: "list[str]", path: str, status: os.stat_result, *, replaced: bool) -> None:
        block = self._encoded(self._header(f"{path}/", status, b"5"), path)
        above, depth = self._below, len(self._waiting)
        if self._is_same(names[-1], status):
            self._waiting.append(block)
        else:
            self._out(block)
        os.close(self._here)  # one folder is open at a time, however deep they are
        try:
            self.folder(names, above.enter(names[-1]), replaced=replaced)
        finally:
            self._here, self._below = open_real(self._root, "/".join(names[:-1])), above
        del self._waiting[depth:]

    def _is_same(self, name: str, status: os.stat_result) -> bool:
        if not is_same(self._here, name, status, self._below.find(name), self._shown_time):
            return False
        if stat.S_ISDIR(status.st_mode) or status.st_nlink == 1:
            return True
        if self._linked is None:
            self._linked = same_links(self._root, self._layers.root(), self._shown_time)
        return (status.st_dev, status.st_ino) in self._linked

    def _shown_time(self, status: os.stat_result) -> int:
        """Give the time that a tar has for a file's, in seconds."""
        mtime = max(status.st_mtime_ns // _SECOND, 0)
        return min(mtime, self._latest) if self._latest >= 0 else mtime

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
                raise OSError(0, "changed while it was packed", path)
            self.put(content)
        else:
            self.flush()
            left = size
            while left:
                sent = os.sendfile(_STDOUT, opened, size - left, left)
                if not sent:
                    raise OSError(0, "was truncated while it was packed", path)
                left -= sent
        self.put(bytes(-size % BLOCK))

    def _header(self, path: str, status: os.stat_result, flag: bytes, *, target: bytes = b"", size: int = 0) -> Header:
        uid, gid = read_owner(self._here, path.rstrip("/").rpartition("/")[2], status)
        return Header(
            path=os.fsencode(path),
            flag=flag,
            mode=0o777 if flag == b"2" else stat.S_IMODE(status.st_mode),
            uid=uid,
            gid=gid,
            size=size,
            mtime=self._shown_time(status),
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
