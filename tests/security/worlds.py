"""A machine with a network of its own, for attacks: its loopback, a neighbour, a device for pasta open to all."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from containers import Person
from needs import need

NEIGHBOUR = "198.18.0.1"
LOOPBACK_PORT, NEIGHBOUR_PORT = 7070, 7071
ABSTRACT = "@wherry-attack"

_SERVER = """
import socket, sys, threading
def serve(listener, name):
    while True:
        connection, _ = listener.accept()
        connection.sendall(name.encode())
        connection.close()
def answer(query):
    end = query.index(b"\\0", 12) + 5
    kind = query[end - 4:end - 2]
    found = [] if kind != b"\\0\\x01" else [b"\\xc0\\x0c\\0\\x01\\0\\x01\\0\\0\\0\\x3c\\0\\x04\\xc6\\x12\\0\\x01"]
    return query[:2] + b"\\x81\\x80\\0\\x01" + bytes((0, len(found))) + bytes(4) + query[12:end] + b"".join(found)
def names(address):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    while True:
        query, asker = server.recvfrom(4096)
        server.sendto(answer(query), asker)
for word in sys.argv[1:]:
    kind, _, place = word.partition("=")
    if kind == "abstract":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("\\0" + place.lstrip("@"))
        listener.listen()
    elif kind == "names":
        threading.Thread(target=names, args=(place,), daemon=True).start()
        continue
    else:
        address, _, port = place.rpartition(":")
        listener = socket.create_server((address, int(port)))
    threading.Thread(target=serve, args=(listener, kind), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class World:
    """The machine: a process in its network and mount namespaces."""

    process: int
    tools: Path
    """What PATH has there."""

    def run(self, person: Person, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run wherry there to its end."""
        return subprocess.run(
            self.argv(person, *arguments), env=self.environment(person) | extra, cwd=person.home,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def argv(self, person: Person, *arguments: str) -> list[str]:
        """Give wherry's command line there."""
        inner = person.argv(*arguments)
        return ["nsenter", f"--target={self.process}", "--net", "--mount", "--", "env", "-C", str(person.home), *inner]

    def environment(self, person: Person) -> dict[str, str]:
        """Give the person's, with the programs of this machine."""
        return person.environment | {"PATH": str(self.tools)}


@contextmanager
def world(folder: Path, *programs: str, resolv_conf: str = f"nameserver {NEIGHBOUR}\n") -> Iterator[World]:
    """Make it: a neighbour that serves, a loopback with a server and an abstract socket.

    Args:
        folder: for its files.
        programs: of `pasta` and `slirp4netns`, those that are installed there.
        resolv_conf: whom it asks for names.
    """
    tools = folder / "tools"
    tools.mkdir(parents=True)
    for program in ("newuidmap", "newgidmap", "setpriv", "nsenter", "env", *programs):
        (tools / program).symlink_to(need(program))
    (folder / "resolv.conf").write_text(resolv_conf)
    shown = (
        "mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && "
        f"mount --bind {folder}/resolv.conf /etc/resolv.conf && exec sleep infinity"
    )
    ip = need("ip")
    with (
        _started(["unshare", "--net", "--mount", "sh", "-c", shown]) as here,
        _started(["unshare", "--net", "sleep", "infinity"]) as there,
    ):
        _become(here, there)
        link = ["type", "veth", "peer", "name", "eth0", "netns", str(there)]
        for argv in (
            ["nsenter", f"--target={here}", "--net", ip, "link", "add", "eth0", *link],
            *_address(here, "198.18.0.2/24", ip), *_address(there, f"{NEIGHBOUR}/24", ip),
            ["nsenter", f"--target={here}", "--net", ip, "route", "add", "default", "via", NEIGHBOUR],
        ):  # fmt: skip
            subprocess.run(argv, check=True, capture_output=True)
        mine = [f"loopback=127.0.0.1:{LOOPBACK_PORT}", f"abstract={ABSTRACT}", "names=127.0.0.53"]
        theirs = [
            f"neighbour={NEIGHBOUR}:{NEIGHBOUR_PORT}",
            f"names={NEIGHBOUR}",
            f"gateway={NEIGHBOUR}:{LOOPBACK_PORT}",
        ]
        with _serving(here, mine), _serving(there, theirs):
            yield World(here, tools)


def _address(process: int, address: str, ip: str) -> list[list[str]]:
    enter = ["nsenter", f"--target={process}", "--net", ip]
    return [
        [*enter, "addr", "add", address, "dev", "eth0"],
        [*enter, "link", "set", "eth0", "up"],
        [*enter, "link", "set", "lo", "up"],
    ]


@contextmanager
def _started(argv: list[str]) -> Iterator[int]:
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _become(*processes: int) -> None:
    """Wait until each has become its last program, so that its namespaces are there."""
    waiting = set(processes)
    while waiting:
        waiting -= {one for one in waiting if Path(f"/proc/{one}/comm").read_text() == "sleep\n"}


@contextmanager
def _serving(process: int, words: list[str]) -> Iterator[None]:
    argv = ["nsenter", f"--target={process}", "--net", sys.executable, "-c", _SERVER, *words]
    server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield
    finally:
        server.kill()
        server.communicate()
