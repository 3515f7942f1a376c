"""Which daemon is found: by DOCKER_HOST, by a context, by its socket, by a program."""

import contextlib
import json
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import Engine, names_in, running
from registries import certificates
from small_images import AMD64, put_image, put_index
from wherry.daemon.endpoint import SOCKET, Endpoint, Tls, endpoint
from wherry.daemon.errors import Forbidden, NoDaemon
from wherry.daemon.find import ByApi, find_daemon
from wherry.daemon.give import give
from wherry.host.process import Command, FakeRunner, Outcome
from wherry.store.memory import MemoryStore

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
"""The folder of a context that is called hello: its SHA-256."""
NOBODY = FakeRunner(lambda _: Outcome(0, b"", b""))


def put_context(folder: Path, host: str, **more: object) -> Path:
    """Make a context called hello the one in use; give the folder for its certificates."""
    meta, material = folder / "contexts/meta" / HELLO, folder / "contexts/tls" / HELLO / "docker"
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": host, **more}}}))
    (folder / "config.json").write_text('{"currentContext": "hello"}')
    return material


def put_program(folder: Path, name: str) -> dict[str, str]:
    """Put a program on the PATH of an environment without any other."""
    (folder / name).write_text("")
    (folder / name).chmod(0o755)
    if Path(SOCKET.removeprefix("unix://")).exists():
        pytest.skip("a Docker is running here")
    return {"PATH": str(folder), "XDG_RUNTIME_DIR": str(folder), "DOCKER_CONTEXT": "default"}


@contextlib.contextmanager
def listening(path: Path) -> Iterator[None]:
    """Listen on a socket, as containerd does; nobody says a word there."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield


@contextlib.contextmanager
def as_somebody_else() -> Iterator[None]:
    """Be a user who owns nothing here, where we are root."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_endpoint(tmp_path):
    """DOCKER_HOST, else the context in use, else the usual socket."""
    put_context(tmp_path, "tcp://there:2375")

    assert endpoint({"DOCKER_HOST": "tcp://x:1"}, tmp_path) == Endpoint("tcp://x:1", named=True)
    assert endpoint({}, tmp_path) == Endpoint("tcp://there:2375", named=True)
    assert endpoint({"DOCKER_CONTEXT": "default"}, tmp_path) == Endpoint(SOCKET)
    assert endpoint({}, tmp_path / "nowhere") == Endpoint(SOCKET)


def test_tls_by_the_environment(tmp_path):
    """DOCKER_TLS_VERIFY asks for certificates: of DOCKER_CERT_PATH, else of Docker's own folder."""
    named = {"DOCKER_HOST": "tcp://x:1", "DOCKER_TLS_VERIFY": "1"}

    assert endpoint(named, tmp_path).tls == Tls(tmp_path)
    assert endpoint({**named, "DOCKER_CERT_PATH": "/c"}, tmp_path).tls == Tls(Path("/c"))
    assert endpoint({"DOCKER_HOST": "tcp://x:1", "DOCKER_TLS": "1"}, tmp_path).tls == Tls(tmp_path, verify=False)


def test_tls_of_a_context(tmp_path):
    """A context's own certificates are shown and checked; without them nobody is there."""
    made = certificates(tmp_path / "made")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(made.ca))
    context.load_cert_chain(made.chain, made.key)
    context.verify_mode = ssl.CERT_REQUIRED
    mine = made.authority.issue_cert("me@example.com")

    with running(Engine(), tmp_path, context) as place:
        material = put_context(tmp_path, place.host)
        with pytest.raises(NoDaemon):
            find_daemon(NOBODY, {}, tmp_path)
        material.mkdir(parents=True)
        (material / "ca.pem").write_bytes(made.ca.read_bytes())
        (material / "cert.pem").write_bytes(b"".join(part.bytes() for part in mine.cert_chain_pems))
        (material / "key.pem").write_bytes(mine.private_key_pem.bytes())

        found = find_daemon(NOBODY, {}, tmp_path)

    assert isinstance(found, ByApi)
    assert found.name == "Docker 27.0.1"


def test_certificates_that_are_none(tmp_path):
    """A broken file is named, and nothing is sent."""
    material = put_context(tmp_path, "tcp://127.0.0.1:1")
    material.mkdir(parents=True)
    (material / "ca.pem").write_text("no certificate")

    with pytest.raises(NoDaemon) as caught:
        find_daemon(NOBODY, {}, tmp_path)

    assert str(material) in caught.value.message


def test_a_socket_that_is_not_ours(tmp_path):
    """Whoever may not speak to Docker is told how to be allowed to."""
    path = tmp_path / "d.sock"
    with listening(path):
        path.chmod(0)
        with as_somebody_else(), pytest.raises(Forbidden) as caught:
            find_daemon(NOBODY, {"DOCKER_HOST": f"unix://{path}"}, tmp_path)

    assert str(path) in caught.value.message
    assert "usermod" in caught.value.hint or "root" in caught.value.hint


def test_programs(tmp_path):
    """Without a socket, a program on PATH takes the archive from a file."""
    store, seen = MemoryStore(), []

    def answer(command: Command) -> Outcome:
        seen.append((command.argv[1:-1], names_in(Path(command.argv[-1]).read_bytes())))
        return Outcome(0, b"", b"")

    environment = put_program(tmp_path, "nerdctl")

    give(find_daemon(FakeRunner(answer), environment, tmp_path), store, {"api:dev": put_image(store)}, AMD64)

    assert seen[0][0] == ("load", "--all-platforms", "--input")
    assert seen[0][1][0]["RepoTags"] == ["api:dev"]


def test_containerd_keeps_the_index(tmp_path):
    """Where containerd listens, ctr brings it all platforms."""
    store, archives = MemoryStore(), []

    def answer(command: Command) -> Outcome:
        archives.append(Path(command.argv[-1]).read_bytes())
        return Outcome(0, b"", b"")

    environment = {**put_program(tmp_path, "ctr"), "CONTAINERD_ADDRESS": str(tmp_path / "c.sock")}
    root = put_index(store)

    with listening(tmp_path / "c.sock"):
        daemon = find_daemon(FakeRunner(answer), environment, tmp_path)
    (given,) = give(daemon, store, {"api:dev": root}, AMD64)

    assert given.digest == root.digest
    assert all(digest.encode() in archives[0] for digest in store.blobs)


def test_ctr_alone_is_no_containerd(tmp_path):
    """Where nobody listens at containerd's address, ctr is not started: it would wait for long."""
    environment = {**put_program(tmp_path, "ctr"), "CONTAINERD_ADDRESS": str(tmp_path / "c.sock")}
    with listening(tmp_path / "c.sock"):
        pass

    with pytest.raises(NoDaemon) as caught:
        find_daemon(NOBODY, environment, tmp_path)

    assert str(tmp_path / "c.sock") in caught.value.message


@pytest.mark.parametrize(
    "host", ["unix:///nowhere/d.sock", "tcp://127.0.0.1:1", "ssh://there", "npipe://x", "tcp://x:y"]
)
def test_nobody(tmp_path, host):
    """A daemon that was named and isn't there is an error; no other is taken in its place."""
    with pytest.raises(NoDaemon) as caught:
        find_daemon(FakeRunner(lambda _: Outcome(0, b"", b"")), {"DOCKER_HOST": host, "PATH": "/usr/bin"}, tmp_path)

    assert host in caught.value.message
    assert caught.value.hint
