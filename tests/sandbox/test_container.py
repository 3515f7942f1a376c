"""The launcher itself, asked for what `wherry run` does not ask for here: what other kernels and users need."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from containers import PROBE, file, folder
from gobuild import go_binary
from needs import need_root
from wherry.layer.entry import Entry
from wherry.sandbox import attach
from wherry.sandbox.attach import run_container
from wherry.sandbox.capabilities import DOCKERS
from wherry.sandbox.ids import Mapping
from wherry.sandbox.launcher import overlays
from wherry.sandbox.snapshot_writer import SandboxSnapshotWriter
from wherry.sandbox.spec import Container, LauncherEvent
from wherry.sandbox.start import BadLayer, SandboxRefused

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="containers need Linux")]

IDENTITY = ((0, 0, 65536),)
ROOT = Mapping("all", IDENTITY, IDENTITY)


def opened(entries: Iterable[Entry]) -> Iterator[tuple[Entry, BinaryIO]]:
    """Give entries with their bytes."""
    for entry in entries:
        with entry.content.open() if entry.content else io.BytesIO() as body:
            yield entry, body


@pytest.fixture
def layers(tmp_path) -> list[str]:
    """Two layers on disk, unpacked by the launcher."""
    need_root()
    program = go_binary(PROBE.read_text(), "-ldflags=-s")
    stack = (
        [folder("etc"), file("etc/a", b"a"), file("etc/b", b"b"), folder("tmp", 0o1777)],
        [folder("etc"), file("etc/.wh.a", b""), folder("app"), file("app/probe", program, mode=0o755)],
    )
    folders: list[Path] = []
    (tmp_path / "trash").mkdir()
    (tmp_path / "stage").mkdir()
    for number, entries in enumerate(stack):
        folders.append(tmp_path / str(number))
        folders[-1].mkdir()
        writer = SandboxSnapshotWriter(ROOT, lambda: "")
        writer.unpack(opened(entries), folders[-1], tmp_path / "trash", folders[:-1])
    return [str(folder) for folder in folders]


def job(layers: list[str], *argv: str, **values: object) -> Container:
    """Ask for a container."""
    usual = Container(
        task="run", ids=None, stage=str(Path(layers[0]).parent / "stage"), layers=layers, overlay=True,
        read_only=False, argv=["/app/probe", *argv], environment={"PATH": "/app"}, folder="/", uid=65532, gid=65532,
        groups=[], hostname="", volumes=[], emulator=None, terminal=False,
        writable="", own_tmp=True, mounts=[], privileges="usual", capabilities=list(DOCKERS),
        no_new_privileges=False, seccomp="usual", socketcall=False, network="host", uplink=None,
        shared="", control=[], shm=0, limits=[],
    )  # fmt: skip
    return {**usual, **values}


def run(asked: Container, notices: list[str] | None = None) -> int:
    """Run it."""
    return run_container(asked, stdin=False, notice=(notices if notices is not None else []).append, why=lambda: "why")


def test_root_without_a_user_namespace(layers, capfd):
    """Where none is to be had, root does without; what holds in one holds here."""
    assert run(job(layers, "try", "list:/etc", "write:/etc/x", "write:/proc/sys/kernel/hostname")) == 0
    assert run(job(layers, "device", "/disk", uid=0, gid=0)) == 0
    assert run(job(layers, "try", "read:/tmp/none", "write:/proc/sys/kernel/hostname", uid=0, gid=0)) == 0
    assert run(job(layers, "facts", uid=0, gid=0)) == 0

    lines = capfd.readouterr().out.splitlines()
    assert lines[:2] == ["b", "permission denied"]
    assert lines[3:5] == ["ok", "permission denied"]  # a device can be made, on a mount where devices do nothing
    assert lines[6] == "read-only file system"
    status = json.loads(lines[7])["Status"]
    assert status["CapEff"] == "00000000a80425fb"


def test_layers_copied_together(layers, capfd):
    """Without overlays the same is seen, and still nothing is written back."""
    assert run(job(layers, "try", "list:/etc", "write:/tmp/x", "stat:/app/probe", overlay=False)) == 0
    assert run(job(layers, "try", "write:/etc/x", uid=0, gid=0, overlay=False)) == 0

    lines = capfd.readouterr().out.splitlines()
    assert lines[:2] == ["b", "ok"]
    assert lines[2].startswith("-rwxr-xr-x 0 0")
    assert lines[3] == "ok"
    assert sorted(path.name for path in Path(layers[0], "etc").iterdir()) == ["a", "b"]


def test_overlays_of_older_kernels(layers, tmp_path):
    """A kernel that knows no `lowerdir+` gets one line with short names, for hundreds of layers too."""
    many = [*layers]
    for number in range(400):
        many.append(str(tmp_path / f"layer-with-a-rather-long-name-{number}"))
        (tmp_path / f"layer-with-a-rather-long-name-{number}" / f"n{number}").mkdir(parents=True)
    script = f"""
import os
from wherry.sandbox.launcher import overlays, syscalls as calls
calls.unshare(calls.CLONE_NEWNS)
calls.make_private()
os.chdir({str(tmp_path / "stage")!r})
calls.attach(calls.new_filesystem("tmpfs", []), os.open(".", os.O_PATH))
os.chdir({str(tmp_path / "stage")!r})
for name in ("tree", "work", "root"):
    os.mkdir(name)
calls.attach(overlays._overlay_by_line({many[::-1]!r}, os.getcwd(), overlays._UNSYNCED), os.open("root", os.O_PATH))
print(len(os.listdir("root")))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "403\n"


def test_more_layers_than_linux_joins(layers):
    """501 layers are refused with the number."""
    with pytest.raises(SandboxRefused) as caught:
        run(job([layers[0]] * 501, "facts"))

    assert str(overlays._MOST_LAYERS) in caught.value.message
    assert caught.value.hint == "why"


def test_a_path_that_cannot_be_the_working_folder(layers):
    """A file where the working folder should be is the image's fault."""
    with pytest.raises(BadLayer):
        run(job(layers, "facts", folder="/etc/b/c"))


def test_descriptors_are_closed(layers, capfd):
    """What the caller has open and left inheritable is closed in the launcher."""
    read, write = os.pipe()
    name = os.readlink(f"/proc/self/fd/{read}")  # noqa: PTH115 - no path, a name
    os.set_inheritable(write, True)  # noqa: FBT003 - it takes no keyword
    assert run(job(layers, "facts")) == 0
    os.close(write)
    os.close(read)

    assert name not in json.loads(capfd.readouterr().out)["Descriptors"]


@pytest.mark.parametrize("delay", [0.001, 0.01, 0.02, 0.03, 0.05])
def test_a_launcher_that_is_killed_while_it_starts(layers, monkeypatch, delay):
    """Whatever the moment, an answer comes and nothing stays."""

    class Doomed(attach.Launcher):
        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, **named)
            threading.Timer(delay, self.kill).start()

    monkeypatch.setattr(attach, "Launcher", Doomed)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()  # other tests' servers

    assert run(job(layers, "sleep")) == 137
    assert children.read_text() == before


def test_what_a_killed_launcher_leaves_behind_says_nothing(layers, monkeypatch):
    """Its children may still report that their parent is gone: the kill is the answer, not their broken pipe."""

    class Doomed(attach.Launcher):
        def hear(self) -> tuple[LauncherEvent, int | None] | None:
            self.kill()
            super().hear()
            monkeypatch.setattr(self, "hear", lambda: None)
            return {"error": "Broken pipe", "stage": "namespace"}, None

    monkeypatch.setattr(attach, "Launcher", Doomed)

    assert run(job(layers, "sleep")) == 137
