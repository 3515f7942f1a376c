"""`wherry modules verify`, on a module that Go itself downloaded and vendored; and every way to tamper with it."""

import re
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from cli_shell import Shell
from verified_modules import GoWorld, go_world
from wherry.app.modules import ModulesOptions, verify_modules
from wherry.app.session import Session
from wherry.errors import InvalidSettings, NotFound

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> GoWorld:
    """What Go made, unchanged."""
    return go_world(tmp_path_factory.mktemp("made"))


@pytest.fixture
def world(made, tmp_path) -> GoWorld:
    """A copy to tamper with."""
    return made.copy(tmp_path)


def verified(world: GoWorld, options: ModulesOptions | None = None, **environment: str):
    """Verify it, in an environment of its own."""
    shell = Shell(world.root / "shell")
    session = Session(
        store=world.root / "store", cache=world.root / "cache", cwd=world.app,
        environment={**shell.environment, **world.environment, **environment},
    )  # fmt: skip
    return verify_modules(session, options)


def rules(document) -> set[tuple[str, str]]:
    """Give rules and places, without the folder of the test."""
    return {(one.rule, re.sub(r"^/.*?/(modcache|app)/", r"\1/", one.place)) for one in document.findings}


def test_all_is_verified_and_kept(world):
    """Zips, unpacked files, vendor/ and the database agree; the second run needs no network."""
    document = verified(world)

    assert document.ok, document
    assert {row.path: (row.cache, row.unpacked, row.vendor, row.database) for row in document.modules} == {
        "example.com/Deep": ("unchanged", "unchanged", "unchanged", "proved"),
        "example.com/lib": ("unchanged", "unchanged", "unchanged", "proved"),
    }
    assert {(row.path, row.why) for row in document.local} == {
        ("example.com/app", "main"), ("example.com/local", "go.mod:12"),
    }  # fmt: skip
    assert verified(world, ModulesOptions(offline=True)).ok
    assert verified(world, ModulesOptions(offline=True)).database.requests == 0


def _write(path: str, text: str):
    def tamper(world: GoWorld) -> None:
        (world.root / path).parent.mkdir(parents=True, exist_ok=True)
        (world.root / path).write_text(text)

    return tamper


def _replace(path: str, old: str, new: str):
    def tamper(world: GoWorld) -> None:
        text = (world.root / path).read_text()
        assert old in text
        (world.root / path).write_text(text.replace(old, new, 1))

    return tamper


def _remove(path: str):
    return lambda world: (world.root / path).unlink()


def _link(path: str, to: str):
    def tamper(world: GoWorld) -> None:
        (world.root / path).unlink()
        (world.root / path).symlink_to(to)

    return tamper


def _zip(world: GoWorld) -> None:
    with zipfile.ZipFile(world.cache / "cache/download/example.com/lib/@v/v1.2.0.zip", "a") as archive:
        archive.writestr("example.com/lib@v1.2.0/evil.go", "package lib\n")


def _no_zip(world: GoWorld) -> None:
    (world.cache / "cache/download/example.com/lib/@v/v1.2.0.zip").write_bytes(b"PK")


def _line(path: str, pattern: str, replacement: str):
    def tamper(world: GoWorld) -> None:
        text = (world.root / path).read_text()
        changed = re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)
        assert changed != text
        (world.root / path).write_text(changed)

    return tamper


LISTING = "app/vendor/modules.txt"
TAMPERED = {
    "changed": (
        _replace("app/vendor/example.com/lib/lib.go", "Name }", "Name+1 }"),
        ("modified-file", "vendor/example.com/lib/lib.go:5"),
    ),
    "appended": (
        _replace("app/vendor/example.com/Deep/LICENSE", "\n", "\nx\n"),
        ("modified-file", "vendor/example.com/Deep/LICENSE:2"),
    ),
    "added": (
        _write("app/vendor/example.com/lib/evil.go", "package lib\n"),
        ("added-file", "vendor/example.com/lib/evil.go"),
    ),
    "stray": (_write("app/vendor/example.org/x/x.go", "package x\n"), ("added-file", "vendor/example.org/x/x.go")),
    "missing": (
        _remove("app/vendor/example.com/lib/windows_only.go"),
        ("missing-file", "vendor/example.com/lib/windows_only.go"),
    ),
    "missing assembly": (
        _remove("app/vendor/example.com/Deep/deep/deep.s"),
        ("missing-file", "vendor/example.com/Deep/deep/deep.s"),
    ),
    "linked": (
        _link("app/vendor/example.com/lib/lib.go", "../../../main.go"),
        ("modified-file", "vendor/example.com/lib/lib.go"),
    ),
    "local": (
        _replace("app/vendor/example.com/local/local.go", '"local"', '"evil"'),
        ("modified-file", "vendor/example.com/local/local.go:3"),
    ),
    "unpacked": (
        _replace("modcache/example.com/lib@v1.2.0/lib.go", "Name }", "Name+1 }"),
        ("modified-file", "modcache/example.com/lib@v1.2.0/lib.go:5"),
    ),
    "unpacked more": (
        _write("modcache/example.com/lib@v1.2.0/unused/x.go", ""),
        ("added-file", "modcache/example.com/lib@v1.2.0/unused/x.go"),
    ),
    "zip": (_zip, ("zip-mismatch", "go.sum:3")),
    "cut zip": (_no_zip, ("zip-mismatch", "go.sum:3")),
    "go.mod of a module": (
        _write("modcache/cache/download/example.com/lib/@v/v1.2.0.mod", "module evil\n"),
        ("go-mod-mismatch", "go.sum:3"),
    ),
    "go.sum": (
        _line("app/go.sum", r"^(example.com/lib v1.2.0) h1:....", r"\1 h1:AAAA"),
        ("sumdb-contradicts", "go.sum:3"),
    ),
    "go.sum twice": (
        _line("app/go.sum", r"^(example.com/lib v1.2.0 h1:)(....)(.*)$", r"\1\2\3\n\1AAAA\3"),
        ("go-sum-conflict", "go.sum:4"),
    ),
    "no sum": (_line("app/go.sum", r"^example.com/lib v1.2.0 h1:.*\n", ""), ("no-checksum", "vendor/modules.txt:4")),
    "other version": (_line(LISTING, "lib v1.2.0", "lib v1.1.0"), ("vendor-inconsistent", "go.mod:6")),
    "excluded": (_line(LISTING, "lib v1.2.0", "lib v1.1.0"), ("vendor-inconsistent", "vendor/modules.txt:4")),
    "not explicit": (
        _line(LISTING, r"(lib v1.2.0\n)## explicit; ", r"\1## "),
        ("vendor-inconsistent", "vendor/modules.txt:4"),
    ),
    "not replaced": (_line("app/go.mod", r"^replace.*\n", ""), ("vendor-inconsistent", "vendor/modules.txt:7")),
    "replaced otherwise": (
        _line("app/go.mod", "=> ./local", "=> ./other"),
        ("vendor-inconsistent", "vendor/modules.txt:7"),
    ),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_tampering_is_found(world, case):
    """Each change is a finding with its rule, its file and its line."""
    tamper, wanted = TAMPERED[case]
    tamper(world)

    document = verified(world)

    assert wanted in rules(document), document.findings
    assert not document.ok


def test_a_diff_shows_what_changed(world):
    """The finding of a changed file has the lines of both sides."""
    TAMPERED["changed"][0](world)

    (finding,) = verified(world).findings

    assert "-func Name() string { return deep.Name }" in finding.evidence
    assert "+func Name() string { return deep.Name+1 }" in finding.evidence


def test_private_modules_are_not_asked_about(world):
    """GONOSUMDB and GOPRIVATE keep paths from the database; GOSUMDB=off and -insecure switch it off."""
    document = verified(world, GOPRIVATE="example.com/D*,other.com")
    assert {row.path: row.database for row in document.modules} == {
        "example.com/Deep": "private", "example.com/lib": "proved",
    }  # fmt: skip
    assert not list((world.root / "cache").rglob("*!deep*"))
    assert verified(world, GOSUMDB="off").database_off == "GOSUMDB=off"
    assert verified(world, GOFLAGS="-insecure").database_off == "GOFLAGS has -insecure"
    with pytest.raises(InvalidSettings):
        verified(world, GOSUMDB="sum.example.com+00000000+AAAA")


def test_what_cannot_be_verified_is_not_a_pass(world):
    """Without a zip, a database or a network nothing is claimed; a vendored module's zip is downloaded."""
    for file in (world.cache / "cache/download").rglob("*.zip"):
        file.unlink()
    offline = verified(world, ModulesOptions(offline=True, database=False))
    assert not offline.ok
    assert offline.findings == ()
    assert [reason.partition(":")[0] for reason in offline.unverified] == [
        "vendor/example.com/Deep",
        "vendor/example.com/lib",
    ]

    assert verified(world).ok
    assert not verified(world, GOSUMDB="sum.golang.org", GOPROXY="off").ok


def test_over_http(world):
    """A proxy that does not pass the database on is passed over; the next is asked, with a redirect followed."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path.startswith("/none/"):
                self.send_error(404)
            elif self.path.startswith("/moved/"):
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{port}/proxy/{self.path.removeprefix('/moved/')}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), lambda *rest: Handler(*rest, directory=str(world.root))) as server:
        port = server.server_address[1]
        Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{port}"
        for file in (world.cache / "cache/download/sumdb").rglob("*"):
            file.unlink() if file.is_file() else None
        document = verified(world, GOPROXY=f"{base}/none,{base}/moved|direct")
        server.shutdown()

    assert document.ok, document
    assert any(path.startswith("/none/") for path in asked)
    assert any("/lookup/example.com/!deep@v0.3.0" in path for path in asked)


def test_workspace(world):
    """In a workspace, the modules of `use` are local, and go.work.sum counts."""
    (world.root / "work").mkdir()
    (world.root / "app").rename(world.root / "work/app")
    (world.root / "work/go.work").write_text("go 1.21\n\nuse (\n\t./app\n\t./app/local\n)\n")
    lines = (world.root / "work/app/go.sum").read_text().splitlines(keepends=True)
    (world.root / "work/app/go.sum").write_text("".join(lines[:2]))
    (world.root / "work/go.work.sum").write_text("".join(lines[2:]))
    moved = GoWorld(world.root / "work", world.log)
    environment = {"GOMODCACHE": str(world.cache), "GOPROXY": f"file://{world.root}/proxy"}

    document = verified(moved, **environment)

    assert document.ok, document
    assert {row.why for row in document.local} == {"workspace", "go.mod:12"}
    assert {row.database for row in document.modules} == {"proved"}


def test_no_module(tmp_path):
    """A folder without go.mod is an error."""
    shell = Shell(tmp_path)
    session = Session(store=tmp_path, cache=tmp_path, cwd=tmp_path, environment=shell.environment)
    with pytest.raises(NotFound):
        verify_modules(session)


def test_command(world):
    """The command prints what was compared; 1 is a finding, 69 something unverified, 0 fine."""
    shell = Shell(world.root / "shell")
    shell.environment |= world.environment
    folder = str(world.app)
    printed = shell("modules", "verify", folder)
    assert printed[0] == "2 modules"
    assert printed[-1] == "verified"

    TAMPERED["changed"][0](world)
    printed = shell("modules", "verify", folder, code=1)
    assert any(
        "vendor/example.com/lib/lib.go:5: differs from the zip of example.com/lib@v1.2.0" in one for one in printed
    )
    TAMPERED["added"][0](world)
    assert '"rule":"added-file"' in shell("modules", "verify", folder, "--json", "--no-sumdb", code=1)[0]
    for file in (world.cache / "cache/download").rglob("*.zip"):
        file.unlink()
    shell("modules", "verify", folder, "--offline", "--no-vendor", code=69)
