"""A mirror over HTTP that lies or fails, as a user meets it: one message each, nothing named, nothing left behind."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli_shell import Shell
from debian_archive import NOW, Archive, date_of, deb
from wherry.app import debian as debian_module
from wherry.base.deb import releases
from wherry.base.deb.mirror import DebSource, Mirror
from wherry.base.deb.releases import DebianRelease
from wherry.registry.pools import Waits

BUSYBOX = b"\x7fELF..[\0[[\0ash\0busybox\0sh\0\0more"
PACKAGES = [
    deb("base-files", "1", {"etc/debian_version": b"99\n", "usr/share/doc/base-files/README": b"x" * 5000}),
    deb("libsql", "3.1", {"usr/lib/libsql.so": b"sql"}, Depends="libc"),
    deb("libc", "2.41", {"usr/lib64/ld.so": b"ld"}),
    deb("busybox-static", "1", {"bin/busybox": BUSYBOX}),
]


class Server:
    """The files of an archive over HTTP, with one fault for some of them."""

    def __init__(self, archive: Archive) -> None:
        self.archive, self.faults = archive, dict[str, str]()
        self.over = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            """Answers one request."""

            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                """Give the file, or the fault."""
                owner.answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Give a file, or what the fault of its name is."""
        content = self.archive.files.get(f"http://a{urlsplit(request.path).path}")
        fault = next((fault for part, fault in self.faults.items() if part in request.path), "")
        if content is None or fault == "gone":
            request.send_response(404)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if fault == "refuses":
            request.send_response(503)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if fault == "cut":
            request.wfile.write(content[: len(content) // 2])
            request.close_connection = True
            return
        if fault == "stalls":
            self.over.wait(30)
            return
        place = 60
        request.wfile.write(content[:place] + b"!" + content[place + 1 :] if fault == "changed" else content)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    """Debian 99, signed by a key of the test's own."""
    archive = Archive()
    archive.publish("test", PACKAGES)
    archive.publish("test-security", [], Valid_Until=date_of(days=-1))
    release = DebianRelease("99", archive.release.suites, {"static": ("base-files",)})
    monkeypatch.setitem(releases.RELEASES, "99", release)

    def mirror(source: DebSource) -> Mirror:
        fields = {name: getattr(source, name) for name in source.__slots__}
        return Mirror(DebSource(**{**fields, "keyring": bytes(archive.key), "clock": NOW.timestamp}))

    monkeypatch.setattr(debian_module, "Mirror", mirror)
    started = Server(archive)
    yield started
    started.over.set()
    started.http.shutdown()
    started.http.server_close()


@pytest.fixture
def wherry(tmp_path, server) -> Shell:
    """A shell that knows this mirror."""
    shell = Shell(tmp_path)
    shell.environment["WHERRY_DEBIAN_MIRROR"] = f"http://127.0.0.1:{server.http.server_port}/debian"
    return shell


def build(wherry: Shell, *words: str, base: str = "deb99:static", code: int = 0) -> None:
    """Build a base by itself, for the archive's architecture."""
    wherry("base", "build", base, "-t", "b:1", "--platform", "linux/amd64", *words, code=code)
    assert bool(code) == ("b:1" not in wherry.store.tags())


def test_what_is_shown(wherry):
    """Packages, versions, bytes, what was left out and what keeping it costs; the same values as JSON."""
    build(wherry)
    assert "base-files  1  3 B" in wherry.err
    assert "left out: docs 5 kB; --keep docs keeps them" in wherry.err
    build(wherry, "--keep", "docs", "--json")
    (platform,) = json.loads(wherry.out)["platforms"]
    assert (platform["unpacked"], platform["left_out"]) == (5003, {})


def test_a_base_that_wherry_toml_declares(wherry):
    """`lock` resolves it for the usual architectures, of which this archive has one."""
    wherry.module()
    wherry.write("app.conf", "x = 1\n")
    wherry.write(
        "wherry.toml",
        '[base]\npackages = ["libsql"]\ndebian = "99"\nfiles = ["app.conf:/etc/app.conf"]\n'
        'users = ["app:10001"]\nenv = { A = "b" }\n',
    )
    wherry("lock", code=66)
    assert "Debian 99 for arm64 has no libsql" in wherry.err


def test_declared_by_itself(wherry):
    """Its packages and what they need; a file, a user, a variable; an image of its own."""
    wherry.write("app.conf", "x = 1\n")
    wherry.write(
        "wherry.toml",
        '[base]\npackages = ["libsql"]\ndebian = "99"\nfiles = ["app.conf:/etc/app.conf"]\n'
        'users = ["app:10001"]\nenv = { A = "b" }\n',
    )
    build(wherry, "--json", base="declared")
    (platform,) = json.loads(wherry.out)["platforms"]
    assert [one["name"] for one in platform["packages"]] == ["libc", "libsql"]
    config = "\n".join(wherry("inspect", "--raw", "config", "b:1"))
    assert '"A=b"' in config


@pytest.mark.parametrize(
    ("part", "fault", "said"),
    [
        ("InRelease", "gone", "InRelease: not there"),
        ("InRelease", "refuses", "the server answered 503"),
        ("InRelease", "cut", "InRelease"),
        ("InRelease", "changed", "InRelease"),
        ("by-hash", "changed", "what Debian signed is"),
        ("pool", "gone", "base-files 1: the mirror has no pool/base-files_1.deb"),
        ("pool", "cut", "base-files_1.deb: the connection broke"),
        ("InRelease", "stalls", "InRelease: timed out"),
        ("pool", "changed", "what Debian signed is"),
    ],
)
def test_faults(wherry, server, monkeypatch, part, fault, said):
    """Each is named; nothing is stored under a name, and nothing half is kept in the cache."""
    server.faults[part] = fault
    if fault == "stalls":
        usual = Waits()
        monkeypatch.setattr(Waits.__init__, "__defaults__", (usual.connect, 0.1))
    ended = wherry.ended("base", "build", "deb99:static", "-t", "b:1", "--platform", "linux/amd64")

    assert ended, wherry.err
    assert said in wherry.err
    assert "hint: " in wherry.err
    assert "b:1" not in wherry.store.tags()
    assert not [file for file in Path(wherry.root, "cache/debian").rglob("*") if file.is_file() and "pool" in file.name]


def test_a_mirror_that_is_not_reached(wherry):
    """Its address is named."""
    wherry.environment["WHERRY_DEBIAN_MIRROR"] = "http://127.0.0.1:1/debian"
    ended = wherry.ended("base", "build", "deb99:static", "-t", "b:1", "--platform", "linux/amd64")

    assert ended
    assert "127.0.0.1:1" in wherry.err


def test_a_shell_without_a_network(wherry):
    """Of `:debug`, what is missing is busybox; what is cached is built."""
    build(wherry)
    build(wherry, "--offline")
    wherry("rm", "b:1")
    build(wherry, "--offline", base="deb99:static:debug", code=66)
    assert "busybox-static 1: not in the cache, and --offline asks no mirror" in wherry.err


def test_an_architecture_without_it(wherry):
    """Package and architecture are named."""
    wherry("base", "build", "deb99:static", "-t", "b:1", "--platform", "linux/s390x", code=66)
    assert "Debian 99 has no base-files for s390x" in wherry.err
