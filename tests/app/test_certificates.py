"""Endpoints that are asked by which root they are verified; those that do not answer, or are behind a proxy."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from cli_shell import Shell
from containers import HERE, file, make_image
from wherry.app.certificates import choose_certificates
from wherry.app.endpoints import EndpointFailed, ask_endpoint
from wherry.app.images import open_image
from wherry.app.rebuild_base import recorded_base
from wherry.app.session import Session
from wherry.base.certificates import read_certificates
from wherry.errors import InvalidUsage, NotFound
from wherry.layer.changes import flatten, layers_of
from wherry.layer.entry import Entry, EntryKind

ISRG = "96bcec06264976f37460779acf28c5a7cfe8a3c0aae11a8ffcee05c0bddf08c6"
"""ISRG Root X1."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority of the test's own."""
    return trustme.CA(organization_name="Example Ltd")


@pytest.fixture
def session(tmp_path) -> Session:
    """A session without a proxy, and the authority's file."""
    return Session.of({"HOME": str(tmp_path)}, cwd=tmp_path)


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve connections one by one; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    serve(connection)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def tls(authority: trustme.CA, name: str) -> Callable[[socket.socket], None]:
    """Serve one handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    return serve


def written(authority: trustme.CA, folder: Path) -> Path:
    """Write the authority's certificate."""
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return folder / "ca.pem"


def test_an_endpoint_is_verified(authority, session, tmp_path):
    """The root is named with its expiry, and with what changes if it is replaced; public roots go."""
    file = written(authority, tmp_path)
    with listening(tls(authority, "localhost")) as port:
        found = choose_certificates(session, files=[file], wanted=[f"localhost:{port}"])

    (root,) = found.document.roots
    assert (root.name, root.public) == ("Example Ltd", False)
    assert f"localhost:{port}" in root.reason
    assert root.expires > "2026"
    assert found.settings.roots == ()
    assert read_certificates(found.file, "f")[0].fingerprint == root.fingerprint
    assert any("until the image is built again" in line for line in found.document.warnings)


def test_endpoints_that_fail(authority, session, tmp_path):
    """Not verified, another name, no TLS, nobody there, no answer: each with its address."""
    (own,) = read_certificates(written(authority, tmp_path).read_bytes(), "ca")
    with listening(tls(authority, "other.example")) as port:
        with pytest.raises(EndpointFailed, match=rf"localhost:{port}: not verified: "):
            ask_endpoint(session, "localhost", port, [own])
        with pytest.raises(EndpointFailed, match=rf"127.0.0.1:{port}: not verified: "):
            choose_certificates(session, wanted=[f"127.0.0.1:{port}"])
    with pytest.raises(EndpointFailed, match=rf"localhost:{port}: "):
        ask_endpoint(session, "localhost", port, [own])
    plain = listening(lambda one: one.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with plain as port, pytest.raises(EndpointFailed, match=r": no TLS \(wrong version number\)"):
        ask_endpoint(session, "localhost", port, [own])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(EndpointFailed, match="no answer within"):
            ask_endpoint(session, "localhost", port, [own], patience=0.05)


def test_through_a_proxy(authority, session, tmp_path):
    """CONNECT, with the proxy's password; what it answers otherwise is said."""
    (own,) = read_certificates(written(authority, tmp_path).read_bytes(), "ca")
    asked: list[bytes] = []
    handshake = tls(authority, "far.example")

    def proxy(connection: socket.socket) -> None:
        asked.append(connection.recv(4096))
        if b"denied" in asked[-1]:
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return
        connection.sendall(b"HTTP/1.1 200 Connected\r\nX: y\r\n\r\n")
        handshake(connection)

    with listening(proxy) as port:
        session.environment = {"HTTPS_PROXY": f"http://ann:secret@localhost:{port}"}
        assert ask_endpoint(session, "far.example", 443, [own]).root == own.der
        with pytest.raises(EndpointFailed, match="403 Forbidden"):
            ask_endpoint(session, "denied.example", 443, [own])

    assert asked[0].startswith(b"CONNECT far.example:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n" in asked[0]


def test_roots_by_name(session, tmp_path, authority):
    """A name, a fingerprint, an organisation; what is none is told with what is near; offline no endpoint is asked."""
    named = choose_certificates(session, wanted=["ISRG Root X1", f"sha256:{ISRG}"], offline=True).settings
    assert named.roots == (ISRG,)
    assert len(choose_certificates(session, wanted=["Google Trust Services LLC"]).settings.roots or ()) > 1
    with pytest.raises(NotFound) as caught:
        choose_certificates(session, wanted=["ISRG Rot X1"])
    assert "ISRG Root X1" in caught.value.hint
    with pytest.raises(NotFound, match="--offline"):
        choose_certificates(session, wanted=["example.com:443"], offline=True)
    with pytest.raises(NotFound, match="fingerprint"):
        choose_certificates(session, wanted=["f" * 64])
    with pytest.raises(NotFound, match="no such file"):
        choose_certificates(session, files=[tmp_path / "none.pem"])
    for words in ({"only": True}, {"only": True, "wanted": ["x"]}, {"wanted": ["localhost:99999"]}):
        with pytest.raises(InvalidUsage):
            choose_certificates(session, **words)
    file = written(authority, tmp_path)
    assert len(choose_certificates(session, files=[file], only=True).document.roots) == 1


def test_the_command(tmp_path, authority):
    """A table of what goes in; a file for Dockerfiles; JSON."""
    wherry = Shell(tmp_path)
    written(authority, tmp_path)

    (line,) = wherry("certs", "ISRG Root X1", "--offline")
    assert line.startswith("ISRG Root X1  2035-06-04  sha256:" + ISRG)
    wherry("certs", "--ca", "ca.pem", "--ca-only", "-o", "out.pem")
    assert len(read_certificates((tmp_path / "out.pem").read_bytes(), "o")) == 1
    (document,) = map(json.loads, wherry("certs", "--json"))
    assert document["bytes"] == document["before"]
    wherry("certs", "nobody", code=66)
    hostile = trustme.CA(organization_unit_name="one\x1b[2J\ntwo", organization_name="\x1b[31m")
    hostile.cert_pem.write_to_path(str(tmp_path / "hostile.pem"))
    (line,) = wherry("certs", "--ca", "hostile.pem", "--ca-only")
    assert line.isprintable()


TOML = '[build]\nbase = "scratch"\nca = ["ca.pem"]\nca-for = ["ISRG Root X1"]\n'


@pytest.mark.slow
def test_an_image_with_these_and_its_rebuild(tmp_path, authority):
    """From wherry.toml; the same image is built again from what its recipe names, wherever the file has gone."""
    wherry = Shell(tmp_path)
    wherry.module()
    wherry.write("wherry.toml", TOML)
    written(authority, tmp_path)
    wherry("build", "-t", "a:1")
    assert "certificates: 2 roots" in wherry.err
    (tmp_path / "ca.pem").unlink()
    wherry.write("wherry.toml", TOML.replace("ISRG Root X1", "example.invalid:443"))

    wherry("rebuild", "a:1", "--source", ".")
    assert "identical" in wherry.out
    wherry("build", "-t", "a:2", code=66)
    wherry("build", "-t", "a:2", "--ca-for", f"sha256:{ISRG}", "--base", "static", code=66)
    assert "--ca" in wherry.err


@pytest.mark.slow
def test_a_base_that_is_an_image(tmp_path, authority):
    """A certificate is added in a folder that Go reads whole, and found there by a rebuild; no root is taken away."""
    wherry = Shell(tmp_path)
    wherry.module()
    (own,) = read_certificates(written(authority, tmp_path).read_bytes(), "ca")
    link = Entry(path="etc/ssl/certs", kind=EntryKind.SYMLINK, mode=0o777, target="../pki/tls/certs")
    wherry.store.tag("base:1", make_image(wherry.store, [[file("etc/pki/tls/certs/ca-bundle.crt", b"theirs"), link]]))
    words = ("build", "--base", "base:1", "--platform", str(HERE))

    wherry(*words, "--ca", "ca.pem", "-t", "a:1")
    said, found = wherry.err, open_image(Session.of(wherry.environment, cwd=tmp_path), "a:1")
    names = {entry.path for entry, _ in flatten(layers_of(found.source, found.images(None)[0]))}
    (added,) = {name for name in names if "/added-" in name}
    options = recorded_base({"ca": own.fingerprint}, found, tmp_path)

    assert f"1 certificate added to those of base:1: /{added}" in said
    assert added.startswith("etc/pki/tls/certs/added-")
    assert {"etc/ssl/certs", "etc/pki/tls/certs/ca-bundle.crt"} <= names
    assert read_certificates(Path(options["ca"][0]).read_bytes(), "added") == (own,)
    wherry(*words, "--ca", "ca.pem", "--ca-only", "-t", "a:2", code=64)
    assert "keeps its roots" in wherry.err


def test_where_they_do_not_fit(tmp_path):
    """A Dockerfile, and a base that is an image: refused by name, with what to do."""
    wherry = Shell(tmp_path)
    wherry.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
    for option in (["--ca-for", "ISRG Root X1"], ["--ca", "x.pem"], ["--ca-only"], ["--keep", "docs"]):
        wherry("build", ".", *option, code=64)
        assert f"{option[0]} is for Go modules" in wherry.err
    assert "wherry certs -o" in wherry.err or option[0] == "--keep"
    wherry.module()
    wherry("build", ".", "--base", "example.com/base:1", "--ca-for", "ISRG Root X1", code=64)
    assert "example.com/base:1 is an image" in wherry.err
    wherry("build", ".", "--keep", "docs", code=64)
    wherry("build", ".", "--base", "deb:static", "--keep", "all", code=64)
