"""A module with holes, programs that use it, and the OSV entries about it: all made here, none is real."""

import gzip
import io
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import zstandard

from gobuild import KEPT, _environment, go_version
from module_proxy import ModuleProxy
from needs import need

MODULE = "example.com/hole"
_PACKAGES = {
    "go.mod": f"module {MODULE}\n\ngo 1.20\n",
    "used/used.go": """package used

type Reader[T any] struct{ Value T }

//go:noinline
func (r *Reader[T]) Read() T { return r.Value }

//go:noinline
func Open(name string) string { return name + inner(len(name)) }

func inner(n int) string { return string(rune('a' + n)) }

//go:noinline
func Unused(n int) int { return n * 3 }
""",
    "v1.2/dotted/dotted.go": "package dotted\n\n//go:noinline\nfunc Parse(s string) int { return len(s) }\n",
    "idle/idle.go": "package idle\n\n//go:noinline\nfunc Idle(s string) int { return len(s) }\n",
}
_MAIN = """package main

import (
	"example.com/hole/used"
	"example.com/hole/v1.2/dotted"
	_ "example.com/second"
)

var name = "app"

func main() {
	r := &used.Reader[string]{Value: used.Open(name)}
	println(r.Read(), dotted.Parse(name))
}
"""
VERSION = "v1.2.0"


def entry(
    name: str,
    module: str = MODULE,
    *,
    events: tuple[tuple[str, str], ...] = (("introduced", "0"), ("fixed", "1.3.0")),
    imports: list[Mapping[str, object]] | None = None,
    **more: object,
) -> dict[str, object]:
    """Make an OSV entry."""
    affected: dict[str, object] = {
        "package": {"name": module, "ecosystem": "Go"},
        "ranges": [{"type": "SEMVER", "events": [{kind: version} for kind, version in events]}],
    }
    if imports is not None:
        affected["ecosystem_specific"] = {"imports": imports}
    return {
        "schema_version": "1.3.1",
        "id": name,
        "modified": "2026-11-01T00:00:00Z",
        "published": "2026-10-01T00:00:00Z",
        "summary": f"a made-up hole, {name}",
        "affected": [affected],
        "database_specific": {"url": f"https://pkg.go.dev/vuln/{name}", "review_status": "REVIEWED"},
        **more,
    }


def entries() -> list[dict[str, object]]:
    """Give entries of every kind about what `program` has: see each name."""
    used, dotted = f"{MODULE}/used", f"{MODULE}/v1.2/dotted"
    return [
        entry("GO-1-FUNCTION", imports=[{"path": used, "symbols": ["Open"]}], aliases=["CVE-1-1", "GHSA-1"]),
        entry("GO-1-INLINED", imports=[{"path": used, "symbols": ["inner"]}]),
        entry("GO-1-GENERIC", imports=[{"path": used, "symbols": ["Reader.Read"]}]),
        entry("GO-1-DOTTED", imports=[{"path": dotted, "symbols": ["Parse"]}]),
        entry("GO-1-WHOLE", imports=[{"path": dotted}]),
        entry("GO-2-DROPPED", imports=[{"path": used, "symbols": ["Unused"]}]),
        entry("GO-3-IDLE", imports=[{"path": f"{MODULE}/idle", "symbols": ["Idle"]}]),
        entry("GO-4-WINDOWS", imports=[{"path": used, "symbols": ["Open"], "goos": ["windows"]}]),
        entry("GO-4-FIXED", events=(("introduced", "0"), ("fixed", "1.2.0")), imports=[{"path": used}]),
        entry("GO-4-WITHDRAWN", imports=[{"path": used}], withdrawn="2026-01-01T00:00:00Z"),
        entry("GO-5-UNREVIEWED", database_specific={"review_status": "UNREVIEWED"}),
        entry("GO-6-REPLACED", "example.com/fork", imports=[{"path": "example.com/fork", "symbols": ["Run"]}],
              events=(("introduced", "0"), ("fixed", "2.0.0"))),
        entry("GO-7-STDLIB", "stdlib", imports=[{"path": "runtime", "symbols": ["mallocgc"]}],
              events=(("introduced", "0"), ("fixed", "99.1.0"))),
    ]  # fmt: skip


def write_database(folder: Path, documents: list[dict[str, object]] | None = None) -> Path:
    """Write a database as a flat directory."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in entries() if documents is None else documents:
        (folder / f"{one['id']}.json").write_text(json.dumps(one))
    return folder


def write_archive(path: Path, documents: list[dict[str, object]] | None = None) -> Path:
    """Write a database as a zip, or as a tar that may be compressed, as the name says."""
    content = {f"data/osv/{one['id']}.json": json.dumps(one).encode() for one in documents or entries()}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in content.items():
                archive.writestr(name, text)
        return path
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, text in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            made.addfile(member, io.BytesIO(text))
    pack = {".gz": gzip.compress, ".zst": zstandard.compress}.get(path.suffix, bytes)
    path.write_bytes(pack(buffer.getvalue()))
    return path


@cache
def program(*flags: str, system: str = "linux", arch: str = "amd64") -> Path:
    """Build a program that has some of the holes; the same arguments give the file made before."""
    key = f"vulnerable-{go_version()}-{system}-{arch}-{abs(hash_of(flags))}"
    place = KEPT / key / "app"
    if place.exists():
        return place
    folder = Path(mkdtemp(dir=_made(KEPT)))
    proxy = ModuleProxy(folder / "proxy")
    proxy.publish(MODULE, VERSION, _PACKAGES)
    second = (
        "package second\n\n//go:noinline\nfunc Run(n int) int { return n + 1 }\n\nfunc init() { println(Run(2)) }\n"
    )
    proxy.publish("example.com/fork", "v1.5.0", {"go.mod": "module example.com/second\n\ngo 1.20\n", "s.go": second})
    source = _made(folder / "src")
    (source / "main.go").write_text(_MAIN)
    (source / "go.mod").write_text(go_mod())
    environment = _environment() | proxy.environment(folder / "cache") | {
        "GOOS": system, "GOARCH": arch, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -modcacherw",
    }  # fmt: skip
    words = [need("go"), "build", "-buildvcs=false", *flags, "-o", str(folder / "app"), "."]
    subprocess.run(words, cwd=source, env=environment, check=True, capture_output=True)
    place.parent.mkdir(exist_ok=True)
    (folder / "app").replace(place)
    return place


def go_mod() -> str:
    """Give the program's go.mod."""
    return (
        f"module example.com/app\n\ngo 1.20\n\nrequire (\n\t{MODULE} {VERSION}\n\texample.com/second v1.0.0\n)\n\n"
        "replace example.com/second => example.com/fork v1.5.0\n"
    )


def hash_of(flags: tuple[str, ...]) -> int:
    """Number some flags, and the sources; the same in each process."""
    import zlib

    return zlib.crc32(repr((flags, _PACKAGES, _MAIN)).encode())


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
