"""The example service: clean, right under both build tags, and as small as it says."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need, need_root

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICE = REPOSITORY / "examples" / "videometa"
TAGS = {"tuned": "grpcnotrace", "baseline": "grpcnotrace,baseline"}
MOST_UNPACKED, MOST_PULLED = 15_500_000, 5_500_000

pytestmark = pytest.mark.slow


def go(*words: str, **environment: str) -> str:
    """Run go in the service's folder; what it says is shown if it fails."""
    done = subprocess.run(
        [need("go"), *words],
        cwd=SERVICE,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_formatted():
    """There is nothing that gofmt would change."""
    listed = subprocess.run([need("gofmt"), "-l", "."], cwd=SERVICE, capture_output=True, text=True, check=True)

    assert listed.stdout == ""


@pytest.mark.parametrize("build", TAGS)
def test_vetted(build):
    """`go vet` and staticcheck have nothing to say."""
    go("vet", f"-tags={TAGS[build]}", "./...")
    said = subprocess.run(
        [need("staticcheck"), f"-tags={TAGS[build]}", "./..."], cwd=SERVICE, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("build", TAGS)
def test_its_own_tests(build):
    """All its tests pass, a real etcd among them that is stopped, restarted and cut off."""
    need("etcd")

    assert "FAIL" not in go("test", f"-tags={TAGS[build]}", "./...")


@pytest.mark.peers
def test_no_race():
    """The race detector finds nothing."""
    need("gcc")
    go("test", "-race", f"-tags={TAGS['tuned']}", "./...", CGO_ENABLED="1")


@pytest.mark.peers
def test_what_takes_long():
    """An instance is back in time after an outage of a minute, and a container of 128 MiB survives 512 large bodies."""
    need("etcd")
    need_root()
    go("test", f"-tags={TAGS['tuned']}", "-run", "BackWithin", "./internal/discovery", LONG="60s")
    go("test", f"-tags={TAGS['tuned']}", "-run", "ManyLarge", "./cmd/videometa", VIDEOMETA_HEAVY="1")


@pytest.mark.peers
def test_breakers_are_compared():
    """A day of each shape gives the table of breakers that is in the README."""
    subprocess.run([need("go"), "test", "-run", "TestTheTableOfBreakers", "."], cwd=SERVICE / "bench", check=True)


@pytest.mark.peers
def test_no_known_vulnerability(tmp_path):
    """Govulncheck finds nothing that is called, by the database whose archive the environment names."""
    archive = os.environ.get("WHERRY_TEST_VULNDB")
    if not archive:
        pytest.skip("WHERRY_TEST_VULNDB does not name an archive of the Go vulnerability database")
    govulncheck = need("govulncheck")
    subprocess.run([need("tar"), "--zstd", "-xf", archive, "-C", str(tmp_path)], check=True)
    for tags in TAGS.values():
        words = [govulncheck, "-db", (tmp_path / "data" / "osv").as_uri(), f"-tags={tags}", "./..."]
        done = subprocess.run(words, cwd=SERVICE, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout + done.stderr


def test_no_package_is_large():
    """A package is a few hundred lines, its tests and what only the baseline has apart."""
    sizes: dict[Path, int] = {}
    for file in SERVICE.rglob("*.go"):
        if not file.name.endswith(("_test.go", "_baseline.go")):
            sizes[file.parent] = sizes.get(file.parent, 0) + len(file.read_text().splitlines())

    assert max(sizes.values()) < 700, sizes


def test_its_image_is_small(tmp_path):
    """What `wherry build` makes of it by its own wherry.toml keeps the figures that its README promises."""
    shell = Shell(tmp_path / "shell")
    (shell.root / "examples").mkdir()
    subprocess.run(["cp", "-r", str(SERVICE), str(shell.root / "examples")], check=True)
    shell.root = shell.root / "examples" / "videometa"

    shell("build")
    shell("inspect", "videometa:dev", "--json")
    (found,) = json.loads(shell.out)["images"]

    assert found["unpacked"] <= MOST_UNPACKED
    assert found["pulled"] <= MOST_PULLED
    assert any("zstd" in layer["mediaType"] for layer in found["layers"])
