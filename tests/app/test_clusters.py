"""kubeconfigs that point nowhere, have expired, or are not what they should be: each is said in words."""

import base64
import contextlib
import json
import os
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from kube_server import KubeFake, kube_server
from registries import certificates, serving
from wherry.app import clusters
from wherry.app.clusters import Cluster, cluster
from wherry.app.session import Session
from wherry.cluster.certificate_dates import certificate_end, token_end
from wherry.cluster.kube_api import KubeSelection
from wherry.cluster.kube_errors import KubeRefused
from wherry.cluster.kube_resources import PODS
from wherry.errors import InvalidSettings, InvalidUsage


def found(folder: Path, config: Path) -> Cluster:
    """Find the cluster of a configuration."""
    return cluster(Session(store=folder / "s", cache=folder / "c", cwd=folder, environment={"KUBECONFIG": str(config)}))


def refusal(folder: Path, fake: KubeFake, *, user: dict | None = None, **words: object) -> KubeRefused:
    """Change the configuration, and give what comes of a request."""
    document = json.loads(fake.config.read_text())
    document["clusters"][0]["cluster"].update(words)
    if user is not None:
        document["users"][0]["user"] = user
    other = folder / "other"
    other.write_text(json.dumps(document))
    with pytest.raises(KubeRefused) as caught:
        list(found(folder, other).server.list(PODS, KubeSelection(namespace="shop")))
    return caught.value


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    """An API server."""
    with kube_server(tmp_path_factory.mktemp("kube")) as started:
        yield started


def unused() -> int:
    """Give a port where nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_points_nowhere(fake, tmp_path):
    """Nothing listens, no such name, another authority, no API server: the file that names it is in the hint."""
    nobody = refusal(tmp_path, fake, server=f"https://localhost:{unused()}")
    stranger = certificates(tmp_path / "stranger").ca.read_bytes()
    other = refusal(tmp_path, fake, **{"certificate-authority-data": base64.b64encode(stranger).decode()})
    plain = refusal(tmp_path, fake, server=fake.url.replace("https://", "http://"))

    assert "nothing listens there" in nobody.message
    assert str(tmp_path / "other") in nobody.hint
    assert nobody.passing
    assert "certificate is not accepted" in other.message
    assert not other.passing
    assert plain.status == 0


def test_expired_token(fake, tmp_path):
    """The end of a token that is refused is read from it."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1_700_000_000}).encode()).decode().rstrip("=")
    error = refusal(tmp_path, fake, user={"token": f"x.{claims}.y"})
    plain = refusal(tmp_path, fake, user={"token": "another"})

    assert (error.status, plain.status) == (401, 401)
    assert "the token expired at 2023-11-14 22:13 UTC" in error.message
    assert "expired" not in plain.message


def test_expired_certificate(fake, tmp_path):
    """So is that of a client certificate."""
    authority = trustme.CA()
    past = datetime.now(UTC) - timedelta(days=1)
    issued = authority.issue_cert("user", not_after=past.replace(tzinfo=None))
    user = {
        "client-certificate-data": base64.b64encode(issued.cert_chain_pems[0].bytes()).decode(),
        "client-key-data": base64.b64encode(issued.private_key_pem.bytes()).decode(),
    }
    error = refusal(tmp_path, fake, user=user)

    assert f"the client certificate expired at {past:%Y-%m-%d}" in error.message


@pytest.mark.parametrize("text", [b"", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", b"\xff" * 99])
def test_unreadable_dates(text):
    """What can't be read has no end."""
    assert certificate_end(text) is None
    assert token_end(text.decode(errors="replace")) is None


@given(st.binary(max_size=200))
def test_any_certificate(der):
    """No bytes in the place of a certificate are more than one without an end."""
    begin = b"\x30\x82" + len(der).to_bytes(2, "big") + der
    for text in (der, begin):
        assert certificate_end(ssl.DER_cert_to_PEM_cert(text).encode()) is None


@pytest.mark.parametrize("token", ["a.b.c", "a.e30.c", "a.W10.c", "a.eyJleHAiOiAiMWU5OTkifQ.c", ".."])
def test_tokens_without_an_end(token):
    """Nor has a token without a sound `exp`."""
    assert token_end(token) is None


def test_a_program_that_takes_its_time(fake, tmp_path, monkeypatch):
    """What is waited for is said."""
    monkeypatch.setattr(clusters, "_LONG", 0.01)
    program = {"command": "sh", "args": ["-c", "sleep 0.2; echo no"], "apiVersion": "client.authentication.k8s.io/v1"}
    document = json.loads(fake.config.read_text())
    document["users"][0]["user"] = {"exec": program}
    config = tmp_path / "config"
    config.write_text(json.dumps(document))
    said: list[str] = []

    class Hearing(Session):
        def waits(self, line: str) -> None:
            said.append(line)

    session = Hearing(
        store=tmp_path / "s", cache=tmp_path / "c", cwd=tmp_path, environment={**os.environ, "KUBECONFIG": str(config)}
    )
    with pytest.raises(InvalidUsage, match="it gives no credentials"):
        list(cluster(session).server.list(PODS, KubeSelection(namespace="shop")))

    assert said == ["waiting for sh, which kubectl's configuration asks for credentials"]


def test_a_folder_for_a_configuration(tmp_path):
    """What KUBECONFIG names is there, but cannot be read: that is said, and not that nothing was found."""
    with pytest.raises(InvalidSettings, match="Is a directory"):
        found(tmp_path, tmp_path)


class _Proxy(BaseHTTPRequestHandler):
    """Lets connections through to one server, whatever they ask for, and notes what that was."""

    protocol_version = "HTTP/1.1"
    target: tuple[str, int]
    asked: list[tuple[str, str]]

    def do_CONNECT(self) -> None:
        """Relay bytes both ways, where the name does not end in `.closed`."""
        self.asked.append((self.path, self.headers.get("Proxy-Authorization", "")))
        self.close_connection = True
        if ".closed:" in self.path:
            self.send_error(403)
            return
        with socket.create_connection(self.target) as far:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=relay, args=(far, self.connection))
            back.start()
            relay(self.connection, far)
            back.join()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def relay(source: socket.socket, sink: socket.socket) -> None:
    """Move bytes until one side ends."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(1 << 16):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def test_by_a_proxy(fake, tmp_path):
    """The configuration's proxy-url counts before HTTPS_PROXY; its password is told to the proxy alone."""
    document = json.loads(fake.config.read_text())
    parts = urlsplit(document["clusters"][0]["cluster"]["server"])

    class Handler(_Proxy):
        target = ("127.0.0.1", parts.port)
        asked: ClassVar = []

    def reached(server: str, proxy: str, environment: dict[str, str]) -> None:
        row = document["clusters"][0]["cluster"]
        row.update({"server": server, "tls-server-name": parts.hostname, "proxy-url": proxy})
        config = tmp_path / "config"
        config.write_text(json.dumps(document))
        environment = {"KUBECONFIG": str(config), **environment}
        session = Session(store=tmp_path / "s", cache=tmp_path / "c", cwd=tmp_path, environment=environment)
        list(cluster(session).server.list(PODS, KubeSelection(namespace="shop")))

    with serving(Handler) as host:
        reached("https://far.example", f"http://ann:s3cret@{host}", {"HTTPS_PROXY": "http://proxy.invalid"})
        reached("https://far.example:6443", "", {"HTTPS_PROXY": f"http://{host}"})
        with pytest.raises(KubeRefused, match=r"far\.closed by the proxy 127\.0\.0\.1: not let through: 403"):
            reached("https://far.closed", f"http://{host}", {})
    with pytest.raises(InvalidSettings, match="only http:// proxies"):
        reached("https://far.example", "socks5://127.0.0.1:1", {})

    assert Handler.asked == [
        ("far.example:443", "Basic YW5uOnMzY3JldA=="), ("far.example:6443", ""), ("far.closed:443", ""),
    ]  # fmt: skip
