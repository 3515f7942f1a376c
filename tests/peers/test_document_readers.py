"""Others read our documents, and agree: syft and osv-scanner SBOMs, go-vex VEX, oras what is attached."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from built_images import file, put_layers
from cli_shell import Shell
from needs import need
from registries import distribution
from vulnerable import program, write_archive, write_database
from wherry.trust.sbom import SbomFormat

pytestmark = [pytest.mark.peers, pytest.mark.slow]
GO_VEX = "github.com/openvex/go-vex@v0.2.9"
MODULES = {
    "pkg:golang/example.com/hole@v1.2.0", "pkg:golang/example.com/fork@v1.5.0", "pkg:golang/example.com/app",
}  # fmt: skip
"""Of the program, without what Go brings."""
_READER = """package main

import (
	"fmt"
	"os"

	"github.com/openvex/go-vex/pkg/vex"
)

func main() {
	content, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	document, err := vex.Parse(content)
	if err != nil {
		panic(err)
	}
	for _, statement := range document.Statements {
		if err := statement.Validate(); err != nil {
			panic(err)
		}
		for _, product := range statement.Products {
			for _, part := range product.Subcomponents {
				fmt.Println(statement.Vulnerability.Name, statement.Status, part.ID)
			}
		}
	}
}
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A store with an image of a program with holes, its SBOMs, and a database."""
    made = Shell(tmp_path_factory.mktemp("readers"))
    content = program("-trimpath", "-ldflags=-s -w").read_bytes()
    made.store.tag("app:dev", put_layers(made.store, [[file("app", content, 0o755)]]))
    for form in SbomFormat:
        made("sbom", "app:dev", "--format", form.value, "-o", f"{form.value}.json", "--no-licenses")
    (made.root / "app").write_bytes(content)
    (made.root / "app").chmod(0o755)
    write_database(made.root / "osv")
    return made


def output(shell: Shell, *words: str, code: int = 0, **more: str) -> str:
    """Run a peer, which may ask nobody whether there is a newer one of it."""
    environment = {
        **os.environ, "HOME": str(shell.root), "SYFT_CHECK_FOR_APP_UPDATE": "false", **more,
    }  # fmt: skip
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=shell.root, env=environment)
    assert done.returncode == code, done.stderr
    return done.stdout


def _optional(program: str) -> str:
    """Give the path of a peer that cannot be built everywhere."""
    found = shutil.which(program, path=str(Path(need("oras")).parent))
    if found is None:
        pytest.skip(f"{program} could not be built here (scripts/setup-peers.sh)")
    return found


def modules_of(purls: Iterator[str]) -> set[str]:
    """Keep what is a module, without its version where that is not known."""
    found = {purl.lower().removesuffix("@(devel)") for purl in purls if purl.startswith("pkg:golang/")}
    return {purl for purl in found if not purl.startswith(("pkg:golang/stdlib", "pkg:golang/toolchain"))}


@pytest.mark.parametrize("form", SbomFormat)
def test_syft_reads_an_sbom(shell: Shell, form: SbomFormat):
    """Each module of ours with its version; and the same ones that syft finds in the program itself."""
    read = json.loads(output(shell, need("syft"), "convert", f"{form.value}.json", "-o", "json"))
    own = json.loads(output(shell, need("syft"), "scan", "file:app", "-o", "json"))

    assert modules_of(one["purl"] for one in read["artifacts"]) == MODULES
    assert modules_of(one["purl"] for one in own["artifacts"]) == MODULES


@pytest.mark.parametrize("form", SbomFormat)
def test_osv_scanner_finds_the_same(shell: Shell, form: SbomFormat):
    """In our SBOM, offline: each hole of a required module, and the one of Windows, since an SBOM has no system.

    Of a module in SPDX osv-scanner 2.6 names the last element only.
    """
    place = shell.root / "local" / "osv-scalibr" / "Go" / "all.zip"
    place.parent.mkdir(parents=True, exist_ok=True)
    write_archive(place)
    words = "scan", "source", "--offline", "--all-vulns", "--no-call-analysis=go", "--format", "json", "-L"
    local = {"OSV_SCANNER_LOCAL_DB_CACHE_DIRECTORY": str(shell.root / "local")}
    name = {"spdx": "app.spdx.json", "cyclonedx": "app.cdx.json"}[form.value]
    shutil.copy(shell.root / f"{form.value}.json", shell.root / name)
    read = json.loads(output(shell, _optional("osv-scanner"), *words, name, code=1, **local))
    theirs = {
        (hole["id"], package["package"]["name"].rpartition("/")[2])
        for result in read["results"]
        for package in result["packages"]
        for hole in package["vulnerabilities"]
    }
    shell("scan", "app:dev", "--db", "osv", "--json")
    ours = {(one["id"], one["module"].rpartition("/")[2]) for one in json.loads(shell.out)["findings"]}

    assert theirs - ours == {("GO-4-WINDOWS", "hole")}
    assert ours - theirs == set()


def test_oras_discovers_what_is_attached(shell: Shell, tmp_path: Path):
    """By its artifact type, through the tag that stands for the referrers API where a registry has none."""
    with distribution(tmp_path / "registry") as running:
        name = f"{running.host}/app:1"
        shell("push", "app:dev", name)
        for kind, form in (("spdxjson", "spdx"), ("cyclonedx", "cyclonedx")):
            words = "--type", kind, "--attach", "referrers", "--predicate", f"{form}.json"
            shell("attest", f"docker://{name}", *words)
        found = json.loads(output(shell, need("oras"), "discover", "--plain-http", "--format", "json", name))

        kinds = {one["artifactType"] for one in found["referrers"]}
        assert kinds == {"application/spdx+json", "application/vnd.cyclonedx+json"}
        (spdx,) = [one for one in found["referrers"] if one["artifactType"] == "application/spdx+json"]
        output(shell, need("oras"), "pull", "--plain-http", "-o", str(tmp_path / "pulled"), spdx["reference"])


def test_go_vex_reads_vex(shell: Shell, tmp_path: Path):
    """The library of OpenVEX's own tools takes each statement, with the status that our scan has."""
    shell("scan", "app:dev", "--db", "osv", "--format", "openvex")
    (tmp_path / "vex.json").write_text(shell.out)
    shell("scan", "app:dev", "--db", "osv", "--json")
    expected = {(one["id"], one["status"], one["module"]) for one in json.loads(shell.out)["findings"]}
    (tmp_path / "main.go").write_text(_READER)
    (tmp_path / "go.mod").write_text("module reader\n\ngo 1.24\n")
    environment = {**os.environ, "GOFLAGS": "-mod=mod -modcacherw", "CGO_ENABLED": "0"}
    for words in (("get", GO_VEX), ("build", "-o", "reader", ".")):
        subprocess.run([need("go"), *words], check=True, capture_output=True, cwd=tmp_path, env=environment)
    lines = output(shell, str(tmp_path / "reader"), str(tmp_path / "vex.json")).splitlines()
    read = {(name, status, purl) for name, status, purl in map(str.split, lines)}

    assert len(read) == len(expected)
    assert {(name, status) for name, status, _ in read} == {(name, status) for name, status, _ in expected}
    assert {purl.removeprefix("pkg:golang/").partition("@")[0] for _, _, purl in read} == {one[2] for one in expected}
