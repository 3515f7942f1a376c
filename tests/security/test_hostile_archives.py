"""Hostile layers and archives: traversal, links, whiteouts, hard links, devices, attributes, PAX.

Each is written byte by byte, then unpacked in the three ways that wherry has: files from a flattened image (`flatten`
and `unpack`), a layer for a step's or a container's root (`LayerFolder`), and ADD of an archive (`Extraction`). In each
it is refused with an error of ours, or all that it makes is inside of the folder. The kinds of CVE-2019-14271,
CVE-2021-30465 (links), CVE-2018-15664, CVE-2022-1227 and of tar's own CVE-2001-1267, CVE-2016-6321.
"""

import contextlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from wherry.errors import WherryError
from wherry.layer import header
from wherry.layer.changes import flatten
from wherry.layer.entry import ArchiveLimits
from wherry.layer.header import BLOCK, Header
from wherry.layer.tar import read_tar
from wherry.layer.unpack import unpack
from wherry.sandbox.frames import write_frames
from wherry.sandbox.launcher.extract import Extraction
from wherry.sandbox.launcher.owners import OwnerWriter
from wherry.sandbox.launcher.snapshot_tasks import unpack as unpack_layer
from wherry.sandbox.spec import Unpack

LIMITS = ArchiveLimits(entries=1000, size=1 << 20)
OUT = "@outside@"
"""Stands for the folder that nothing may reach."""


def block(path: str, flag: str = "0", body: bytes = b"", **values: object) -> bytes:
    """Write a header, the bytes of its file, and what fills the last block."""
    written = header._block(
        Header(path.encode()[:100], flag.encode(), size=len(body), uid=os.geteuid(), gid=os.getegid(), **values), b""
    )
    return written + body + bytes(-len(body) % BLOCK)


def link(path: str, target: str) -> bytes:
    """Write a symbolic link."""
    return block(path, "2", target=target.encode())


def hard(path: str, target: str) -> bytes:
    """Write a hard link."""
    return block(path, "1", target=target.encode())


def node(path: str, flag: str, device: tuple[int, int]) -> bytes:
    """Write a device node."""
    return block(path, flag, device=device, mode=0o666)


def folder(path: str, mode: int = 0o755) -> bytes:
    """Write a folder."""
    return block(f"{path}/", "5", mode=mode)


def pax(records: dict[str, bytes], *, flag: str = "x") -> bytes:
    """Write an extended header."""
    return block("pax", flag, b"".join(header._record(key.encode(), value) for key, value in records.items()))


def gnu(flag: str, text: str) -> bytes:
    """Write GNU's long name or link for what comes next."""
    return block("././@LongLink", flag, text.encode() + b"\0")


def number(archive: bytes, at: int, field: bytes) -> bytes:
    """Put other bytes into a number of the first header, with a right checksum."""
    changed = bytearray(archive)
    changed[at : at + len(field)] = field
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed[:BLOCK])
    return bytes(changed)


_X = block("x", body=b"evil")
_ABOVE = folder("d", 0o700) + block("d/kept", body=b"below")

ARCHIVES: dict[str, bytes | tuple[bytes, ...]] = {
    # Traversal.
    "a name that leads up": block("../out", body=b"evil"),
    "a name that leads up later": block("a/../../out", body=b"evil"),
    "a name of two dots": block(".."),
    "a name that ends in two dots": folder("a/.."),
    "an absolute name": block(f"{OUT}/out", body=b"evil"),
    "many slashes": block("////etc//out", body=b"evil"),
    "a link up, and through it": link("up", "../../..") + block("up/out", body=b"evil"),
    "an absolute link, and through it": link("l", OUT) + block("l/out", body=b"evil"),
    "a link to a link out": link("a", "b") + link("b", OUT) + block("a/out", body=b"evil"),
    "a folder's link up": folder("a/b") + link("a/b/up", "../../../../..") + block("a/b/up/out", body=b"evil"),
    "a file over a link out": link("l", f"{OUT}/kept") + block("l", body=b"evil"),
    "a folder over a link out": link("l", OUT) + folder("l", 0o777) + block("l/out", body=b"evil"),
    "a folder that becomes a link out": folder("d", 0o777) + block("d/a") + link("d", OUT) + block("d/out"),
    "a folder's mode and time through a link": link("l", OUT) + folder("l", 0o777),
    "a link to /proc/self/root": link("l", "/proc/self/root") + block(f"l{OUT}/out", body=b"evil"),
    "a link to /proc/self/cwd": link("l", "/proc/self/cwd") + block("l/out", body=b"evil"),
    "a link to /proc/self/fd": link("l", "/proc/self/fd/3") + block("l", body=b"evil"),
    "links in a circle": link("a", "b") + link("b", "a") + block("a/out", body=b"evil"),
    "a link to itself": link("a", "a") + block("a/out", body=b"evil"),
    "a thousand links": b"".join(link(f"l{at}", f"l{at + 1}") for at in range(300)) + block("l0/out"),
    "a link of two layers": (link("etc", OUT), block("etc/out", body=b"evil")),
    "a link that a layer puts over a folder": (folder("etc"), link("etc", OUT), block("etc/out", body=b"evil")),
    "a link to nowhere": block("l", "2"),
    "a backslash": block("..\\out", body=b"evil"),
    "a name of control characters": block("\x1b[31m\n\r\x07", body=b"evil"),
    "a path of 5,000 bytes": pax({"path": b"a/" * 2500 + b"x"}) + _X,
    "a name of 300 bytes": pax({"path": b"a" * 300}) + _X,
    "folders 90 deep": pax({"path": b"a/" * 90 + b"x"}) + _X,
    "the root as a file": block("./", "0"),
    "the root as a link": link(".", OUT),
    # Whiteouts.
    "a whiteout through a link out": (link("l", OUT), block("l/.wh.kept")),
    "an opaque folder through a link out": (link("l", OUT), block("l/.wh..wh..opq")),
    "a whiteout of two dots": (folder("a"), block("a/.wh...")),
    "a whiteout of a dot": (folder("a"), block("a/.wh..")),
    "a whiteout of nothing": block(".wh."),
    "a whiteout that is a link out": link(".wh.x", f"{OUT}/kept") + block(".wh.x"),
    "a whiteout that is a folder": folder(".wh.x") + block(".wh.x/y"),
    "a whiteout of a folder that is filled": (_ABOVE, block(".wh.d") + block("d/new")),
    "overlayfs's own whiteout": (_ABOVE, node("d/kept", "3", (0, 0))),
    # Hard links.
    "a hard link up": hard("h", "../../outside/kept"),
    "a hard link to an absolute path": hard("h", f"{OUT}/kept") + block("h", body=b"evil"),
    "a hard link through a link out": link("l", OUT) + hard("h", "l/kept"),
    "a hard link to a link out, and over it": link("l", f"{OUT}/kept") + hard("h", "l") + block("h", body=b"evil"),
    "a hard link's mode through a link": link("l", f"{OUT}/kept") + hard("h", "l") + hard("i", "h"),
    "a hard link to nothing": hard("h", "gone"),
    "a hard link to a folder": folder("d") + hard("h", "d"),
    "a hard link to itself": hard("h", "h"),
    "a hard link to what comes later": hard("h", "x") + _X,
    "a hard link without a target": hard("h", ""),
    "a hard link over its own folder": block("d/x") + hard("d", "d/x"),
    # Devices.
    "a character device": node("null", "3", (1, 3)),
    "a block device": node("sda", "4", (8, 0)),
    "a device and a file through it": node("d", "4", (8, 0)) + block("d/x"),
    "a device over a link out": link("l", f"{OUT}/kept") + node("l", "3", (1, 3)),
    "a pipe over a link out": link("l", f"{OUT}/kept") + block("l", "6"),
    "a device of huge numbers": number(node("d", "3", (1, 3)), 329, b"\x80" + b"\xff" * 7),
    # Attributes.
    "an overlay's redirect": pax({"SCHILY.xattr.trusted.overlay.redirect": OUT.encode()}) + folder("d"),
    "a user overlay's redirect": pax({"SCHILY.xattr.user.overlay.redirect": OUT.encode()}) + folder("d"),
    "an overlay's metacopy": pax({"SCHILY.xattr.user.overlay.metacopy": b""}) + _X,
    "capabilities": pax({"SCHILY.xattr.security.capability": b"\1\0\0\2" + b"\xff" * 16}) + _X,
    "an access list": pax({"SCHILY.xattr.system.posix_acl_access": b"\2\0\0\0"}) + _X,
    "an attribute of 100,000 bytes": pax({"SCHILY.xattr.user.big": b"x" * 100_000}) + _X,
    "an attribute's name of 300 bytes": pax({"SCHILY.xattr.user." + "n" * 300: b"1"}) + _X,
    "an attribute without a name": pax({"SCHILY.xattr.user.": b"1"}) + _X,
    "an attribute with a NUL in its name": pax({"SCHILY.xattr.user.a\0b": b"1"}) + _X,
    "our own note of an owner": pax({"SCHILY.xattr.user.wherry.owner": b"-7:99999999999999999999"}) + _X,
    "an attribute through a link": link("l", f"{OUT}/kept") + pax({"SCHILY.xattr.user.a": b"1"}) + link("l", OUT),
    # PAX and numbers.
    "PAX's path leads up": pax({"path": b"../out"}) + _X,
    "PAX's path through a link": link("l", OUT) + pax({"path": b"l/out"}) + _X,
    "PAX's path for all": pax({"path": b"../../out"}, flag="g") + _X + block("y"),
    "PAX's path with a NUL": pax({"path": b"a\0../../out"}) + _X,
    "PAX's link leads out": pax({"linkpath": f"{OUT}/kept".encode()}) + hard("h", "x"),
    "PAX's size is larger": pax({"size": b"1000000"}) + _X,
    "PAX's size is negative": pax({"size": b"-512"}) + _X,
    "PAX's size is smaller, and hides a header": pax({"size": b"0"}) + block("x", body=block("../out")),
    "PAX's size has no end": pax({"size": b"9" * 5000}) + _X,
    "PAX's owner is huge": pax({"uid": b"4294967295", "gid": b"18446744073709551616"}) + _X,
    "PAX's time is no number": pax({"mtime": b"nan"}) + _X,
    "PAX's time is far": pax({"mtime": b"1099511627775"}) + _X,
    "a record that lies about its length": block("pax", "x", b"9999 path=../out\n") + _X,
    "a record without an end": block("pax", "x", b"15 path=../out") + _X,
    "a record of length zero": block("pax", "x", b"0 path=../out\n") + _X,
    "GNU's long name leads up": gnu("L", "../" * 60 + "out") + _X,
    "GNU's long link leads out": gnu("K", f"{OUT}/kept" + "/." * 100) + hard("h", "x"),
    "GNU's long name for nothing": gnu("L", "a" * 200),
    "a sparse file": pax({"GNU.sparse.realsize": b"1099511627776"}) + _X,
    "an unknown kind": block("x", "Z", body=b"evil"),
    "a negative size": number(_X, 124, b"\xff" * 12),
    "a size beyond its archive": number(_X, 124, b"77777777777\0"),
    "a mode of all bits": block("x", body=b"evil", mode=0o7777),
    "no checksum": _X[:148] + b"0" * 8 + _X[156:],
}


@dataclass(frozen=True)
class Ground:
    """A folder to unpack into, and what is around it."""

    top: Path

    @property
    def outside(self) -> Path:
        """What nothing may reach."""
        return self.top / "outside"

    def layers(self, case: str) -> list[bytes]:
        """Give a case's archives, each with its end."""
        given = ARCHIVES[case]
        told = str(self.outside).encode()
        return [_moved(one, told) + bytes(2 * BLOCK) for one in (given if isinstance(given, tuple) else (given,))]

    def seen(self) -> list[tuple[object, ...]]:
        """List all that is outside, with modes, owners, times, attributes and bytes."""
        found: list[tuple[object, ...]] = [tuple(sorted(path.name for path in self.top.iterdir()))]
        for path in (self.outside, *sorted(self.outside.rglob("*"))):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            kept = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_nlink)
            found.append((str(path), *kept, tuple(os.listxattr(path)), content))
        return found


def _moved(archive: bytes, outside: bytes) -> bytes:
    """Put the real place into an archive that has OUT in it: into names and targets, and into bodies of PAX.

    Headers get a new checksum; an extended header that holds OUT is written again with its length.
    """
    mark, at, moved = OUT.encode(), 0, []
    while at < len(archive):
        head = archive[at : at + BLOCK]
        size = int(head[124:135], 8) if head[124:135].isdigit() else 0
        end = at + BLOCK + size + -size % BLOCK
        body = archive[at + BLOCK : end][:size]
        if mark in body and head[156:157] in b"xg":
            key, _, value = body[body.index(b" ") + 1 : -1].partition(b"=")
            moved.append(pax({key.decode(): value.replace(mark, outside)}))
        elif mark in body:
            moved.append(gnu(head[156:157].decode(), body[:-1].replace(mark, outside).decode()))
        elif mark in head:
            fields = {"path": head[:100].rstrip(b"\0"), "linkpath": head[157:257].rstrip(b"\0")}
            said = {key: value.replace(mark, outside) for key, value in fields.items() if mark in value}
            moved.append(pax(said) + number(head, 0, head[:100].replace(mark, b"").ljust(100, b"\0")[:100]) + body)
            moved.append(bytes(-size % BLOCK))
        else:
            moved.append(archive[at:end])
        at = end
    return b"".join(moved)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """One with a file outside."""
    made = Ground(tmp_path)
    made.outside.mkdir(mode=0o750)
    (made.outside / "kept").write_bytes(b"kept")
    (tmp_path / "box").mkdir()
    os.utime(made.outside, (5, 5))
    return made


def _flattened(layers: list[bytes], box: Path) -> None:
    unpack(flatten([lambda layer=layer: io.BytesIO(layer) for layer in layers], LIMITS), box / "in", limits=LIMITS)


def _layered(layers: list[bytes], box: Path) -> None:
    below: list[str] = []
    (box / "trash").mkdir()
    for place, layer in enumerate(layers):
        into = box / f"{place}"
        into.mkdir()
        job = Unpack(task="unpack", ids=None, into=str(into), trash=str(box / "trash"), below=list(below))
        with _frames(layer, plain=False) as frames:
            unpack_layer(job, frames)
        below.append(str(into))


def _added(layers: list[bytes], box: Path) -> None:
    (box / "in").mkdir()
    root = os.open(box / "in", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for layer in layers:
            with _frames(layer, plain=True) as frames:
                Extraction(root, OwnerWriter(None), None).take(frames)
    finally:
        os.close(root)


@contextlib.contextmanager
def _frames(layer: bytes, *, plain: bool) -> Iterator[io.BytesIO]:
    """Give what the launcher reads; where the archive is refused, what came before that is unpacked all the same."""
    frames = io.BytesIO()
    refused: WherryError | None = None
    try:
        write_frames(read_tar(io.BytesIO(layer), "it", LIMITS), frames, close=False, plain=plain)
    except WherryError as error:
        refused = error
        frames.write(bytes(4))
    frames.seek(0)
    yield frames
    if refused:
        raise refused


WAYS: dict[str, Callable[[list[bytes], Path], None]] = {"files": _flattened, "layer": _layered, "ADD": _added}
KEPT = {"user.overlay.opaque", "security.capability"}
"""The launcher's own mark of a folder that hides those below, and what ADD keeps as Docker does."""
REFUSED = {
    "a name that leads up", "a name that leads up later", "a name of two dots",
    "links in a circle", "a link to itself", "a thousand links", "a link to nowhere", "a path of 5,000 bytes",
    "a name of 300 bytes", "the root as a file", "the root as a link", "a hard link up",
    "a hard link to an absolute path", "a hard link through a link out", "a hard link to nothing",
    "a hard link to a folder", "a hard link to itself", "a hard link to what comes later",
    "a hard link without a target", "an attribute with a NUL in its name", "PAX's path leads up", "PAX's path for all",
    "PAX's path with a NUL", "PAX's link leads out", "PAX's size is larger", "PAX's size is negative",
    "PAX's size is smaller, and hides a header", "PAX's size has no end", "PAX's owner is huge",
    "PAX's time is no number", "a record that lies about its length", "a record without an end",
    "a record of length zero", "GNU's long name leads up", "GNU's long link leads out", "GNU's long name for nothing",
    "a sparse file", "an unknown kind", "a negative size", "a size beyond its archive", "no checksum",
}  # fmt: skip
"""What each way refuses; all else stays inside in at least one of them."""


@pytest.mark.parametrize("case", ARCHIVES)
def test_nothing_outside(case: str, ground: Ground):
    """Each way refuses it or stays inside: no name, no byte, mode, time, link or attribute outside is another."""
    before = ground.seen()
    refused = set()
    for name, way in WAYS.items():
        box = ground.top / "box" / name
        box.mkdir()
        try:
            way(ground.layers(case), box)
        except (WherryError, OSError) as error:
            assert str(error)  # noqa: PT017 - whether it is raised is judged below
            refused.add(name)

        assert ground.seen() == before, name
        for path in box.rglob("*"):
            status = path.lstat()
            is_node = stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
            assert not is_node or status.st_rdev == 0, f"{name}: {path} is a device"
            if name != "files":  # which root may export with all that an image has
                marks = set(os.listxattr(path, follow_symlinks=False)) - KEPT
                assert not marks, f"{name}: {path} has {marks}"
    assert refused == set(WAYS) if case in REFUSED else refused != set(WAYS)
