"""`wherry probe sigpipe` on a Go service whose clients hang up: as root, as a plain user, by eBPF, on a container."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cli_shell import Shell
from containers import Person, file, make_image, people
from gobuild import go_module
from needs import need, need_root
from wherry.oci.config import RuntimeConfig
from wherry.store.disk import DiskStore

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="it needs Linux")]

YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
SERVICE = """package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "print" {
		for range 100_000 {
			fmt.Println("line")
		}
		return
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(400 * time.Millisecond)
		for range 4 {
			w.Write(make([]byte, 8000))
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	}))
}
"""


@pytest.fixture(scope="module")
def service() -> Path:
    """The program."""
    return go_module({"main.go": SERVICE}, "-ldflags=-s -w", module="example.com/cut", go="1.22")


@pytest.fixture(scope="module")
def everybody() -> Iterator[dict[str, Person]]:
    """Root, and plain users."""
    with people() as found:
        yield found


@contextmanager
def served(service: Path, person: Person | None = None) -> Iterator[tuple[int, int]]:
    """Run the service as somebody; give its process and port."""
    words = [str(service), "127.0.0.1:0"]
    if person is not None and person.uid != os.geteuid():
        words = ["setpriv", f"--reuid={person.name}", f"--regid={person.name}", "--init-groups", *words]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


def hang_up(port: int, times: int = 3) -> None:
    """Ask, and be gone before the answer: after about 0.1 s without data."""
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", port)) as opened:
            opened.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.1)
    time.sleep(0.8)  # the service answers nobody


def watched(person: Person, target: str, metrics: Path, port: int, *options: str) -> dict:
    """Watch a process as somebody, while clients hang up; give the document."""
    words = ["probe", "sigpipe", "--json", "--metrics", str(metrics), *options, target]
    process = person.start(*words)
    status = Path(f"/proc/{target}/status")
    while "TracerPid:\t0" in status.read_text() and process.poll() is None:
        time.sleep(0.02)
    hang_up(port)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.mark.parametrize("kind", ["root", "many"])
def test_by_the_tracer(everybody, service, tmp_path, kind):
    """Every hang-up is counted, with its peer and the silence before it; the service runs on."""
    if kind not in everybody:
        pytest.skip("needs root, to make users")
    if kind != "root" and YAMA.exists() and YAMA.read_text().strip() != "0":
        pytest.skip("Yama lets only root trace a process that runs")
    person = everybody[kind]
    with served(service, person) as (process, port):
        found = watched(person, str(process), person.home / "m.prom", port, "--by", "tracer")
        assert Path(f"/proc/{process}").exists()

    assert (found["by"], found["total"]) == ("tracer", 3)
    assert sum(one["count"] for one in found["breaks"]) == 3
    first = found["breaks"][0]
    assert (first["peer"], first["closedBy"], first["descriptor"]) == ("127.0.0.1", "peer", "socket")
    assert first["idle"] > 0.05
    assert found["processes"][0]["go"]
    text = (person.home / "m.prom").read_text()
    assert f'wherry_sigpipe_total{{pid="{process}"' in text
    assert 'closed_by="peer"} 3' in text


def test_a_command(service, tmp_path):
    """A Go program whose stdout breaks dies of it; the break is counted once, though it dies by its own hand."""
    wherry = Shell(tmp_path / "shell")

    found = json.loads("\n".join(wherry("probe", "sigpipe", "--json", "--", "sh", "-c", f"{service} print | true")))

    assert [(one["descriptor"], one["closedBy"], one["count"]) for one in found["breaks"]] == [("stdout", "peer", 1)]
    assert [(one["code"], one["go"]) for one in found["processes"]] == [(-signal.SIGPIPE, True)]
    assert "signal.Ignore" in found["breaks"][0]["remedy"]


def test_an_image(everybody, service):
    """It is run in the background while it is watched, and nothing of it is kept."""
    person, port = [*everybody.values()][-1], _free_port()
    with tempfile.TemporaryDirectory() as where:
        store, metrics = DiskStore(Path(where) / "store"), person.home / "image.prom"
        Path(where).chmod(0o755)
        image = make_image(
            store, [[file("app", service, mode=0o755)]], RuntimeConfig(user="65532", entrypoint=("/app",))
        )
        store.tag("cut:dev", image)
        store.folder.chmod(0o1777)  # so that others keep the state of their containers there
        place = ("--store", str(store.folder))
        words = ("--json", "--by", "tracer", "--network", "host", "--metrics", str(metrics))
        watch = person.start(*place, "probe", "sigpipe", *words, "cut:dev", f"127.0.0.1:{port}")
        while watch.poll() is None and not _is_traced(f"127.0.0.1:{port}"):
            time.sleep(0.02)
        counted = metrics.read_text()
        hang_up(port)
        watch.send_signal(signal.SIGINT)
        out, err = watch.communicate(timeout=60)
        left = person.run(*place, "ps", "-a", "-q").stdout

    found = json.loads(out or "{}")
    assert (found.get("by"), found.get("total")) == ("tracer", 3), err
    assert {(one["peer"], one["closedBy"]) for one in found["breaks"]} == {("127.0.0.1", "peer")}
    assert "# TYPE wherry_sigpipe_total counter" in counted
    assert (watch.returncode, left) == (0, "")


def _is_traced(word: str) -> bool:
    """Report whether a process with a word on its command line, but wherry's own, has a tracer."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            argv = (entry / "cmdline").read_bytes().split(b"\0")
            if argv[:2] == [b"/app", word.encode()]:
                return "TracerPid:\t0" not in (entry / "status").read_text()
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_what_cannot_be_watched(everybody, tmp_path, service):
    """Each has one message: gone, another user's, not there, without bpftrace, a file that can't be written."""
    wherry = Shell(tmp_path / "shell")
    with subprocess.Popen(["true"]) as gone:
        pass
    wherry("probe", "sigpipe", str(gone.pid), code=66)
    assert "no such process" in wherry.err
    wherry("probe", "sigpipe", "no-such-thing", code=66)
    assert "no container, no image" in wherry.err
    wherry("probe", "sigpipe", "--metrics", "none/m.prom", "--", "true", code=73)
    wherry("probe", "sigpipe", "--by", "ebpf", "--", "true", code=64)
    if "many" in everybody:
        refused = everybody["many"].run("probe", "sigpipe", "1")
        assert "it belongs to user 0" in refused.stderr
        with subprocess.Popen(["sleep", "60"]) as process:
            without = everybody["many"].run("probe", "sigpipe", "--by", "ebpf", str(process.pid))
            process.kill()
        assert "cannot watch by eBPF: it needs root" in without.stderr


def test_the_target_dies(tmp_path):
    """Its end is the end of the watch."""
    wherry = Shell(tmp_path / "shell")
    with subprocess.Popen(["sleep", "0.7"]) as process:
        found = json.loads("\n".join(wherry("probe", "sigpipe", "--json", "--by", "tracer", str(process.pid))))

    assert found["total"] == 0


@pytest.mark.peers
def test_by_ebpf(everybody, service, tmp_path):
    """Bpftrace counts the same, and the service is not traced."""
    need_root()
    need("bpftrace")
    with served(service) as (process, port):
        words = ["probe", "sigpipe", "--json", "--by", "ebpf", str(process)]
        watch = everybody["root"].start(*words)
        poll = select.poll()
        poll.register(watch.stdout, select.POLLIN)
        assert not poll.poll(15_000)  # it attaches its probes, which nothing outside shows
        hang_up(port)
        assert "TracerPid:\t0" in Path(f"/proc/{process}/status").read_text()
        time.sleep(1.5)
        watch.send_signal(signal.SIGINT)
        out, err = watch.communicate(timeout=60)

    found = json.loads(out)
    assert (found["by"], found["total"]) == ("ebpf", 3), err
    assert [(one["peer"], one["closedBy"]) for one in found["breaks"]] == [("127.0.0.1", "peer")]
