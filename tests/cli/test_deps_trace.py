"""`wherry deps --trace` as a user calls it: what a program opens, misses and starts, and how a trace ends."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

import wherry as api
from cli_shell import Shell
from containers import people
from needs import need, need_root
from traced import actor, put_actor
from wherry.store.disk import DiskStore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wherry(tmp_path_factory) -> Shell:
    """A shell whose store has the actor's image."""
    shell = Shell(tmp_path_factory.mktemp("traced") / "shell")
    put_actor(shell.store)
    return shell


def traced(wherry: Shell, *words: str, code: int = 0) -> dict:
    """Trace the actor; give the trace of the document."""
    wherry("deps", "--trace", "--json", *words[:-1], "actor:dev", "--", *words[-1].split(), code=code)
    (platform,) = json.loads(wherry.out)["platforms"]
    return platform["trace"]


def paths(files: list[dict]) -> list[str]:
    """Give the paths of files."""
    return [file["path"] for file in files]


def test_follows_threads_and_children(wherry):
    """What threads and children ask for is listed, what is there apart from what is not, the last miss first."""
    trace = traced(wherry, "files")

    assert (trace["ended_by"], trace["code"], trace["whole"]) == ("exit", 0, True)
    missing = paths(trace["missing"])
    assert {f"/etc/thread{number}" for number in range(8)} < set(missing)
    assert missing.index("/app/none") < missing.index("/etc/of-child") < missing.index("/etc/thread0")
    assert {(file["path"], file["real"]) for file in trace["opened"]} >= {("/etc/link", "/etc/real")}
    assert [(file["path"], file["error"]) for file in trace["refused"]] == [("/data/secret", "EACCES")]
    assert paths(trace["made"]) == ["/tmp/made"]  # noqa: S108 - a path in the container
    assert trace["executed"][0]["path"] == "/app/actor"
    assert trace["executed"][0]["count"] == 2
    sockets = {(one["use"], one["address"]): one["error"] for one in trace["sockets"]}
    assert sockets["connect", "127.0.0.1:9"] in ("", "ECONNREFUSED")
    assert sockets["connect", "unix:/run/none.sock"] == "ENOENT"
    assert "SIGUSR1" in trace["signals"]
    assert trace["undeclared"] == ["/etc/real"]
    assert {group["name"]: group["bytes"] for group in trace["unused"]["groups"]}["/etc"] == 401


def test_same_paths_as_strace(wherry):
    """strace, of the same program in a root that has the same files, lists the same paths."""
    need_root()
    root = wherry.root / "root"
    for folder in ("app", "etc", "data", "tmp", "dev"):  # below the root
        (root / folder).mkdir(parents=True)
    shutil.copy(actor(), root / "app" / "actor")
    (root / "etc" / "real").write_text("r")
    (root / "dev" / "null").write_text("")
    (root / "etc" / "link").symlink_to("real")
    listed = wherry.root / "strace.txt"
    command = [
        need("strace"),
        "-f",
        "-qq",
        "-e",
        "trace=%file",
        "-o",
        str(listed),
        "chroot",
        str(root),
        "/app/actor",
        "files",
    ]
    subprocess.run(command, check=False, capture_output=True)
    after = listed.read_text().partition('execve("/app/actor"')[2]
    theirs = set(re.findall(r'(?:openat|execve)\([^"]*"(/(?:etc|data|tmp|app)/[^"]+)"', after))

    trace = traced(wherry, "files")

    ours = {path for kind in ("missing", "opened", "refused", "made", "executed") for path in paths(trace[kind])}
    assert {path for path in ours if not path.startswith(("/proc", "/sys", "/dev", "/run"))} == theirs | {"/app/actor"}


def test_signals_of_the_go_runtime_are_not_reported(wherry):
    """SIGURG interrupts goroutines; it is passed on, and the program runs as it would."""
    trace = traced(wherry, "spin")

    assert (trace["ended_by"], trace["code"]) == ("exit", 0)
    assert trace["signals"] == {}


def test_probes_end_the_trace(wherry):
    """All have answered: the trace ends, with what the answers opened; nothing was published."""
    words = ("--probe", "http://localhost:8080/ok", "--probe", "tcp://localhost:8080", "serve")
    trace = traced(wherry, *words)

    assert trace["ended_by"] == "probes"
    assert all(probe["answered"] for probe in trace["probes"])
    assert "/etc/late" in paths(trace["opened"])
    assert [one["address"] for one in trace["sockets"] if one["use"] == "listen"] == ["[::]:8080"]


def test_a_probe_that_is_never_answered(wherry):
    """A status of 503 is no answer; the trace ends with its time, and the program that ignores SIGTERM is killed."""
    trace = traced(wherry, "--for", "1s", "--probe", "http://localhost:8080/broken", "mute")

    assert (trace["ended_by"], trace["killed"]) == ("time", True)
    assert (trace["probes"][0]["answered"], trace["probes"][0]["answer"]) == (False, "status 503")


def test_a_program_that_goes_into_the_background(wherry):
    """What it left behind ends with it, and that is said."""
    trace = traced(wherry, "background")

    assert (trace["ended_by"], trace["code"], trace["left"]) == ("exit", 0, 1)


def test_a_program_that_floods_its_output(wherry):
    """Of 65 MB of output 16 kB are kept."""
    trace = traced(wherry, "flood")

    assert (trace["ended_by"], trace["printed"]) == ("exit", 65_536_000)
    assert len(trace["output"]) == 1 << 14


def test_a_thread_that_executes_a_program_nobody_may_read(wherry):
    """The process becomes another program from a thread of its own, one of mode 711: it is followed all the same."""
    trace = traced(wherry, "reexec")

    assert (trace["code"], trace["whole"]) == (0, True)
    assert paths(trace["executed"]) == ["/app/actor", "/app/locked"]
    assert [(file["path"], file["program"]) for file in trace["missing"]] == [
        ("/etc/of-child", "/app/locked"),
        ("/etc/before", "/app/actor"),
    ]


def test_names_that_are_long_or_no_text(wherry):
    """A path of 5,000 bytes, one with escapes and no UTF-8, one through `..`: listed, and no escape is printed."""
    trace = traced(wherry, "storm")

    assert trace["code"] == 0
    assert len(trace["missing"]) == 1001
    assert any(path.startswith("/etc/\N{REPLACEMENT CHARACTER}") for path in paths(trace["missing"]))
    assert [file["error"] for file in trace["refused"]] == ["ENAMETOOLONG"]
    assert [file["real"] for file in trace["opened"] if not file["given"]] == ["/etc/real"]

    wherry("deps", "--trace", "--all", "actor:dev", "--", "storm")

    assert "\x1b" not in wherry.out


def test_environment_and_mounts(wherry):
    """What is mounted for the run is not the image's."""
    wherry.write("config/app.yaml", "x")
    trace = traced(wherry, "-v", "./config:/config:ro", "mount")

    assert trace["code"] == 0
    assert [(file["path"], file["given"]) for file in trace["opened"] if file["given"] == "mount"] == [
        ("/config/app.yaml", "mount")
    ]


def test_text(wherry):
    """The text has declared, opened and missing side by side."""
    wherry("deps", "--trace", "--probe", "http://localhost:8080/ok", "actor:dev")

    assert "traced: /app/actor  all probes answered" in wherry.out
    assert "opened and never declared: 1" in wherry.out
    assert "not used in this run: 4 of 6 files" in wherry.out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--for", "2s"), 64),
        (("--trace", "--for", "2s", "--until-exit"), 64),
        (("--trace", "--probe", "http://elsewhere:80/"), 64),
        (("--trace", "--probe", "ftp://localhost/"), 64),
        (("--trace", "--env", "=x"), 64),
        (("--trace", "-v", "./nowhere:/x"), 66),
    ],
)
def test_refused_words(wherry, words, code):
    """Options of a trace without one, two ends, malformed probes: refused before anything runs."""
    wherry("deps", *words, "actor:dev", code=code)

    assert "hint:" in wherry.err


def test_ctrl_c_ends_the_trace_and_sigkill_leaves_nothing():
    """As plain users and root: Ctrl-C prints what was seen; after SIGKILL of wherry nothing of the program runs."""
    with people() as persons:
        for person in persons.values():
            store = Path(person.home) / "traced"
            _give(person, store)
            words = ("--store", str(store), "deps", "--trace", "--json", "--until-exit", "actor:dev", "--", "hang")
            started = person.start(*words)
            program = _wait_for(started.pid)
            started.send_signal(signal.SIGINT)
            out, err = started.communicate(timeout=30)
            assert started.returncode == 0, err
            trace = json.loads(out)["platforms"][0]["trace"]
            assert trace["ended_by"] == "interrupt"
            assert trace["executed"][0]["path"] == "/app/actor"
            assert not program.exists()

            started = person.start(*words)
            program = _wait_for(started.pid)
            started.kill()
            started.communicate(timeout=30)
            _gone(program)


def _give(person, store: Path) -> None:
    put_actor(DiskStore(store))
    for path in (store, *store.rglob("*")):
        os.chown(path, person.uid, -1)


def _wait_for(parent: int) -> Path:
    """Wait until the traced program runs below a process; give its folder in /proc."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (folder / "cmdline").read_bytes() == b"/app/actor\0hang\0" and _is_below(folder, parent):
                    return folder
            except OSError:
                continue
        time.sleep(0.02)
    raise AssertionError("the traced program did not start")


def _is_below(folder: Path, parent: int) -> bool:
    while folder.name != "1":
        above = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        if int(above) == parent:
            return True
        if above == "0":
            return False
        folder = Path("/proc") / above
    return False


def _gone(program: Path) -> None:
    end = time.monotonic() + 10
    while program.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not program.exists()


def test_of_the_python_api(wherry):
    """`wherry.deps` does the same with options as values."""
    session = api.Session.of(wherry.environment, cwd=wherry.root)

    document = api.deps("actor:dev", trace=api.TraceOptions(arguments=("child",), seconds=5), session=session)

    (platform,) = document.platforms
    assert platform.trace is not None
    assert [file.path for file in platform.trace.missing] == ["/etc/of-child"]
