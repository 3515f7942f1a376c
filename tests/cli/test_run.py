"""`wherry run`, as root and as real plain users, with a real program inside."""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from containers import HERE, PROBE, Person, file, folder, hard, link, make_image, people
from gobuild import go_binary
from needs import need
from wherry.oci import media
from wherry.oci.config import RuntimeConfig
from wherry.oci.descriptor import Descriptor, PlatformDocument
from wherry.oci.manifest import Index, Manifest
from wherry.platform import Platform
from wherry.store.contract import write_document
from wherry.store.disk import DiskStore
from wherry.store.images import read_image

TMP = "/tmp"  # noqa: S108 - the container's own
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="containers need Linux")]

PASSWD = b"root:x:0:0::/root:/bin/sh\nweb:x:1234:2345::/srv:/bin/sh\nnonroot:x:65532:65532::/home/nonroot:/bin/sh\n"
GROUP = b"root:x:0:\nnonroot:x:65532:\nextra:x:77:nonroot\n"
CONFIG = RuntimeConfig(
    user="nonroot", env=("PATH=/app:/bin", "GREETING=hello"), entrypoint=("probe",), cmd=("facts",), working_dir="/work"
)
ROOTS_CAPABILITIES = "00000000a80425fb"
"""What Docker leaves to root."""


def base():
    """Give the layer below the program."""
    return [
        file("etc/passwd", PASSWD),
        file("etc/group", GROUP),
        folder("tmp", 0o1777),
        folder("home/nonroot", 0o755, 65532, 65532),
        file("secret", b"of root", mode=0o600),
        file("own", b"of nonroot", mode=0o600, uid=65532, gid=65532),
    ]


def app(arch="amd64"):
    """Give the layer with the program."""
    return [file("app/probe", go_binary(PROBE.read_text(), "-ldflags=-s", arch=arch), mode=0o755)]


@pytest.fixture(scope="module")
def images() -> Iterator[DiskStore]:
    """A store that everybody can read (what pytest makes is for its user only)."""
    with tempfile.TemporaryDirectory() as where:
        Path(where).chmod(0o755)
        store = DiskStore(Path(where, "store"))
        store.tag("probe:dev", make_image(store, [base(), app()], CONFIG))
        yield store


@pytest.fixture(scope="module")
def everybody() -> Iterator[dict[str, Person]]:
    """Root, a user with sub-ids and one without; or only who we are."""
    with people() as found:
        yield found


@pytest.fixture(params=["root", "many", "one"])
def person(request, everybody) -> Person:
    """Each of them."""
    if request.param not in everybody:
        pytest.skip("needs root, to make users")
    return everybody[request.param]


@pytest.fixture
def anybody(everybody) -> Person:
    """Whoever we are: where it makes no difference."""
    return next(iter(everybody.values()))


@pytest.fixture
def run(images):
    """Run wherry in the store, as somebody."""

    def run_as(person: Person, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return person.run("--store", str(images.folder), "run", *arguments, stdin=stdin)

    return run_as


@pytest.fixture
def start(images):
    """Start wherry in the store, as somebody; what is left of it at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start_as(person: Person, *arguments: str, **kept: object) -> subprocess.Popen[str]:
        started.append(person.start("--store", str(images.folder), "run", *arguments, **kept))
        return started[-1]

    yield start_as
    for process in started:
        process.kill()
        process.communicate()


def descendants(process: int) -> list[int]:
    """Name all processes below one."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [process]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def first_inside(processes: list[int]) -> int:
    """Give the process of a container that has the program as its child."""
    program = next(one for one in processes if b"probe" in Path(f"/proc/{one}/cmdline").read_bytes())
    return int(Path(f"/proc/{program}/stat").read_text().rpartition(")")[2].split()[1])


def ended(processes: list[int], patience: float = 10.0) -> bool:
    """Wait until processes ended; tell whether they did."""
    for process in processes:
        try:
            watched = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        ready, _, _ = select.select([watched], [], [], patience)
        os.close(watched)
        if not ready:
            return False
    return True


def test_sees_what_the_image_says(person, run):
    """User, groups, environment, folder and arguments are the image's; nothing of ours leaks in."""
    done = run(person, "probe:dev")

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["UID"], seen["EUID"], seen["GID"], seen["User"]) == (65532, 65532, 65532, "nonroot")
    assert seen["Groups"] == ([65532] if person.name.endswith("one") else [77])
    assert set(seen["Env"]) == {"PATH=/app:/bin", "HOME=/home/nonroot", "GREETING=hello"}
    assert (seen["Folder"], seen["Args"], seen["Hostname"]) == ("/work", ["probe", "facts"], socket.gethostname())
    assert (seen["PID"], seen["Processes"]) == (2, ["1", "2"])
    tunnels = Path("/dev/net/tun").exists() and Path("/dev/net/tun").stat().st_mode & 0o006 == 0o006
    assert ("network: host" in done.stderr) == (person.uid != 0 and not tunnels)


def test_has_no_privileges(person, run):
    """A user of the image has no capability at all, and by set-uid programs at most Docker's."""
    status = json.loads(run(person, "-q", "probe:dev").stdout)["Status"]

    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert (status["CapBnd"], status["NoNewPrivs"], status["Seccomp"]) == (ROOTS_CAPABILITIES, "0", "2")


def test_root_inside_has_dockers_capabilities(person, run):
    """Root of the container can do what Docker's can, no more."""
    seen = json.loads(run(person, "-q", "-u", "0", "probe:dev").stdout)

    assert (seen["UID"], seen["User"]) == (0, "root")
    assert {seen["Status"][name] for name in ("CapPrm", "CapEff", "CapBnd")} == {ROOTS_CAPABILITIES}
    assert "HOME=/root" in seen["Env"]


def test_owners_are_the_images(person, run):
    """Files have their owners; with one id only, all are the program's own."""
    done = run(person, "-q", "probe:dev", "try", "stat:/secret", "stat:/own", "read:/secret", "read:/own", "write:/own")

    if person.name.endswith("one"):
        assert done.stdout.splitlines()[0] == "-rw------- 65532 65532 1"
        assert done.stdout.splitlines()[2] == '"of root"'
    else:
        assert done.stdout.splitlines() == [
            "-rw------- 0 0 1", "-rw------- 65532 65532 1", "permission denied", '"of nonroot"', "ok",
        ]  # fmt: skip


@pytest.mark.parametrize("user", ["web", "1234", "1234:2345", "web:2345"])
def test_runs_as_another_user(anybody, run, user):
    """A name or a number, with its group or without."""
    seen = json.loads(run(anybody, "-q", "-u", user, "probe:dev").stdout)

    assert (seen["UID"], seen["GID"], "HOME=/srv" in seen["Env"]) == (1234, 2345, True)


def test_refuses_an_unknown_user(anybody, run):
    """A name that the image has no account for."""
    done = run(anybody, "-u", "nobody-there", "probe:dev")

    assert done.returncode == 64
    assert "nobody-there" in done.stderr


@pytest.mark.parametrize("code", [0, 1, 42, 125, 255])
def test_passes_exit_codes_on(anybody, run, code):
    """Whatever the program exits with, ours too."""
    assert run(anybody, "probe:dev", "exit", str(code)).returncode == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_tells_of_a_signal(person, run, number):
    """128 and the signal's number, as a shell has it."""
    assert run(person, "probe:dev", "kill", str(int(number))).returncode == 128 + number


def test_programs_that_cannot_start(anybody, images, run):
    """127 for one that is not there, 126 for one that can't be executed, with what is wrong."""
    bad = [
        file("app/plain", b"x", mode=0o644),
        file("app/script", b"#!/bin/missing\n", mode=0o755),
        file("app/junk", b"junk", mode=0o755),
    ]
    images.tag("bad:dev", make_image(images, [base(), bad], CONFIG))
    codes = {
        name: run(anybody, "--entrypoint", name, "bad:dev") for name in ("nope", "/nope", "plain", "script", "junk")
    }

    assert {name: done.returncode for name, done in codes.items()} == {
        "nope": 127, "/nope": 127, "plain": 126, "script": 126, "junk": 126,
    }  # fmt: skip
    assert "interpreter" in codes["script"].stderr
    assert all("hint:" in done.stderr for done in codes.values())


def test_passes_signals_on(person, start):
    """Each signal reaches the program, and its exit code reaches us."""
    process = start(person, "-q", "probe:dev", "wait")
    assert process.stdout.readline() == "ready\n"
    said = []
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGUSR2):
        process.send_signal(number)
        said.append(process.stdout.readline().strip())

    assert said == ["hangup", "terminated", "user defined signal 1", "interrupt", "user defined signal 2"]
    assert process.wait(10) == 7


def test_kills_what_will_not_stop(anybody, start):
    """The fourth Ctrl-C ends a program that ignores them."""
    process = start(anybody, "-q", "probe:dev", "wait")
    assert process.stdout.readline() == "ready\n"
    below = descendants(process.pid)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupt\n"
    process.send_signal(signal.SIGINT)

    assert process.wait(10) == 137
    assert ended(below)


@pytest.mark.parametrize("victim", ["wherry", "launcher", "init"])
def test_leaves_nothing_behind_when_killed(person, start, victim):
    """SIGKILL of any of our processes ends all of them, and no mount was ever seen outside."""
    process = start(person, "-q", "probe:dev", "sleep")
    assert process.stdout.readline() == "sleeping\n"
    below = descendants(process.pid)
    assert len(below) in (3, 7)  # the launcher, the init and the program; with a network of its own, four more
    os.kill({"wherry": process.pid, "launcher": below[0], "init": first_inside(below)}[victim], signal.SIGKILL)

    assert ended([process.pid, *below]) or process.poll() is not None
    assert process.wait(10) == (-9 if victim == "wherry" else 137)
    assert ended(below)
    assert str(person.home) not in Path("/proc/self/mountinfo").read_text()


def test_leaves_no_process_behind(anybody, start):
    """What the program leaves running ends with it."""
    process = start(anybody, "-q", "probe:dev", "orphans")
    below: set[int] = set()
    while process.poll() is None:
        below |= set(descendants(process.pid))
        time.sleep(0.01)

    assert process.returncode == 0
    assert len(below) > 3
    assert ended(list(below))


def test_writes_are_gone(anybody, run):
    """What one container writes, the next does not see."""
    first = run(anybody, "-q", "-u", "0", "probe:dev", "try", "write:/etc/new", "remove:/app", "write:/tmp/x")
    second = run(anybody, "-q", "probe:dev", "try", "stat:/etc/new", "list:/app", "list:/tmp")

    assert first.stdout.split() == ["ok"] * 3
    assert second.stdout.splitlines() == ["no such file or directory", "probe", ""]


def test_read_only(anybody, run):
    """Only /tmp, /dev/shm and volumes can be written to."""
    paths = ["/etc/x", "/x", f"{TMP}/x", "/dev/shm/x", "/data/x"]  # noqa: S108 - as TMP
    (anybody.home / "data").mkdir(exist_ok=True)
    done = run(
        anybody,
        "-q",
        "-u",
        "0",
        "--read-only",
        "-v",
        "./data:/data",
        "probe:dev",
        "try",
        *(f"write:{path}" for path in paths),
    )

    assert done.stdout.splitlines() == ["read-only file system"] * 2 + ["ok"] * 3


def test_volumes(person, run):
    """A folder and a file of ours, to write and to read only."""
    (person.home / "shared").mkdir(exist_ok=True)
    (person.home / "shared" / "given").write_text("given")
    os.chown(person.home / "shared", person.uid, -1)
    arguments = [
        "-u",
        "0",
        "-v",
        "./shared:/data",
        "-v",
        f"{person.home}/shared:/fixed:ro",
        "-v",
        "./shared/given:/etc/given:ro",
    ]
    wanted = ["write:/data/new", "write:/fixed/new", "read:/fixed/given", "read:/etc/given", "write:/etc/given"]
    done = run(person, "-q", *arguments, "probe:dev", "try", *wanted)

    assert done.stdout.splitlines() == ["ok", "read-only file system", '"given"', '"given"', "read-only file system"]
    assert (person.home / "shared" / "new").read_text() == "written"


@pytest.mark.parametrize(
    "text",
    [
        "data:/data",
        "/nowhere-at-all:/data",
        "./x",
        "/etc:/",
        "/etc:etc",
        "/etc:/etc:rx",
        "/etc:/proc",
        "/etc:/a/../proc/self",
    ],
)
def test_refuses_volumes(anybody, run, text):
    """Named volumes, missing sources, the root as destination, unknown words."""
    done = run(anybody, "-v", text, "probe:dev")

    assert done.returncode in {64, 66}
    assert "hint:" in done.stderr


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--pids-limit", "9999999999999999999"), "-1<=x<=4194304"),
        (("--health-cmd", "[]"), "not a list of words"),
        (("--health-timeout", "0", "--health-cmd", "x"), "no time at all"),
        (("--health-timeout", "5s"), "has no HEALTHCHECK"),
        (("--health-timeout", "5s", "--no-healthcheck"), "only one of them"),
        (("--memory", ""), "--memory has an empty value"),
        (("--name", "n" * 300), f"--name {'n' * 60}…: invalid name"),
    ],
)
def test_refuses_options(anybody, run, words, wanted):
    """What would limit or check nothing, and what no kernel takes."""
    done = run(anybody, *words, "probe:dev", "facts")

    assert done.returncode == 64
    assert wanted in done.stderr


def test_environment(anybody, run):
    """The command line wins over files, files over the image; a bare name is ours, if we have it."""
    (anybody.home / "variables").write_text("# a comment\n\nGREETING=file\nFILE=a=b \nSECRET\nUNSET_HERE\n")
    done = run(
        anybody,
        "-q",
        "--env-file",
        "variables",
        "-e",
        "GREETING=line",
        "-e",
        "EMPTY=",
        "-w",
        "/else/where",
        "probe:dev",
    )

    seen = json.loads(done.stdout)
    assert set(seen["Env"]) == {
        "PATH=/app:/bin", "HOME=/home/nonroot", "GREETING=line", "FILE=a=b", "SECRET=s3cret", "EMPTY=",
    }  # fmt: skip
    assert seen["Folder"] == "/else/where"


def test_standard_input(person, run):
    """It is the program's with -i only, as with docker."""
    assert run(person, "-q", "-i", "probe:dev", "cat", stdin="typed").stdout == "typed"
    assert run(person, "-q", "probe:dev", "cat", stdin="typed").stdout == ""


def test_hostname(person, run):
    """A name of its own."""
    assert json.loads(run(person, "-q", "--hostname", "elsewhere", "probe:dev").stdout)["Hostname"] == "elsewhere"


def test_descriptors_stay_outside(anybody, start):
    """What we have open (a file, the line to the launcher) is not open in the program."""
    with Path("/etc/passwd").open() as kept:
        process = start(anybody, "-q", "probe:dev", pass_fds=[kept.fileno()])
        seen = json.loads(process.communicate(timeout=30)[0])

    assert not {"/etc/passwd", "socket"} & set(seen["Descriptors"])
    assert all(not target.startswith(("socket:", "/etc/passwd")) for target in seen["Descriptors"])


def test_network_of_the_host(person, start):
    """With --network host, a server inside answers on our loopback."""
    process = start(person, "-q", "--network", "host", "probe:dev", "serve", "127.0.0.1:0")
    address = process.stdout.readline().strip()
    with urllib.request.urlopen(f"http://{address}/", timeout=10) as answer:
        assert answer.read() == b"hello from the inside\n"
    process.terminate()
    assert process.wait(10) == 143


def test_devices_and_kernel_files(person, run):
    """/dev has what programs need and nothing of the host's; /proc and /sys give nothing away and take nothing."""
    wanted = [
        "list:/dev",
        "write:/dev/null",
        "read:/proc/keys",
        "write:/proc/sys/kernel/hostname",
        "write:/sys/kernel/x",
        "list:/sys/firmware",
    ]
    done = run(person, "-q", "-u", "0", "probe:dev", "try", *wanted)
    device = run(person, "-q", "-u", "0", "probe:dev", "device", f"{TMP}/disk")

    lines = done.stdout.splitlines()
    assert lines[0] == "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert lines[1:3] == ["ok", '""']
    assert lines[3:5] == ["read-only file system"] * 2
    assert lines[5] == ""
    assert device.stdout == "operation not permitted\nno such file or directory\n"


def test_few_devices(person, run):
    """--no-dev leaves null and zero, which work, and nothing can be added; it is refused with a terminal."""
    wanted = ["list:/dev", "write:/dev/null", "write:/dev/more"]
    done = run(person, "-q", "-u", "0", "--no-dev", "probe:dev", "try", *wanted)
    terminal = run(person, "-t", "--no-dev", "probe:dev")

    assert done.stdout.splitlines()[:2] == ["null zero", "ok"]
    assert "read-only file system" in done.stdout.splitlines()[2]
    assert (terminal.returncode, "-t with --no-dev" in terminal.stderr) == (64, True)


@pytest.mark.parametrize("arch", ["arm64", "s390x"])
def test_emulates_other_processors(person, images, run, arch):
    """Another platform's program runs through qemu-user, and what it starts too."""
    need({"arm64": "qemu-aarch64-static", "s390x": "qemu-s390x-static"}[arch])
    platform = Platform.parse(f"linux/{arch}")
    images.tag(f"probe:{arch}", make_image(images, [base(), app(arch)], CONFIG, platform))
    seen = run(person, "-q", f"probe:{arch}", "exit", "7")
    called = run(person, f"probe:{arch}", "call", "/app/probe", "exit", "3")

    assert seen.returncode == 7, seen.stderr
    assert called.stdout == "call: exit status 3\n" or "not emulated" in called.stderr


def test_asks_for_an_emulator(anybody, images, run):
    """Without one, it says what to install."""
    images.tag("probe:mips", make_image(images, [base()], CONFIG, Platform.of("linux", "mips64p32")))
    done = run(anybody, "probe:mips")

    assert done.returncode == 69
    assert "qemu-user-static" in done.stderr
    assert run(anybody, "--platform", "linux/riscv64", "probe:dev").returncode == 66


def test_hundreds_of_layers(everybody, anybody, images, run):
    """450 layers are joined, for a plain user with no ids but its own."""
    person = everybody.get("one", anybody)
    layers = [[folder("n"), file(f"n/{number}", b"")] for number in range(448)]
    images.tag("many:dev", make_image(images, [base(), app(), *layers], CONFIG))
    done = run(person, "-q", "many:dev", "try", "list:/n")

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 448


def test_an_image_without_etc_or_tmp(anybody, images, run):
    """From scratch: nothing but the program."""
    images.tag("bare:dev", make_image(images, [app()], RuntimeConfig(entrypoint=("/app/probe",))))
    done = run(anybody, "-q", "bare:dev")

    seen = json.loads(done.stdout)
    assert (seen["UID"], seen["Folder"]) == (0, "/")
    assert {entry.partition("=")[0] for entry in seen["Env"]} == {"PATH", "HOME"}


def test_deleted_files_stay_deleted(person, images, run):
    """Whiteouts and opaque folders of upper layers, in a real overlay."""
    first = [folder("d"), file("d/a", b""), file("d/b", b""), file("e/x/y", b""), file("f", b"")]
    second = [
        folder("d"),
        file("d/.wh.a", b""),
        folder("e"),
        file("e/.wh..wh..opq", b""),
        file("e/new", b""),
        hard("g", "f"),
    ]
    third = [file(".wh.f", b""), file("d/c", b"")]
    images.tag("less:dev", make_image(images, [base(), app(), first, second, third], CONFIG, parents=True))
    done = run(person, "-q", "less:dev", "try", "list:/d", "list:/e", "stat:/f", "read:/g")

    assert done.stdout.splitlines() == ["b c", "new", "no such file or directory", '""']


HOSTILE = {
    "passwd": [link("etc/passwd", "/etc/shadow"), link("etc/group", "../../../../etc/gshadow")],
    "etc": [link("etc", "/etc")],
    "resolv": [folder("etc"), link("etc/resolv.conf", "/../../../../../../tmp/escaped-resolv")],
    "tmp": [link("tmp", "/../../../../etc")],
    "work": [link("work", "../../../../../../tmp/escaped-work")],
    "data": [link("data", "/../../../../tmp/escaped-data")],
}


@pytest.mark.parametrize("planted", HOSTILE)
def test_links_do_not_lead_out(anybody, images, run, planted):
    """Links of an image end inside of it, whatever we mount or read there."""
    layers = [app(), HOSTILE[planted]]
    images.tag(
        f"hostile:{planted}",
        make_image(images, layers, RuntimeConfig(user="65532", entrypoint=("/app/probe",), working_dir="/work")),
    )
    (anybody.home / "data").mkdir(exist_ok=True)
    before = {path: sorted(Path(path).iterdir()) for path in ("/etc", TMP)}
    done = run(
        anybody,
        "-q",
        "-v",
        "./data:/data/deep",
        f"hostile:{planted}",
        "try",
        "read:/etc/shadow",
        "list:/tmp",
        "list:/data/deep",
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] in {"no such file or directory", "too many levels of symbolic links"}
    assert not [path for path in (*before["/etc"], *Path(TMP).iterdir()) if "escaped" in path.name]
    assert sorted(Path("/etc").iterdir()) == before["/etc"]


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
@pytest.mark.parametrize("target", ["/etc", "/", "nowhere", "/proc/self"])
def test_refuses_links_where_the_kernel_is_mounted(anybody, images, run, name, target):
    """An image whose /proc is a link gets no container."""
    images.tag("kernel:dev", make_image(images, [base(), app(), [link(name, target)]], CONFIG))
    done = run(anybody, "kernel:dev")

    assert done.returncode == 65
    assert f"/{name}" in done.stderr


def test_a_layer_that_is_another_is_refused(anybody, images, run):
    """An image can't put its bytes under another layer's diff id, where other images would find them."""
    honest = make_image(images, [base(), app()], CONFIG)
    lying = forged(images, honest)
    images.tag("forged:dev", lying)
    done = run(anybody, "--user", "0", "forged:dev")
    again = run(anybody, "-q", "probe:dev", "exit", "3")

    assert done.returncode == 65
    assert "hash" in done.stderr
    assert again.returncode == 3


def forged(store: DiskStore, honest: Descriptor) -> Descriptor:
    """Make an image whose config says another diff id than its layer has."""
    image = read_image(store, honest)
    other = make_image(store, [[file("bin/evil", b"")]], CONFIG)
    evil = read_image(store, other).manifest.stack[0]
    config = (
        image.config.encoded()
        .replace(b'"probe"', b'"evil"')
        .replace(image.config.diff_ids[0].encode(), b"sha256:" + b"ab" * 32)
    )
    stored = write_document(store, media.OCI_CONFIG, config)
    return write_document(store, media.OCI_MANIFEST, Manifest.of(stored, (evil, image.manifest.stack[1])).encoded())


def test_several_at_once(person, start):
    """Containers of one image unpack it once and do not disturb each other."""
    processes = [start(person, "-q", "probe:dev", "exit", str(number)) for number in range(8)]

    assert [process.wait(60) for process in processes] == list(range(8))


def test_a_path_as_image(anybody, images, run):
    """IMAGE may be a layout folder, too."""
    with tempfile.TemporaryDirectory() as where:
        alone = DiskStore(Path(where, "layout"))
        alone.tag("alone:dev", make_image(alone, [base(), app()], CONFIG))

        assert run(anybody, "-q", str(alone.folder), "exit", "4").returncode == 4
    assert run(anybody, "-q", f"{images.folder}:nothing").returncode == 66
    assert run(anybody, "-q", "nothing:here").returncode == 66


def test_a_terminal(person, images):
    """With -t there is one: its size, its keys, its Ctrl-C; and ours is as it was."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (33, 77))
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        person.argv("--store", str(images.folder), "run", "-q", "-it", "probe:dev", "terminal"),
        env=person.environment, cwd=person.home, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    said = read_until(ours, b"\n")
    os.write(ours, b"abc\r")
    said += read_until(ours, b"typed abc")
    os.write(ours, b"\x03")

    assert process.wait(20) == 130
    assert b"true 33 77 ok xterm" in said
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def read_until(descriptor: int, wanted: bytes, patience: float = 20.0) -> bytes:
    """Read until something came."""
    said = b""
    while wanted not in said:
        ready, _, _ = select.select([descriptor], [], [], patience)
        assert ready, said
        said += os.read(descriptor, 4096)
    return said


def test_a_launcher_is_not_seen(anybody, run):
    """The program can't look into the process that watches over it."""
    done = run(anybody, "-q", "probe:dev", "try", "read:/proc/1/environ", "list:/proc/1/root", "list:/proc/1/fd")

    assert done.stdout.splitlines() == ["permission denied"] * 3


def test_the_lowest_level_runs(anybody, images, run):
    """Of several images for one processor the one without a level is taken, wherever it stands."""
    higher = Platform(HERE.os, HERE.architecture, "v9")
    entries = []
    for platform, code in ((higher, "8"), (HERE, "9")):
        config = RuntimeConfig(user="0", entrypoint=("/app/probe",), cmd=("exit", code))
        manifest = make_image(images, [base(), app()], config, platform)
        entries.append(msgspec.structs.replace(manifest, platform=PlatformDocument.of(platform)))
    images.tag("levels:dev", write_document(images, media.OCI_INDEX, Index.of(tuple(entries)).encoded()))

    assert run(anybody, "-q", "levels:dev").returncode == 9


def test_says_what_it_runs_on(anybody, images, run):
    """An image of no platform of ours is named with those it has."""
    index = make_image(images, [base(), app()], CONFIG, HERE)
    images.tag("probe:here", index)

    assert run(anybody, "-q", "--platform", str(HERE), "probe:here", "exit", "2").returncode == 2


def test_an_interrupt_where_it_is_ignored(anybody, start):
    """A background job of a shell ignores SIGINT; the container does not, and gets one that is sent."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start(anybody, "-q", "probe:dev", "wait")
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.stdout.readline() == "ready\n"

    process.send_signal(signal.SIGINT)

    assert process.stdout.readline() == "interrupt\n"


def test_a_folder_of_another_user(person, images, run):
    """A user may start in a folder that only its owner may enter, as under runc."""
    config = msgspec.structs.replace(CONFIG, working_dir="/home/app")
    home = [folder("home/app", 0o700, 65532, 65532)]
    images.tag("home:dev", make_image(images, [base(), app(), home], config))

    done = run(person, "-q", "-u", "1000", "--entrypoint", "/app/probe", "home:dev", "facts")

    assert done.returncode == 0, done.stderr
