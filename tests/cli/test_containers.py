"""Containers in the background: run -d, ps, logs, exec, stop, kill; as root and as real plain users."""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers import PROBE, Person, file, folder, make_image, people
from gobuild import go_binary
from needs import need_root
from wherry.oci.config import HealthcheckConfig, RuntimeConfig
from wherry.store.disk import DiskStore

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="containers need Linux")]

PASSWD = b"root:x:0:0::/root:/bin/sh\nweb:x:1234:2345::/srv:/bin/sh\nnonroot:x:65532:65532::/home/nonroot:/bin/sh\n"
CHECK = HealthcheckConfig(test=("CMD", "/probe", "facts"), interval=50_000_000, retries=1)
CONFIG = RuntimeConfig(user="65532:65532", env=("PATH=/", "GREETING=hello"), entrypoint=("/probe",), cmd=("wait",))


class Machine:
    """A person with a store of their own."""

    def __init__(self, person: Person, store: Path) -> None:
        self.person, self.store = person, store

    def __call__(self, *words: str, code: int = 0, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run wherry, which ends with a code."""
        done = self.person.run("--store", str(self.store), *words, stdin=stdin)
        assert done.returncode == code, done.stderr
        return done

    def listed(self, name: str) -> dict:
        """Give what ps says of a container; empty: nothing."""
        found = json.loads(self("ps", "-a", "--json").stdout)["containers"]
        return next((one for one in found if one["name"] == name), {})

    def until(self, name: str, **values: object) -> dict:
        """Wait until a container is so."""
        for _ in range(200):
            found = self.listed(name)
            if all(found.get(key) == value for key, value in values.items()):
                return found
            time.sleep(0.05)
        raise AssertionError(found)

    def folder(self, name: str) -> Path:
        """Give the folder of a container's state."""
        return Path(self.listed(name)["folder"])


@pytest.fixture(scope="module")
def machines() -> Iterator[dict[str, Machine]]:
    """A store for each kind of user, with the image in it."""
    entries = [
        file("probe", go_binary(PROBE.read_text(), "-ldflags=-s"), mode=0o755), file("etc/passwd", PASSWD),
        folder("tmp", 0o1777), folder("work", 0o755), folder("proc"),
    ]  # fmt: skip
    with people() as found, tempfile.TemporaryDirectory() as where:
        Path(where).chmod(0o755)
        made = {}
        for kind, person in found.items():
            store = DiskStore(Path(where, kind))
            store.tag("probe:dev", make_image(store, [entries], CONFIG))
            store.tag("checked:dev", make_image(store, [entries], RuntimeConfig(
                user="65532", entrypoint=("/probe",), cmd=("wait",), healthcheck=CHECK, stop_signal="SIGUSR2",
            )))  # fmt: skip
            subprocess.run(["chown", "-R", str(person.uid), store.folder], check=True)
            made[kind] = Machine(person, store.folder)
        yield made
        for machine in made.values():
            names = [one["name"] for one in json.loads(machine("ps", "--json").stdout)["containers"]]
            if names:
                machine("kill", *names)


@pytest.fixture(params=["root", "many", "one"])
def machine(request, machines) -> Machine:
    """Each of them."""
    if request.param not in machines:
        pytest.skip("needs root, to make users")
    return machines[request.param]


@pytest.fixture
def any_machine(machines) -> Machine:
    """Whoever: where it makes no difference."""
    return next(iter(machines.values()))


def test_a_life(machine):
    """Started, listed, entered, signalled, stopped; its log and its code are kept, then not."""
    ident = machine("run", "-d", "--name", "life", "-e", "A=1", "--hostname", "inside", "probe:dev").stdout.strip()
    shown = machine("ps").stdout
    running = machine.listed("life")

    assert running["id"] == ident
    assert (running["status"], running["code"]) == ("running", None)
    assert Path(f"/proc/{running['pid']}/cmdline").read_bytes() == b"/probe\0wait\0"
    assert "life" in shown
    assert "/probe wait" in shown

    inside = json.loads(machine("exec", "-e", "B=2", "-w", "/work", "life", "probe", "facts").stdout)
    assert (inside["UID"], inside["GID"], inside["Hostname"], inside["Folder"]) == (65532, 65532, "inside", "/work")
    assert {"GREETING=hello", "A=1", "B=2"} <= set(inside["Env"])
    assert {"1", "2"} < set(inside["Processes"])
    own = json.loads(machine("run", "probe:dev", "facts").stdout)
    for key in ("CapEff", "CapBnd", "Seccomp", "NoNewPrivs"):
        assert inside["Status"][key] == own["Status"][key], key
    kinds = [sorted(name.partition("[")[0] for name in one["Descriptors"]) for one in (inside, own)]
    assert kinds[0] == kinds[1]

    machine("kill", "-s", "HUP", ident[:6])
    machine("stop", "-s", "USR2", "life")
    assert machine.listed("life")["code"] == 7
    assert "exited (7)" in machine("ps", "-a").stdout
    assert "life" not in machine("ps").stdout
    assert machine("logs", "life").stdout.splitlines() == ["ready", "hangup", "user defined signal 2"]
    machine("run", "-d", "--name", "life", "probe:dev", code=64)

    machine("stop", "--rm", "life")
    assert machine.listed("life") == {}
    machine("logs", "life", code=66)


def test_other_users_inside(machines):
    """-u takes names of the image; what is unknown, missing, or ends with a code says so."""
    machine = machines.get("many") or next(iter(machines.values()))
    machine("run", "-d", "--rm", "--name", "users", "probe:dev")

    root = json.loads(machine("exec", "-u", "0", "users", "/probe", "facts").stdout)
    web = json.loads(machine("exec", "-u", "web", "users", "/probe", "facts").stdout)
    assert (root["UID"], web["UID"], web["GID"]) == (0, 1234, 2345)
    assert root["Status"]["CapEff"] == "00000000a80425fb"
    assert "nobody9" in machine("exec", "-u", "nobody9", "users", "/probe", code=64).stderr
    assert "not found" in machine("exec", "users", "/none", code=127).stderr
    machine("exec", "users", "/probe", "exit", "9", code=9)
    assert machine("exec", "-i", "users", "/probe", "cat", stdin="typed").stdout == "typed"

    machine("stop", "-t", "0", "users")
    assert machine.listed("users") == {}
    machine("exec", "users", "/probe", code=66)


def test_a_terminal_inside(any_machine):
    """Exec -t has a terminal of the container's own."""
    machine = any_machine
    machine("run", "-d", "--rm", "--name", "tty", "probe:dev")
    master, slave = pty.openpty()
    words = machine.person.argv("--store", str(machine.store), "exec", "-it", "tty", "/probe", "terminal")
    with subprocess.Popen(words, env=machine.person.environment, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        seen = b""
        while b"xterm" not in seen:
            seen += os.read(master, 4096)
        os.write(master, b"word\r")
        while b"typed word" not in seen:
            seen += os.read(master, 4096)
        process.terminate()
    os.close(master)
    machine("kill", "tty")

    assert b"true" in seen
    assert b"xterm" in seen


def test_the_foreground_is_listed(any_machine):
    """While it runs, it can be entered and stopped; then nothing of it is kept."""
    machine = any_machine
    words = machine.person.argv("--store", str(machine.store), "run", "--name", "front", "probe:dev")
    with subprocess.Popen(words, env=machine.person.environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        assert machine.until("front", status="running")["detached"] is False
        machine("exec", "front", "/probe", "exit", "4", code=4)
        assert "where it was started" in machine("logs", "front", code=64).stderr
        machine("kill", "-s", "USR2", "front")
        assert process.wait(20) == 7
    assert machine.listed("front") == {}


def test_its_supervisor_is_killed(any_machine):
    """The kernel ends the container; the log is kept, the code is unknown; --rm leaves nothing behind."""
    machine = any_machine
    machine("run", "-d", "--name", "killed", "probe:dev")
    machine("run", "-d", "--rm", "--name", "gone", "probe:dev")
    places = {name: machine.folder(name) for name in ("killed", "gone")}
    for name, place in places.items():
        record = json.loads((place / "container.json").read_text())
        program = machine.listed(name)["pid"]
        watched = os.pidfd_open(program)
        os.kill(record["supervisor"], signal.SIGKILL)
        wait_for(watched)

    assert "supervisor killed" in machine("ps", "-a").stdout
    assert machine.listed("killed")["code"] is None
    assert machine.listed("gone") == {}
    assert machine("logs", "killed").stdout == "ready\n"
    assert "has ended" in machine("exec", "killed", "/probe", code=66).stderr
    assert machine("stop", "killed").stdout == "killed\n"

    record = places["killed"] / "container.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "boot": "of-before"}))
    assert "machine restarted" in machine("ps", "-a").stdout
    machine("stop", "--rm", "killed")
    machine("run", "-d", "--rm", "--name", "gone", "probe:dev")
    machine("kill", "gone")
    assert not places["gone"].exists()


def wait_for(watched: int) -> None:
    """Wait until a process ended."""
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    assert poll.poll(20_000)
    os.close(watched)


@pytest.mark.parametrize("harm", ["truncated", "missing"])
def test_a_damaged_one_is_ended(any_machine, harm):
    """It is listed as left out with what to do, and `stop --rm ID` ends its supervisor and deletes it."""
    machine = any_machine
    machine("run", "-d", "--name", "hurt", "probe:dev")
    watched = os.pidfd_open(machine.until("hurt", status="running")["pid"])
    place = machine.folder("hurt")
    if harm == "truncated":
        (place / "container.json").write_bytes(b"")
    else:
        (place / "state.json").unlink()

    said = machine("ps", "-a").stderr
    assert f"wherry stop --rm {place.name}" in said
    assert "damaged" in machine("stop", place.name, code=66).stderr
    assert machine("stop", "--rm", place.name).stdout.strip() == place.name

    wait_for(watched)
    assert not place.exists()
    assert "left out" not in machine("ps", "-a").stderr


def test_it_survives_its_terminal(any_machine):
    """The end of the session that started it, and its hangup, do not reach it."""
    machine = any_machine
    words = machine.person.argv("--store", str(machine.store), "run", "-d", "--name", "session", "probe:dev")
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe(words[0], words, machine.person.environment)  # noqa: S606 - it needs no shell
    seen = b""
    try:
        while chunk := os.read(master, 4096):
            seen += chunk
    except OSError:
        pass  # the terminal has no process any more
    os.close(master)
    os.waitpid(pid, 0)

    assert machine.until("session", status="running")
    machine("exec", "session", "/probe", "exit", "0")
    machine("stop", "-s", "USR2", "--rm", "session")


def test_what_cannot_start(any_machine):
    """The error and its code are those of the foreground, and nothing is kept."""
    machine = any_machine
    assert "not found in the image" in machine("run", "-d", "--entrypoint", "/none", "probe:dev", code=127).stderr
    machine("run", "-d", "missing:dev", code=66)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = machine("run", "-d", "-p", f"{port}:80", "probe:dev", code=64)
    assert f"127.0.0.1:{port}: Address already in use" in refused.stderr
    assert "invalid name" in machine("run", "-d", "--name", "a\x1b[2Jb", "probe:dev", code=64).stderr
    assert "a\x1b[2Jb" not in machine("logs", "a\x1b[2Jb", code=66).stderr
    assert json.loads(machine("ps", "-a", "--json").stdout)["containers"] == []


def test_health(any_machine):
    """A HEALTHCHECK is run inside; --health waits for it, or says why not and stops the container."""
    machine = any_machine
    machine("run", "-d", "--health", "--name", "fit", "checked:dev")
    fit = machine.listed("fit")
    assert fit["health"] == "healthy"
    assert '"UID":65532' in fit["healthAnswer"]
    assert "(healthy)" in machine("ps").stdout
    machine("stop", "--rm", "fit")

    options = ("--health", "--health-interval", "1s", "--health-retries", "1")
    ill = machine("run", "-d", *options, "--name", "ill", "--health-cmd", '["/probe","exit","1"]', "probe:dev", code=1)
    assert "is not healthy and was stopped" in ill.stderr
    assert machine.listed("ill")["status"] == "exited"
    machine("stop", "--rm", "ill")
    assert "no HEALTHCHECK" in machine("run", "-d", "--health", "probe:dev", code=64).stderr


def test_limits(machines):
    """Memory and processors are limited by control groups; where none can be made, that is said."""
    need_root()
    machine = machines["root"]
    machine("run", "-d", "--rm", "--name", "limits", "--memory", "64m", "--cpus", "0.5", "probe:dev")
    groups = json.loads(machine("exec", "limits", "/probe", "facts").stdout)
    pid = machine.listed("limits")["pid"]
    places = Path(f"/proc/{pid}/cgroup").read_text()
    assert groups["UID"] == 65532
    assert "/wherry-" in next(line for line in places.splitlines() if ":memory:" in line or line.startswith("0::"))
    machine("kill", "limits")

    assert "--memory x" in machine("run", "--memory", "x", "probe:dev", code=64).stderr
    for kind in ("many", "one"):
        refused = machines[kind]("run", "--memory", "64m", "probe:dev", code=69)
        assert "cannot limit memory" in refused.stderr
        assert "systemd-run --user --scope" in refused.stderr


def test_too_much_memory(machines):
    """What is killed at the limit is named."""
    need_root()
    ended = machines["root"]("run", "--memory", "32m", "--entrypoint", "/probe", "probe:dev", "eat", code=137)

    assert "killed at the memory limit" in ended.stderr
