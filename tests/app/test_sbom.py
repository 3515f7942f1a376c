"""`wherry sbom`: what it says of a real program, valid by the official schemas, the same bytes each time."""

import base64
import json
import os
import subprocess

import pytest

from built_images import AMD64, file, put_layers, put_platforms
from cli_shell import Shell
from needs import need
from official_schemas import check_cyclonedx, check_spdx
from verified_modules import GoWorld, go_world
from wherry.app.provenance import provenance
from wherry.app.sbom import SbomOptions, embedded_data, sbom
from wherry.app.session import Session
from wherry.base.static import static_base
from wherry.layer.entry import Entry, EntryKind
from wherry.oci.config import RuntimeConfig
from wherry.platform import Platform
from wherry.store.disk import DiskStore
from wherry.trust.sbom import SbomFormat

pytestmark = pytest.mark.slow
LISTED = {
    "var/lib/dpkg/status.d/libc6": b"Package: libc6\nSource: glibc (2.36-9)\nVersion: 2.36-9+deb12u4\n"
    b"Architecture: amd64\nStatus: install ok installed\n",
    "var/lib/dpkg/status.d/libc6.md5sums": b"",
    "var/lib/dpkg/status": b"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
    b"Package: tzdata\nVersion: 1:2\n",
    "lib/apk/db/installed": b"C:Q1\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n\nP:busybox\nV:1.37.0-r9\nA:x86_64\n",
    "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> GoWorld:
    """Modules of a proxy, and a program of them."""
    made = go_world(tmp_path_factory.mktemp("world"), vendor=False)
    for name, words in (("plain", ("-trimpath", "-ldflags=-s -w")), ("vendored", ("-trimpath", "-mod=vendor"))):
        if name == "vendored":
            made.go("mod", "vendor")
        environment = {**os.environ, **made.environment, "CGO_ENABLED": "0", "GOARCH": "amd64"}
        done = subprocess.run(
            [need("go"), "build", "-buildvcs=false", *words, "-o", str(made.root / name), "."],
            cwd=made.app, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def session(world) -> Session:
    """A store with images of it: one of two platforms, one of vendored modules, and wherry's own base."""
    shell = Shell(world.root / "shell")
    store = DiskStore(world.root / "store")
    program = (world.root / "plain").read_bytes()
    link = Entry(path="usr/bin/app", kind=EntryKind.HARDLINK, mode=0o755, target="app/app")
    layers = [[file(path, content) for path, content in LISTED.items()], [file("app/app", program, 0o755), link]]
    config = RuntimeConfig(labels={"org.opencontainers.image.title": "app", "org.opencontainers.image.revision": "abc"})
    one = put_layers(store, layers, config)
    other = put_layers(store, [[file("app/app", program, 0o755)]], config, Platform("linux", "arm64"))
    vendored = put_layers(store, [[file("app", (world.root / "vendored").read_bytes(), 0o755)]])
    with store.writing():
        store.tag("one:dev", one)
        store.tag("both:dev", put_platforms(store, {AMD64: one, Platform("linux", "arm64"): other}))
        store.tag("vendored:dev", vendored)
        store.tag("base:dev", static_base(store, AMD64).descriptor)
    environment = {**shell.environment, **world.environment, "HOME": str(world.root)}
    return Session(store=store.folder, cache=world.root / "cache", cwd=world.app, environment=environment)


def written(session: Session, name: str, kind: str = "cyclonedx", options: SbomOptions | None = None) -> dict:
    """Write one, check it by its schemas, and read it."""
    content = sbom(session, name, SbomFormat(kind), options).content
    (check_spdx if kind == "spdx" else check_cyclonedx)(content.decode())
    return json.loads(content)


def named(document: dict, name: str) -> dict:
    """Give a component with its properties by name."""
    (found,) = [one for one in document["components"] if one["name"] == name]
    return {**found, **{one["name"]: one["value"] for one in found.get("properties", ())}}


def test_modules_of_a_program(session, world):
    """Hash, purl, linked packages and licence of each module; unknown texts stay unknown, with their hash."""
    document = written(session, "one:dev")
    sums = {line.split()[0]: line.split()[2] for line in (world.app / "go.sum").read_text().splitlines()[::2]}

    lib = named(document, "example.com/lib")
    assert lib["purl"] == lib["bom-ref"] == "pkg:golang/example.com/lib@v1.2.0"
    assert lib["go:h1"] == sums["example.com/lib"]
    assert lib["go:packages"] == "example.com/lib"
    assert "licenses" not in lib
    assert lib["wherry:unknown-licence"].startswith("text not recognised: LICENSE sha256:")
    deep = named(document, "example.com/Deep")
    assert deep["purl"] == "pkg:golang/example.com/deep@v0.3.0"
    assert deep["go:h1"] == sums["example.com/Deep"]
    local = named(document, "example.com/local")
    assert "go:h1" not in local
    assert local["wherry:source"] == "a directory, which no checksum covers"
    version = subprocess.run(
        [need("go"), "env", "GOVERSION"], capture_output=True, text=True, check=True
    ).stdout.strip()
    library = named(document, "stdlib")
    assert library["purl"] == f"pkg:golang/stdlib@{version.removeprefix('go')}"
    assert "runtime" in library["go:packages"].split()
    assert library["licenses"] == [{"license": {"id": "BSD-3-Clause"}}]
    assert named(document, "toolchain")["scope"] == "excluded"
    (program,) = [one for one in document["components"] if one["name"] == "/app/app" and one["type"] == "application"]
    uses = next(one["dependsOn"] for one in document["dependencies"] if one["ref"].startswith("program:/app/app#"))
    assert lib["purl"] in uses
    assert library["purl"] in uses
    assert program["hashes"][0]["alg"] == "SHA-256"


def test_packages_and_files(session):
    """Packages of Debian, distroless and Alpine, and every file; removed packages are none."""
    document = written(session, "one:dev")
    addresses = {one.get("purl", "") for one in document["components"]}

    assert "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12" in addresses
    assert "pkg:deb/debian/tzdata@1%3A2?arch=amd64&distro=debian-12" in addresses
    assert "pkg:apk/debian/musl@1.2.5-r0?arch=x86_64&distro=debian-12" in addresses
    assert not any("gone" in address for address in addresses)
    files = {one["name"] for one in document["components"] if one["type"] == "file"}
    assert {"/app/app", "/usr/bin/app", "/etc/os-release", *(f"/{path}" for path in LISTED)} == files
    assert "file" not in {
        one["type"] for one in written(session, "one:dev", options=SbomOptions(files=False))["components"]
    }


def test_the_base_names_its_data(session):
    """Certificates and zones of wherry's base have the version that they were made of."""
    document = written(session, "base:dev")

    for known in embedded_data():
        assert named(document, known.name)["version"] == known.version
    assert named(document, "certifi")["licenses"] == [{"license": {"id": "MPL-2.0"}}]


def test_index_and_platforms(session):
    """An index is described with all its images; modules of both stand once."""
    document = written(session, "both:dev")
    images = [one for one in document["components"] if one["type"] == "container"]

    assert {one["purl"].partition("?")[2] for one in images} == {"arch=amd64", "arch=arm64"}
    assert named(document, "example.com/lib")["version"] == "v1.2.0"
    alone = written(session, "both:dev", options=SbomOptions(platform="linux/arm64"))
    assert alone["metadata"]["component"]["purl"].endswith("?arch=arm64")
    spdx = written(session, "both:dev", "spdx")
    assert [one["relationshipType"] for one in spdx["relationships"]].count("VARIANT_OF") == 2


def test_spdx(session):
    """SPDX says the same, and is valid; a text that is not known is NOASSERTION with its hash."""
    document = written(session, "one:dev", "spdx")
    packages = {one["name"]: one for one in document["packages"]}

    lib = packages["example.com/lib"]
    assert lib["licenseDeclared"] == "NOASSERTION"
    assert "LICENSE sha256:" in lib["licenseComments"]
    assert any(one["comment"].startswith("go:h1: h1:") for one in lib["annotations"])
    assert packages["stdlib"]["licenseDeclared"] == "BSD-3-Clause"
    assert [one["relationshipType"] for one in document["relationships"]].count("BUILD_TOOL_OF") == 1
    assert {one["fileName"] for one in document["files"]} >= {"./app/app", "./usr/bin/app"}


def test_the_same_image_gives_the_same_bytes(session, tmp_path):
    """Neither time nor cache nor a second run changes a byte."""
    for kind in SbomFormat:
        first = sbom(session, "both:dev", kind)
        other = session.derived()
        other.cache_folder = tmp_path / f"cache-{kind}"
        assert sbom(other, "both:dev", kind) == first


def test_vendored_programs_have_no_sums(session, world):
    """A program that was built from vendor/ does not tell hashes, and none is made up; they can be given."""
    lib = named(written(session, "vendored:dev"), "example.com/lib")
    assert "go:h1" not in lib
    assert lib["wherry:h1"].startswith("NOASSERTION")
    assert "wherry:h1" not in named(written(session, "one:dev"), "example.com/lib")

    sums = {("example.com/lib", "v1.2.0"): "h1:given"}
    given = written(
        session, "vendored:dev", options=SbomOptions(sums=sums, proofs={("example.com/lib", "v1.2.0"): "x"})
    )
    assert named(given, "example.com/lib")["go:h1"] == "h1:given"
    assert named(given, "example.com/lib")["wherry:checksum-database"] == "x"


def test_provenance(session, world):
    """Source, modules with their hash in both forms, and toolchain; deterministic, and an index names its platforms."""
    statement = json.loads(provenance(session, "one:dev"))
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"][0]["digest"]["sha256"]
    definition = statement["predicate"]["buildDefinition"]
    found = {one["uri"]: one for one in definition["resolvedDependencies"]}
    h1 = next(line.split()[2] for line in (world.app / "go.sum").read_text().splitlines() if "lib v1.2.0 " in line)
    lib = found["pkg:golang/example.com/lib@v1.2.0"]
    assert lib["annotations"]["h1"] == h1
    assert lib["digest"]["goModuleH1"] == base64.b64decode(h1.removeprefix("h1:")).hex()
    assert found["git+local"]["digest"] == {"gitCommit": "abc"}
    assert "digest" not in found["pkg:golang/example.com/local@v0.0.0"]
    assert provenance(session, "one:dev") == provenance(session, "one:dev")
    both = json.loads(provenance(session, "both:dev"))["predicate"]["buildDefinition"]
    assert both["externalParameters"]["platforms"] == ["linux/amd64", "linux/arm64"]
    alone = json.loads(provenance(session, "both:dev", platform="linux/amd64"))
    assert alone["subject"] == statement["subject"]


def test_command(session, world):
    """The command writes the same bytes to stdout and to a file."""
    shell = Shell(world.root / "shell")
    shell.environment |= {**world.environment, "WHERRY_STORE": str(session.store_folder)}
    printed = shell("sbom", "one:dev", "--format", "cyclonedx", "--no-files")
    assert len(printed) == 1
    assert shell("provenance", "one:dev", "--predicate")[0] in shell("provenance", "one:dev")[0]
    shell("sbom", "one:dev", "--format", "cyclonedx", "--no-files", "-o", "bom.json")
    assert (shell.root / "bom.json").read_text() == printed[0] + "\n"
