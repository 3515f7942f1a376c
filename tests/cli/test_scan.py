"""`wherry scan` as a user calls it."""

import http.server
import json
import shutil
import threading

import pytest

from built_images import file, put_layers, put_platforms
from cli_shell import Shell
from gobuild import go_binary
from module_proxy import ModuleProxy
from official_schemas import check_cyclonedx, check_sarif
from vulnerable import MODULE, entries, entry, program, write_archive, write_database
from wherry.platform import Platform

STRIPPED = ("-trimpath", "-ldflags=-s -w")
LINKED = {"GO-1-FUNCTION", "GO-1-INLINED", "GO-1-GENERIC", "GO-1-DOTTED", "GO-1-WHOLE", "GO-5-UNREVIEWED",
          "GO-6-REPLACED", "GO-7-STDLIB"}  # fmt: skip
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")

pytestmark = pytest.mark.slow


@pytest.fixture
def wherry(tmp_path):
    """A shell with a stripped program, and a database."""
    shell = Shell(tmp_path)
    write_database(tmp_path / "osv")
    shutil.copy(program(*STRIPPED), tmp_path / "app")
    return shell


def found(shell, *words, code=0):
    """Scan, and give the document."""
    shell("scan", *words, "--json", code=code)
    return json.loads(shell.out)


def test_a_program(wherry):
    """Findings with their evidence; the database's age is printed."""
    document = found(wherry, "app", "--db", "osv")
    by_id = {one["id"]: one for one in document["findings"]}

    assert document["schema"] == "wherry.scan/1"
    assert {name for name, one in by_id.items() if one["level"] == "symbol"} == LINKED
    assert by_id["GO-1-FUNCTION"]["symbols"] == [f"{MODULE}/used.Open"]
    assert by_id["GO-1-FUNCTION"]["module"] == MODULE
    assert by_id["GO-1-FUNCTION"]["version"] == "v1.2.0"
    assert by_id["GO-1-FUNCTION"]["fixed"] == "v1.3.0"
    assert document["withdrawn"][0]["id"] == "GO-4-WITHDRAWN"
    assert document["database"]["modified"] == "2026-11-01T00:00:00Z"
    lines = wherry("scan", "app", "--db", "osv")
    assert "days ago" in lines[0]
    assert any(f"go get {MODULE}@v1.3.0" in line for line in lines)


def test_an_image_is_read_once(wherry):
    """Every program of every platform, deleted ones not; the second time no layer is read."""
    content = program(*STRIPPED).read_bytes()
    images = {
        platform: put_layers(
            wherry.store,
            [[file("app/a", content, 0o755), file("old/b", content + b"\0", 0o755)], [file("old/.wh.b")],
             [file("sh", b"\x7fELF" + bytes(8000), 0o755)]],
            platform=platform,
        )
        for platform in (AMD64, ARM64)
    }  # fmt: skip
    root = put_platforms(wherry.store, images)
    wherry.store.tag("app:dev", root)
    first = found(wherry, "app:dev", "--db", "osv")
    for blob in (wherry.root / "store" / "blobs" / "sha256").iterdir():
        if blob.stat().st_size > 100_000:
            blob.unlink()
    second = found(wherry, "app:dev", "--db", "osv")

    assert [one["path"] for one in first["subjects"]] == ["/app/a", "/app/a"]
    assert {one["platform"] for one in first["subjects"]} == {"linux/amd64", "linux/arm64"}
    assert first["otherPrograms"] == 2
    assert {one["id"] for one in first["findings"] if one["level"] == "symbol"} == LINKED
    assert second["findings"] == first["findings"]


@pytest.mark.parametrize(("words", "code"), [
    (("symbol",), 1), (("package",), 1), (("CVE-1-1",), 1), (("any",), 1), (("critical",), 0), (("GO-0-NONE",), 0),
    (("nothing",), 64), ((), 0),
])  # fmt: skip
def test_fail_on(wherry, words, code):
    """The exit code is 1 where a finding is as near, as bad, or the one that is named."""
    wherry("scan", "app", "--db", "osv", *(part for word in words for part in ("--fail-on", word)), code=code)


def test_reviewed_only(wherry):
    """What the Go team has not reviewed fails nothing, if so wanted."""
    write_database(wherry.root / "unreviewed", [entry("GO-5", database_specific={"review_status": "UNREVIEWED"})])

    wherry("scan", "app", "--db", "unreviewed", "--fail-on", "symbol", code=1)
    wherry("scan", "app", "--db", "unreviewed", "--fail-on", "symbol", "--reviewed-only")


def test_ignored_for_a_time(wherry):
    """A rule with a reason leaves a finding out until it expires."""
    write_database(wherry.root / "one", [one for one in entries() if one["id"] == "GO-1-FUNCTION"])
    rule = '[[ignore]]\nid = "CVE-1-1"\nreason = "no names come from outside"\nuntil = {}\n'
    wherry.write("ignore.toml", rule.format("2999-01-01"))
    document = found(wherry, "app", "--db", "one", "--ignore", "ignore.toml", "--fail-on", "any")
    assert document["findings"] == []
    assert document["ignored"][0]["reason"] == "no names come from outside"

    wherry.write("ignore.toml", rule.format("2020-01-01"))
    document = found(wherry, "app", "--db", "one", "--ignore", "ignore.toml", "--fail-on", "any", code=1)
    assert [one["id"] for one in document["findings"]] == ["GO-1-FUNCTION"]
    assert "expired" in document["notes"][0]


@pytest.mark.parametrize(("text", "line"), [
    ('[[ignore]]\nid = "GO-1"\nuntil = 2999-01-01\n', 1), ('[[ignore]]\nid = "GO-1"\nreason = "x"\n', 1),
    ('[[ignore]]\nid = "GO-1"\nreason = "x"\nuntil = 2999-01-01\nwhy = 1\n', 5), ("[ignored]\n", 1), ("[[ignore]\n", 1),
])  # fmt: skip
def test_wrong_rules(wherry, text, line):
    """A rule without a reason or a date is an error with its line."""
    wherry.write("ignore.toml", text)
    wherry("scan", "app", "--db", "osv", "--ignore", "ignore.toml", code=78)

    assert f"line {line}" in wherry.err


def test_without_a_database(wherry):
    """No database is no empty list: it has an exit code of its own."""
    wherry("scan", "app", "--offline", code=4)
    wherry.environment["GOVULNDB"] = "http://127.0.0.1:1"
    wherry("scan", "app", code=4)
    wherry("scan", "app", "--db", "nothing", code=66)
    wherry("scan", "app", "--db", "https://me:secret@127.0.0.1/db", code=64)
    assert "secret" not in wherry.err
    wherry.environment["GOVULNDB"] = f"file://{wherry.root}/osv"
    wherry("scan", "app", "--offline")


def test_what_cannot_be_scanned(wherry):
    """A packed program, alone or in an image, is said to be one; what Go did not build is another thing."""
    packed = b"\x7fELF\x02\x01\x01" + bytes(300) + b"UPX!" + bytes(9000)
    (wherry.root / "packed").write_bytes(packed)
    wherry("scan", "packed", "--db", "osv", code=5)
    assert "packed by UPX" in wherry.err
    wherry.store.tag("packed:dev", put_layers(wherry.store, [[file("p", packed, 0o755)]]))
    document = found(wherry, "packed:dev", "--db", "osv", code=5)
    assert document["unscanned"][0]["path"] == "/p"
    (wherry.root / "c").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9000))
    wherry("scan", "c", "--db", "osv", code=66)


@pytest.fixture
def mirror(wherry):
    """A mirror on loopback that serves a database as one archive, or entry by entry."""
    files: dict[str, bytes] = {}
    asked: list[tuple[str, int]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = files.get(self.path.removeprefix("/db/"))
            etag = f'"{hash(content)}"'
            status = 404 if content is None else 304 if self.headers.get("If-None-Match") == etag else 200
            asked.append((self.path, status))
            self.send_response(status)
            self.send_header("ETag", etag)
            self.send_header("Content-Length", str(len(content or b"") if status == 200 else 0))
            self.end_headers()
            if status == 200:
                self.wfile.write(content)

        def log_message(self, *_words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    wherry.environment["GOVULNDB"] = f"http://127.0.0.1:{server.server_port}/db"
    wherry.environment["no_proxy"] = "127.0.0.1"
    yield files, asked
    server.shutdown()
    thread.join()
    server.server_close()


def archive(folder, documents) -> bytes:
    """Make vulndb.zip."""
    return write_archive(folder / "made.zip", documents).read_bytes()


def test_a_mirror(wherry, mirror):
    """It is fetched once, asked again on request, and used offline."""
    files, asked = mirror
    files["vulndb.zip"] = archive(wherry.root, entries()[:3])
    assert found(wherry, "app")["database"]["entries"] == 3
    assert found(wherry, "app", "--offline")["database"]["entries"] == 3
    assert [status for _, status in asked] == [200]
    wherry("scan", "--update")
    assert asked[-1][1] == 304
    files["vulndb.zip"] = archive(wherry.root, entries()[:5])
    assert found(wherry, "app", "--update")["database"]["entries"] == 5


def test_a_mirror_of_entries(wherry, mirror):
    """One without an archive is read by its index; ids that are paths are refused."""
    files, _ = mirror
    for one in entries():
        files[f"ID/{one['id']}.json"] = json.dumps(one).encode()
    names = [{"path": MODULE, "vulns": [{"id": one["id"]} for one in entries()]}]
    files["index/modules.json"] = json.dumps(names).encode()
    files["index/db.json"] = b'{"modified": "2026-11-20T00:00:00Z"}'
    document = found(wherry, "app")
    assert document["database"]["entries"] == len(entries())
    assert document["database"]["datedBy"] == "index"

    files["index/modules.json"] = b'[{"path": "x", "vulns": [{"id": "../../x"}]}]'
    wherry("scan", "--update", code=65)


def test_documents_for_others(wherry):
    """Valid SARIF, CycloneDX and OpenVEX with each finding and what is not affected; the same again."""
    wherry.environment["SOURCE_DATE_EPOCH"] = "1790000000"
    made = {}
    for form in ("sarif", "cyclonedx", "openvex", "markdown"):
        wherry("scan", "app", "--db", "osv", "--format", form)
        made[form] = wherry.out
        wherry("scan", "app", "--db", "osv", "--format", form)
        assert wherry.out == made[form]
    check_sarif(made["sarif"])
    check_cyclonedx(made["cyclonedx"])
    sarif, bom, vex = (json.loads(made[form]) for form in ("sarif", "cyclonedx", "openvex"))

    assert {one["ruleId"] for one in sarif["runs"][0]["results"] if one["level"] == "error"} == LINKED
    states = {one["id"]: one["analysis"]["state"] for one in bom["vulnerabilities"]}
    assert (states["GO-1-FUNCTION"], states["GO-3-IDLE"]) == ("exploitable", "not_affected")
    said = {one["vulnerability"]["name"]: one for one in vex["statements"]}
    assert said["GO-3-IDLE"]["justification"] == "vulnerable_code_not_present"
    assert said["GO-1-FUNCTION"]["products"][0]["subcomponents"] == [{"@id": f"pkg:golang/{MODULE}@v1.2.0"}]
    assert "| [GO-1-FUNCTION]" in made["markdown"]


def test_fix(wherry):
    """go.mod is raised to the first version without findings, and the change is shown."""
    proxy = ModuleProxy(wherry.root / "proxy")
    for version in ("v1.2.0", "v1.3.0"):
        proxy.publish(MODULE, version, {"go.mod": f"module {MODULE}\n\ngo 1.20\n", "a.go": "package hole\n"})
    wherry.environment |= proxy.environment(wherry.root / "cache-of-modules")
    wherry.write("go.mod", f"module example.com/app\n\ngo 1.20\n\nrequire {MODULE} v1.2.0\n")
    wherry.write("main.go", f'package main\n\nimport _ "{MODULE}"\n\nfunc main() {{}}\n')
    own = [one for one in entries() if one["id"] in {"GO-1-FUNCTION", "GO-3-IDLE"}]
    write_database(wherry.root / "own", own)
    assert {one["goModLine"] for one in found(wherry, "go.mod", "--db", "own")["findings"]} == {5}
    wherry("scan", ".", "--db", "own", "--fix")

    assert f"require {MODULE} v1.3.0" in (wherry.root / "go.mod").read_text()
    assert f"+require {MODULE} v1.3.0" in wherry.err
    assert found(wherry, "go.mod", "--db", "own")["findings"] == []


@pytest.mark.parametrize("at", ["", " v1.0.0"])
def test_fix_of_a_replaced_module(wherry, at):
    """The line that replaces is raised, since `go get` of the module in it would be refused; vendor/ is named."""
    proxy = ModuleProxy(wherry.root / "proxy")
    for version in ("v1.5.0", "v1.6.0"):
        content = {"go.mod": "module example.com/second\n\ngo 1.20\n", "a.go": "package second\n"}
        proxy.publish("example.com/fork", version, content)
    wherry.environment |= proxy.environment(wherry.root / "cache-of-modules")
    text = (
        f"module example.com/app\n\ngo 1.20\n\nrequire example.com/second v1.0.0\n\nreplace example.com/second{at} => "
    )
    wherry.write("go.mod", f"{text}example.com/fork v1.5.0\n")
    wherry.write("main.go", 'package main\n\nimport _ "example.com/second"\n\nfunc main() {}\n')
    wherry.write("vendor/modules.txt", "")
    events = (("introduced", "0"), ("fixed", "1.6.0"))
    write_database(wherry.root / "own", [entry("GO-6", "example.com/fork", events=events)])
    wherry("scan", ".", "--db", "own", "--fix")

    assert (wherry.root / "go.mod").read_text() == f"{text}example.com/fork v1.6.0\n"
    assert "example.com/fork v1.6.0 h1:" in (wherry.root / "go.sum").read_text()
    assert "run `go mod vendor`" in wherry.err
    assert found(wherry, "go.mod", "--db", "own")["findings"] == []


def test_a_fix_that_fails(wherry):
    """What cannot be upgraded is named with Go's reason, and is no success; a path that is an option is not tried."""
    wherry.environment |= {"GOPROXY": "off", "GOFLAGS": "-mod=mod", "GONOSUMDB": "*"}
    wherry.write("go.mod", "module example.com/app\n\ngo 1.20\n\nrequire (\n\t-x/y v1.0.0\n\texample.com/a v1.0.0\n)\n")
    write_database(wherry.root / "own", [entry("GO-1", "-x/y"), entry("GO-2", "example.com/a")])
    wherry("scan", "go.mod", "--db", "own", "--fix", code=1)

    assert "go get example.com/a@v1.3.0 failed: " in wherry.err
    assert "go get -x/y@v1.3.0 failed: a path like this is not given to Go" in wherry.err


def test_the_source(wherry):
    """With the source of another module there are no call paths, and that is an error; without it, it is said."""
    document = found(wherry, "app", "--db", "osv")
    assert "--source" in document["subjects"][0]["callPaths"]
    wherry.write("other/go.mod", "module example.com/other\n")
    wherry("scan", "app", "--db", "osv", "--source", "other", code=64)


CALLER = """package main

import "strings"

var name = "a"

func main() { println(middle()) }

//go:noinline
func middle() string { return strings.ToValidUTF8(name, "b") }
"""


def test_call_paths(wherry):
    """With the source, the functions on the way to a vulnerable one are named, and the imports to its package."""
    shutil.copy(go_binary(CALLER, "-trimpath", "-ldflags=-s", module="example.com/caller"), wherry.root / "caller")
    wherry.write("source/go.mod", "module example.com/caller\n\ngo 1.20\n")
    wherry.write("source/main.go", CALLER)
    hole = entry(
        "GO-1", "stdlib", imports=[{"path": "strings", "symbols": ["ToValidUTF8"]}], events=(("introduced", "0"),)
    )
    write_database(wherry.root / "one", [hole])
    (one,) = found(wherry, "caller", "--db", "one", "--source", "source")["findings"]

    assert one["callPaths"] == [["main.main", "main.middle", "strings.ToValidUTF8"]]
    assert one["importRoutes"] == [["main", "strings"]]
    assert one["fixed"] is None
