"""Bases of Debian's own archive: assembled, run, and their packages known to dpkg's tools."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need
from wherry.app.debian import debian_archives
from wherry.errors import InvalidUsage

pytestmark = pytest.mark.peers
PROGRAM = """
package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"time"
)

func main() {
	pool, err := x509.SystemCertPool()
	_, zone := time.LoadLocation("Europe/Paris")
	release, _ := os.ReadFile("/etc/os-release")
	fmt.Println(pool.Equal(x509.NewCertPool()), err, zone, len(release) > 0, os.Getuid())
}
"""


@pytest.fixture
def wherry(tmp_path) -> Shell:
    """A module, where a mirror of Debian is known."""
    try:
        debian_archives({})
    except InvalidUsage:
        pytest.skip("no mirror of Debian is known on this machine")
    shell = Shell(tmp_path)
    shell.module()
    shell.write("main.go", PROGRAM)
    return shell


def test_a_program_on_debians_packages(wherry):
    """It finds certificates, zones and its account; a locked base gives the same image offline."""
    wherry("lock", "deb:static")
    wherry("build", "-q", "--no-vcs", "--base", "deb:static", "-t", "a:1")
    first = wherry.out
    done = subprocess.run(
        [sys.executable, "-m", "wherry", "run", "a:1"],
        env={**wherry.environment},
        cwd=wherry.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "false <nil> <nil> true 65532\n"

    wherry("build", "-q", "--no-vcs", "--no-cache", "--offline", "--base", "deb:static", "-t", "a:2")
    assert wherry.out.rpartition("@")[2] == first.rpartition("@")[2]


def test_the_release_is_what_gpgv_accepts(wherry, tmp_path):
    """The oracle: gpgv with Debian's keyring takes the release file that we took."""
    gpgv = need("gpgv")
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    wherry("lock", "deb:static")
    for file in (wherry.root / "cache/debian/releases").rglob("InRelease"):
        subprocess.run([gpgv, "--keyring", keyring, str(file)], check=True, capture_output=True)


@pytest.mark.parametrize("architecture", ["arm64", "arm/v7", "ppc64le", "s390x", "riscv64"])
def test_other_architectures(wherry, architecture):
    """Each has a base with the same packages."""
    code = wherry.ended("base", "build", "deb:base-nossl", "-t", "b:1", "--platform", f"linux/{architecture}")
    if code == 65 and "out of step" in wherry.err:
        pytest.skip("the mirror's indexes are not those that its release names")
    assert not code, wherry.err
    wherry("analyze", "b:1")

    assert "0 B wasted" in wherry.out


CGO = """
package main

// #cgo LDFLAGS: -l:libsqlite3.so.0
// extern const char *sqlite3_libversion(void);
import "C"

func main() { println(C.GoString(C.sqlite3_libversion())) }
"""


def test_a_cgo_service_gets_what_it_needs(wherry):
    """`deps` proposes the base, `build` takes it, and the program runs on it with the library and nothing else."""
    if not list(Path("/usr/lib").glob("*/libsqlite3.so.0")):
        pytest.skip("libsqlite3-0 is not installed")
    need("gcc")
    wherry.write("main.go", CGO)
    wherry.environment["CGO_ENABLED"] = "1"
    subprocess.run(["go", "build", "-o", "c", "."], cwd=wherry.root, env=wherry.environment, check=True)
    wherry("deps", "./c", "--emit", "base")
    assert '"libsqlite3-0",' in wherry.out
    wherry.write("wherry.toml", wherry.out)
    wherry("build", "-q", "--no-vcs", "-t", "c:1")
    done = subprocess.run(
        [sys.executable, "-m", "wherry", "run", "c:1"],
        env={**wherry.environment},
        cwd=wherry.root,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr.startswith("3.")
    wherry("deps", "c:1", "--emit", "base")
    assert '"libsqlite3-0",' in wherry.out
