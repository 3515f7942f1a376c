"""What a step or a container reaches by the network: not the host's loopback, its sockets, its packets.

The kinds of CVE-2020-15257 (abstract sockets of the host, from a container with the host's network) and of attacks by
AF_PACKET, AF_VSOCK and audit sockets, each made by a program inside.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers import PROBE, Person
from gobuild import go_binary
from needs import need_root
from security.worlds import ABSTRACT, LOOPBACK_PORT, NEIGHBOUR, NEIGHBOUR_PORT, World, world

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="containers need Linux")]

LOOPBACK = f"127.0.0.1:{LOOPBACK_PORT}"
OUTSIDE = f"{NEIGHBOUR}:{NEIGHBOUR_PORT}"
_PACKET, _INET, _INET6, _NETLINK, _VSOCK, _XDP = "17", "2", "10", "16", "40", "44"
CLOSED = {
    "packet": (_PACKET, "3", "0x300"), "packets of IP": (_PACKET, "2", "0x300"), "raw": (_INET, "3", "1"),
    "raw6": (_INET6, "3", "58"), "the old packet socket": (_INET, "10", "0x300"), "audit": (_NETLINK, "3", "9"),
    "audit with flags": (_NETLINK, "0x80003", "9"), "raw with flags": (_INET, "0x80003", "255"),
    "xdp": (_XDP, "3", "0"), "vsock": (_VSOCK, "1", "0"),
}  # fmt: skip
"""Family, type and protocol of sockets that a container with the host's network can't open."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for the worlds' files that all users see into (what pytest makes is for its user only)."""
    need_root()
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module", params=["pasta", "slirp4netns"])
def own(request: pytest.FixtureRequest, folder: Path) -> Iterator[World]:
    """A machine with one of the programs that connect namespaces."""
    with world(folder / request.param, request.param) as made:
        yield made


@pytest.fixture(scope="module")
def bare(folder: Path) -> Iterator[World]:
    """A machine with neither."""
    with world(folder / "bare") as made:
        yield made


@pytest.fixture
def context(person: Person) -> Iterator[Path]:
    """A context with the probe, for this processor and for 386."""
    place = person.home / "context"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for arch in ("amd64", "386"):
        shutil.copy(go_binary(PROBE.read_text(), "-ldflags=-s", arch=arch), place / f"probe-{arch}")
    for path in (place, *place.iterdir()):
        path.chmod(0o755)
    yield place
    shutil.rmtree(place)


def steps(where: World, person: Person, context: Path, *steps: tuple[str, ...], options: tuple[str, ...] = (),
          **environment: str) -> "tuple[int, list[str], str]":  # fmt: skip
    """Build with a step for each command of the probe; give the exit code, what each step printed, and all of it."""
    lines = ["FROM scratch", "COPY probe-* /"]
    for words in steps:
        flags = [word for word in words if word.startswith("--")]
        rest = [word for word in words if not word.startswith("--")]
        program = rest.pop(0) if rest[0].startswith("/") else "/probe-amd64"
        lines.append(f"RUN {' '.join(flags)} {json.dumps([program, *rest])}")
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")
    cache = ("--cache", str(person.home / "cache"), "--store", str(person.home / "store"))
    done = where.run(person, *cache, "build", "--no-cache", "--progress", "plain", *options, "context", **environment)
    printed = [
        line.partition(" | ")[2]
        for line in done.stderr.splitlines()
        if line.startswith("    ") and " | " in line and not line.partition(" | ")[2].startswith(("network: ", "HTTP"))
    ]
    return done.returncode, printed, done.stderr


def test_own_network(person, own, context):
    """A step reaches the neighbours, and names; not the host's loopback, at no address, and no abstract socket."""
    gateway = NEIGHBOUR if own.tools.joinpath("pasta").exists() else "10.0.2.2"
    code, printed, said = steps(
        own, person, context, ("dial", "tcp", OUTSIDE), ("lookup", "somewhere.example"), ("dial", "tcp", LOOPBACK),
        ("dial", "tcp", f"{gateway}:{LOOPBACK_PORT}"), ("dial", "tcp", f"198.18.0.2:{LOOPBACK_PORT}"),
        ("dial", "unix", ABSTRACT), ("socket", *CLOSED["vsock"]),
    )  # fmt: skip

    assert code == 0, said
    assert printed[:2] == ["reached neighbour", f"[{NEIGHBOUR}] <nil>"], said
    assert printed[2] == "connection refused"
    assert "loopback" not in "".join(printed[3:5])
    assert printed[5:] == ["connection refused", "operation not permitted"]
    assert "network: host" not in said


def test_shared_network(person, bare, context):
    """Where neither program is installed, what can be closed is, and one line says so."""
    code, printed, said = steps(
        bare, person, context, ("dial", "tcp", OUTSIDE), ("dial", "unix", ABSTRACT), ("socket", _INET, "1", "0"),
        ("socket", _NETLINK, "3", "0"), *(("socket", *words) for words in CLOSED.values()),
        *(("/probe-386", "socket", *words) for words in CLOSED.values()),
    )  # fmt: skip

    assert code == 0, said
    assert printed[:4] == ["reached neighbour", "operation not permitted", "ok", "ok"]
    refused = {"operation not permitted", "protocol not supported"}
    said_of = dict(zip(CLOSED, printed[4:], strict=False))
    audit = {said_of.pop(name) for name in ("audit", "audit with flags")}
    assert set(said_of.values()) == {"operation not permitted"}, said_of
    assert audit == {"protocol not supported"}  # else useradd of Debian would stop
    assert set(printed[4 + len(CLOSED) :]) <= {*refused, "function not implemented"}
    assert said.count("network: host") == 1


def test_own_network_of_386(person, own, context):
    """A program for 386 in an image for this processor can't take the call that hides the kind of socket."""
    code, printed, said = steps(own, person, context, ("/probe-386", "socket", *CLOSED["vsock"]))

    assert (code, printed) == (0, ["function not implemented"]), said


def test_chroot_shares_the_network(everybody, own, context_of_root):
    """Without namespaces the network is the host's, with the same closed; --network none is refused or kept."""
    person = everybody["root"]
    code, printed, said = steps(
        own, person, context_of_root, ("dial", "unix", ABSTRACT), ("socket", *CLOSED["packet"]),
        ("--network=none", "dial", "tcp", OUTSIDE), options=("--isolation", "chroot"),
    )  # fmt: skip

    assert code == 0, said
    assert printed[-3:-1] == ["operation not permitted"] * 2
    assert printed[-1] == "network is unreachable"


@pytest.fixture
def context_of_root(everybody: dict[str, Person]) -> Path:
    """The context of root alone."""
    place = everybody["root"].home / "context"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    shutil.copy(go_binary(PROBE.read_text(), "-ldflags=-s"), place / "probe-amd64")
    return place


def test_host_network_has_to_be_allowed(person, own, context):
    """--network host, of a step or of all, is BuildKit's: the host's as it is, where it is allowed."""
    dial = ("dial", "tcp", LOOPBACK)
    for words, options in (
        ((dial,), ("--network", "host")),
        ((("--network=host", *dial),), ()),
        ((("--network=host", *dial),), ("--allow", "security.insecure")),
    ):
        code, _, said = steps(own, person, context, *words, options=options)
        assert code != 0
        assert "--allow network.host" in said

    code, printed, said = steps(
        own, person, context, dial, ("--network=none", *dial), options=("--network", "host", "--allow", "network.host")
    )

    assert code == 0, said
    assert printed == ["reached loopback", "connection refused"]


def test_network_is_in_the_key(person, own, context):
    """A step that ran in one network is not taken for one in another."""
    run = json.dumps(["/probe-amd64", "dial", "tcp", OUTSIDE])
    (context / "Dockerfile").write_text(f"FROM scratch\nCOPY probe-* /\nRUN {run}\n")
    shutil.rmtree(person.home / "keys", ignore_errors=True)
    words = ["--cache", "keys", "--store", "store", "build", "--progress", "plain", "--allow", "network.host"]
    own.run(person, *words, "--no-cache", "context")
    said = [
        own.run(person, *words, "--network", kind, "context").stderr for kind in ("none", "host", "none", "default")
    ]

    assert "network is unreachable" in said[0]
    assert "reached neighbour" in said[1]
    assert "unreachable" not in said[2]
    assert "reached" not in said[3]


def test_names_from_the_hosts_loopback(person, folder, context):
    """With systemd-resolved's stub as the only name server, names are found all the same, by both programs."""
    for program in ("pasta", "slirp4netns"):
        place = folder / f"stub-{program}-{person.name}"
        with world(place, program, resolv_conf="nameserver 127.0.0.53\nsearch example\n") as made:
            code, printed, said = steps(
                made, person, context, ("lookup", "somewhere.example"), ("dial", "tcp", LOOPBACK)
            )
        assert (code, printed) == (0, [f"[{NEIGHBOUR}] <nil>", "connection refused"]), said


def test_proxies_on_the_hosts_loopback(person, own, context):
    """A proxy that steps can't reach is named, without its password."""
    code, _, said = steps(
        own,
        person,
        context,
        ("dial", "tcp", OUTSIDE),
        options=("--build-arg", "HTTP_PROXY=http://me:pass@localhost:3128"),
    )

    assert code == 0, said
    assert "HTTP_PROXY: localhost:3128 is on the host's loopback" in said
    assert "pass@" not in said


def test_containers_have_their_own(person, own, context):
    """`wherry run` alike: the host's loopback and abstract sockets are out of reach."""
    code, _, said = steps(own, person, context, ("dial", "tcp", OUTSIDE), options=("-t", "probe"))
    assert code == 0, said
    run = ("--cache", str(person.home / "cache"), "--store", str(person.home / "store"), "run")

    printed = [
        own.run(person, *run, "probe", "/probe-amd64", *words).stdout.strip()
        for words in (("dial", "tcp", OUTSIDE), ("dial", "tcp", LOOPBACK), ("dial", "unix", ABSTRACT))
    ]
    host = own.run(person, *run, "--network", "host", "probe", "/probe-amd64", "dial", "tcp", LOOPBACK).stdout.strip()
    none = own.run(person, *run, "--network", "none", "probe", "/probe-amd64", "dial", "tcp", OUTSIDE).stdout.strip()

    assert printed == ["reached neighbour", "connection refused", "connection refused"]
    assert (host, none) == ("reached loopback", "network is unreachable")


def test_published_ports(person, folder, context):
    """-p publishes a port at 127.0.0.1 by pasta; without pasta it is refused."""
    with world(folder / f"ports-{person.name}", "pasta") as made:
        code, _, said = steps(made, person, context, ("socket", _INET, "1", "0"), options=("-t", "served"))
        assert code == 0, said
        run = ("--cache", str(person.home / "cache"), "--store", str(person.home / "store"), "run", "-q")
        words = (*run, "-p", "8099:80", "served", "/probe-amd64", "serve", "0.0.0.0:80")
        process = subprocess.Popen(
            made.argv(person, *words), env=made.environment(person), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip().endswith(":80")
            fetch = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8099/').read())"
            enter = ["nsenter", f"--target={made.process}", "--net", sys.executable, "-c", fetch]
            answer = subprocess.run(enter, capture_output=True, text=True, timeout=30, check=False)
            assert "hello from the inside" in answer.stdout, answer.stderr
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        (made.tools / "pasta").unlink()
        refused = made.run(person, *words)
    assert refused.returncode != 0
    assert "pasta" in refused.stderr
