"""Proxies, and hosts that are not what they seem."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from hostile_registry import hostile
from registries import serving
from small_images import put_index
from wherry.oci.reference import Reference
from wherry.registry.errors import AccessDenied, RegistryError
from wherry.registry.keyring import NoKeyring
from wherry.registry.network import Network
from wherry.registry.open import Registries
from wherry.settings.proxies import Proxies
from wherry.settings.registries_conf import RegistrySettings
from wherry.store.copy import Transfer
from wherry.store.memory import MemoryStore

NAME = "registry.invalid"


@contextmanager
def proxy(target: str, seen: list[tuple[str, str]]) -> Iterator[str]:
    """Run a proxy for plain HTTP that brings one name's requests to a host; it notes URLs and who asked."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def __getattr__(self, name: str) -> object:
            if name.startswith("do_"):
                return self.forward
            raise AttributeError(name)

        def forward(self) -> None:
            seen.append((f"{self.command} {self.path}", self.headers.get("Proxy-Authorization", "")))
            if self.command == "CONNECT":
                self.send_error(502)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.removeprefix(f"http://{NAME}")
            headers = {key: value for key, value in self.headers.items() if not key.lower().startswith("proxy-")}
            connection = http.client.HTTPConnection(target)
            connection.request(self.command, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in {"date", "server"}:
                    self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content)
            connection.close()

    with serving(Handler) as host:
        yield host


def test_a_proxy_is_used_and_told_who_we_are():
    """Whole URLs go to it, with the name and password of its own; the registry sees neither."""
    seen: list[tuple[str, str]] = []
    with hostile() as registry, proxy(registry.host, seen) as host:
        network = Network(
            proxies=Proxies(http=f"http://ann:s3cret@{host}", https=f"http://ann:s3cret@{host}"),
            insecure=frozenset({NAME}),
        )
        store = MemoryStore()
        root = put_index(store)
        place = Registries(network, NoKeyring()).repository(Reference.parse(f"{NAME}/team/api"))

        Transfer(source=store, sink=place).move(root, ["v1"])

        assert place.resolve("v1") == root
    assert seen[0][0] == f"CONNECT {NAME}:443"
    assert all(said == "Basic YW5uOnMzY3JldA==" for _, said in seen)
    assert all("proxy-authorization" not in asked.headers for asked in registry.asked)


def test_an_exception_is_reached_directly():
    """NO_PROXY keeps the proxy out, and a name that nobody knows is then an error."""
    seen: list[tuple[str, str]] = []
    with hostile() as registry, proxy(registry.host, seen) as host:
        network = Network(
            proxies=Proxies(http=f"http://{host}", https=f"http://{host}", exceptions=("invalid",)),
            insecure=frozenset({NAME}),
        )
        place = Registries(network, NoKeyring()).repository(Reference.parse(f"{NAME}/team/api"))

        with pytest.raises(RegistryError) as caught:
            place.resolve("v1")

    assert NAME in caught.value.message
    assert seen == []


def test_a_blocked_registry():
    """What registries.conf forbids is not asked."""
    registries = Registries(Network(), NoKeyring(), RegistrySettings(blocked=frozenset({"bad.invalid"})))

    with pytest.raises(AccessDenied):
        registries.source(Reference.parse("bad.invalid/x"))


def test_plain_http_is_for_loopback_only():
    """A host elsewhere is never spoken to in the clear, unless the user says so."""
    seen: list[tuple[str, str]] = []
    with hostile() as registry, proxy(registry.host, seen) as host:
        network = Network(proxies=Proxies(http=f"http://{host}", https=f"http://{host}"))

        with pytest.raises(RegistryError):
            Registries(network, NoKeyring()).repository(Reference.parse(f"{NAME}/x")).resolve("v1")

    assert {asked.partition(" ")[0] for asked, _ in seen} == {"CONNECT"}
