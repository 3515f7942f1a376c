"""docs/how-to/from-ko.md, row by row: a ko user changes one word."""

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli_shell import Shell
from engines import Engine, running
from needs import need
from registries import distribution
from wherry.analysis.mapped import map_elf

pytestmark = pytest.mark.slow
PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "from-ko.md"
ROWS: dict[str, Callable[["KoUser"], None]] = {}


class KoUser(Shell):
    """A module, a manifest, KO_DOCKER_REPO, and a registry that takes anything."""

    def __init__(self, root: Path, host: str) -> None:
        super().__init__(root)
        self.repo = f"{host}/team"
        self.environment["KO_DOCKER_REPO"] = self.repo
        self.write("go.mod", "module example.com/app\n\ngo 1.21\n")
        self.write("cmd/api/main.go", 'package main\n\nvar version = "none"\n\nfunc main() { println(version) }\n')
        self.write("k8s/pod.yaml", "kind: Pod\nmetadata: {labels: {app: api}}\nimage: ko://example.com/app/cmd/api\n")

    def build(self, *words: str, code: int = 0) -> list[str]:
        """Build the program, named by its last word."""
        return self("build", "-B", "--no-vcs", *words, "./cmd/api", code=code)

    def config(self, name: str = "api:latest") -> dict[str, object]:
        """The config of what was pushed."""
        return json.loads(crane("config", f"{self.repo}/{name}"))

    def tags(self) -> set[str]:
        """The tags that the registry has of the program."""
        return set(crane("ls", f"{self.repo}/api").splitlines())

    def ran(self) -> str:
        """What the program that was pushed prints."""
        words = [sys.executable, "-m", "wherry", "run", "-q", f"{self.repo}/api"]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=True, timeout=300)
        return done.stderr.strip()

    def recipe(self) -> dict[str, object]:
        """How the program that was pushed was made."""
        return json.loads(self.config()["config"]["Labels"]["dev.wherry.recipe"])


def crane(*arguments: str) -> str:
    """Ask crane."""
    done = subprocess.run([need("crane"), *arguments], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip()


def row(text: str) -> Callable[[Callable[[KoUser], None]], Callable[[KoUser], None]]:
    """Say which row of the page a function tests."""

    def note(function: Callable[[KoUser], None]) -> Callable[[KoUser], None]:
        ROWS[text] = function
        return function

    return note


@pytest.fixture(scope="module")
def host(tmp_path_factory) -> Iterator[str]:
    """A registry for all rows; each has a repository of its own."""
    with distribution(tmp_path_factory.mktemp("registry")) as started:
        yield started.host


@pytest.fixture
def ko(tmp_path, host, request) -> KoUser:
    """A ko user with nothing built."""
    need("go")
    number = abs(hash(request.node.name)) % 10**9
    return KoUser(tmp_path / "home", f"{host}/r{number}")


def rows_of_page() -> list[str]:
    """The first cells of the page's tables."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [line.split(" | ")[0].removeprefix("| ") for line in lines if not re.match(r"\| (ko|key) \|", line)]


def test_every_row_has_a_test():
    """And there is no test of a row that the page lacks."""
    assert sorted(ROWS) == sorted(rows_of_page())


@pytest.mark.parametrize("text", rows_of_page())
def test_row(ko, text):
    """What the page says of it holds."""
    ROWS[text](ko)


@row("`ko build`, `ko publish`")
def _(ko: KoUser) -> None:
    assert ko.build()[0].startswith(f"{ko.repo}/api:latest@sha256:")
    assert ko.tags() == {"latest"}
    del ko.environment["KO_DOCKER_REPO"]
    assert ko("build", "./cmd/api")[0].startswith("api:latest@sha256:")


@row("`ko resolve`, `ko apply`, `ko create` with `-f`, `-R`, `-l`")
def _(ko: KoUser) -> None:
    resolved = ko("resolve", "-B", "-R", "-f", "k8s", "-l", "app=api", "--no-vcs")
    assert resolved[-1].startswith(f"image: {ko.repo}/api@sha256:")
    assert ko("resolve", "-B", "-f", "k8s", "-l", "app!=api") == []
    ko("resolve", "-f", "https://registry.example/pod.yaml", code=66)
    program = ko.root / "bin" / "kubectl"
    ko.write("bin/kubectl", '#!/bin/sh\necho "$@"; cat\n')
    program.chmod(0o755)
    ko.environment["PATH"] = f"{program.parent}{os.pathsep}{ko.environment['PATH']}"
    for verb in ("apply", "create"):
        said = ko(verb, "-B", "-f", "k8s", "--no-vcs", "--", "--namespace=foo")
        assert said == [f"{verb} -f - --namespace=foo", *resolved]


@row("`ko run ./cmd/api`")
def _(ko: KoUser) -> None:
    ko("build", "-t", "api:dev", "./cmd/api")
    done = subprocess.run(
        [sys.executable, "-m", "wherry", "run", "api:dev"],
        env=ko.environment, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert "none" in done.stderr


@row("`ko login`")
def _(ko: KoUser) -> None:
    ko("login", "localhost:1", "-u", "ann", "--password-stdin", stdin="secret\n", code=69)


@row("`ko delete`")
def _(ko: KoUser) -> None:
    ko("delete", "-f", "k8s", code=64)


@row("`ko version`")
def _(ko: KoUser) -> None:
    assert subprocess.check_output([sys.executable, "-m", "wherry", "--version"], timeout=60).startswith(b"wherry ")


@row("`./cmd/api`, `example.com/app/cmd/api`, `ko://example.com/app/cmd/api`")
def _(ko: KoUser) -> None:
    words = ("./cmd/api", "example.com/app/cmd/api", "ko://example.com/app/cmd/api")
    assert len({ko("build", "-B", "--no-vcs", word)[0] for word in words}) == 1


@row("`ko://IMPORT/PATH` in YAML")
def _(ko: KoUser) -> None:
    for word in ("ko://example.com/app/cmd/api", "wherry://./cmd/api"):
        ko.write("k8s/pod.yaml", f"image: {word}\n")
        assert ko("resolve", "-B", "-f", "k8s/pod.yaml")[0].startswith(f"image: {ko.repo}/api@sha256:")


@row("`KO_DOCKER_REPO`")
def _(ko: KoUser) -> None:
    (name,) = ko("build", "./cmd/api")
    assert re.match(rf"{re.escape(ko.repo)}/api-[0-9a-f]{{32}}:latest@sha256:", name)


@row("`-B`, `-P`, `--bare`")
def _(ko: KoUser) -> None:
    for option, path in {"-B": "/api", "-P": "/example.com/app/cmd/api", "--bare": "", "--bare=true": ""}.items():
        assert ko("build", option, "./cmd/api")[0].startswith(f"{ko.repo}{path}:latest@")


@row("`-t v1,latest`")
def _(ko: KoUser) -> None:
    ko.build("-t", "v1,latest", "-t", "v2")
    assert ko.tags() == {"v1", "latest", "v2"}
    resolved = ko("resolve", "-B", "-f", "k8s", "-t", "v3,v4")
    assert f"{ko.repo}/api:v3@sha256:" in resolved[-1]
    assert {"v3", "v4"} <= ko.tags()


@row("`--tags v1,latest`")
def _(ko: KoUser) -> None:
    ko.build("--tags", "v1,latest", code=64)
    assert "-t v1,latest" in ko.err
    assert "--build-tags v1,latest" in ko.err
    ko("resolve", "-f", "k8s", "--tags", "v1", code=64)
    assert ko.tags() == set()
    ko.build("--build-tags", "v1,extra")
    assert ko.tags() == {"latest"}
    assert "-tags=v1,extra" in str(ko.recipe()["go"]["flags"])
    del ko.environment["KO_DOCKER_REPO"]
    ko("build", "--tags", "v1", "./cmd/api")
    ko.write(".ko.yaml", "defaultPlatforms: [linux/amd64]\n")
    ko("build", "--tags", "v1", "./cmd/api", code=64)


@row("`--tag-only`")
def _(ko: KoUser) -> None:
    assert ko.build("--tag-only", "-t", "v1") == [f"{ko.repo}/api:v1"]
    assert ko("resolve", "-B", "-f", "k8s", "-t", "v1", "--tag-only")[-1] == f"image: {ko.repo}/api:v1"


@row("`--push=false`")
def _(ko: KoUser) -> None:
    (name,) = ko.build("--push=false")
    assert name.startswith(f"{ko.repo}/api:latest@sha256:")
    assert ko("resolve", "-B", "-f", "k8s", "--push=false")[-1].startswith(f"image: {ko.repo}/api@sha256:")
    assert ko.tags() == set()
    ko.build("--push=true")
    assert ko.tags() == {"latest"}


@row("`KO_DOCKER_REPO=ko.local`, `-L`, `--local`")
def _(ko: KoUser) -> None:
    for words in (("-L",), ("--local=true",), ()):
        folder = ko.root.parent / f"engine{len(words)}{'true' in str(words)}"
        folder.mkdir()
        with running(Engine(), folder) as endpoint:
            ko.environment["DOCKER_HOST"] = endpoint.host
            if not words:
                ko.environment["KO_DOCKER_REPO"] = "ko.local"
            assert ko.build(*words)[0].startswith("ko.local/api:latest@")
    assert ko.tags() == set()


@row("`KO_DOCKER_REPO=kind.local`")
def _(ko: KoUser) -> None:
    ko.environment["KO_DOCKER_REPO"] = "kind.local"
    ko.build(code=64)
    assert "kind load docker-image" in ko.err


@row("`--image-refs FILE`")
def _(ko: KoUser) -> None:
    (name,) = ko.build("--image-refs", "refs.txt")
    assert (ko.root / "refs.txt").read_text() == f"{ko.repo}/api@{name.partition('@')[2]}\n"
    ko("resolve", "-B", "-f", "k8s", "--image-refs", "more.txt", "-t", "v1", "--no-vcs")
    assert (ko.root / "more.txt").read_text() == f"{ko.repo}/api:v1@{name.partition('@')[2]}\n"


@row("`--oci-layout-path DIR`")
def _(ko: KoUser) -> None:
    ko.build("--oci-layout-path", "layout")
    assert (ko.root / "layout" / "oci-layout").is_file()
    assert ko.tags() == {"latest"}


@row("`--tarball FILE`")
def _(ko: KoUser) -> None:
    ko.build("--tarball", "api.tar", "--push=false")
    with tarfile.open(ko.root / "api.tar") as archive:
        assert "manifest.json" in archive.getnames()
    assert ko.tags() == set()


@row("`--insecure-registry`")
def _(ko: KoUser) -> None:
    ko.build("--insecure-registry")
    assert ko.tags() == {"latest"}


@row("`--platform`")
def _(ko: KoUser) -> None:
    ko.build("--platform", "linux/arm64")
    assert ko.config()["architecture"] == "arm64"


@row("`--ldflags`")
def _(ko: KoUser) -> None:
    ko.build("--ldflags", "-X main.version=2", "--ldflags", "-X main.other=3")
    assert ko.ran() == "2"


@row("`--disable-optimizations`")
def _(ko: KoUser) -> None:
    ko.build("--disable-optimizations", "--tarball", "api.tar", "--debug-info", "api.debug")
    assert "-gcflags=all=-N -l" in str(ko.recipe()["go"]["flags"])
    ko("size", f"{ko.repo}/api", "--sections")
    assert any("debug_info" in line or "DWARF" in line for line in ko.out.splitlines())
    assert map_elf(ko.root / "api.debug")


@row("`--debug`")
def _(ko: KoUser) -> None:
    ko.build("--debug", code=64)
    assert "--disable-optimizations" in ko.err


@row("`--image-label`, `--image-annotation`, `--image-user`")
def _(ko: KoUser) -> None:
    ko.build("--image-label", "a=1,b=2", "--image-label", "c=3", "--image-annotation", "d=4", "--image-user", "1000:5")
    config = ko.config()["config"]
    assert {"a": "1", "b": "2", "c": "3"}.items() <= config["Labels"].items()
    assert config["User"] == "1000:5"
    assert json.loads(crane("manifest", f"{ko.repo}/api"))["annotations"]["d"] == "4"


@row("`--sbom=none`")
def _(ko: KoUser) -> None:
    ko.build("--sbom=none")
    ko.build("--sbom", "unheard-of", code=64)


@row("`--sbom-dir`")
def _(ko: KoUser) -> None:
    ko.build("--sbom-dir", "out", code=64)
    assert "SBOM" in ko.err


@row("`-j N`, `--jobs N`")
def _(ko: KoUser) -> None:
    assert ko.build("-j", "1") == ko.build("--jobs=4")


@row("`-v`, `--verbose`")
def _(ko: KoUser) -> None:
    for option in ("-v", "--verbose"):
        ko.build(option, "--no-cache")
        assert re.search(r"go\b.* build ", ko.err)


@row("`KO_DEFAULTBASEIMAGE`, `KO_DEFAULTPLATFORMS`, `KO_CONFIG_PATH`")
def _(ko: KoUser) -> None:
    ko.environment |= {"KO_DEFAULTBASEIMAGE": "scratch", "KO_DEFAULTPLATFORMS": "linux/arm64"}
    ko.build()
    assert ko.config()["architecture"] == "arm64"
    assert len(ko.config()["rootfs"]["diff_ids"]) == 1
    del ko.environment["KO_DEFAULTPLATFORMS"]
    ko.write("settings/.ko.yaml", "defaultPlatforms: [linux/arm/v7]\n")
    ko.environment["KO_CONFIG_PATH"] = "settings"
    ko.build()
    assert ko.config()["architecture"] == "arm"


@row("`KO_DATA_PATH`, `kodata/`")
def _(ko: KoUser) -> None:
    ko.write("cmd/api/kodata/page.html", "hello")
    ko.environment["KO_DEFAULTBASEIMAGE"] = "scratch"
    ko.build()
    assert "KO_DATA_PATH=/var/run/ko" in ko.config()["config"]["Env"]
    assert any("/var/run/ko/page.html" in line for line in ko("inspect", f"{ko.repo}/api", "--files", "50"))


@row("`SOURCE_DATE_EPOCH`")
def _(ko: KoUser) -> None:
    ko.environment["SOURCE_DATE_EPOCH"] = "1767323045"
    ko.build()
    assert ko.config()["created"] == "2026-01-02T03:04:05Z"


@row("`KO_DATA_DATE_EPOCH`, `KOCACHE`")
def _(ko: KoUser) -> None:
    ko.write("cmd/api/kodata/page.html", "hello")
    before = ko.build()
    ko.environment |= {"KO_DATA_DATE_EPOCH": "5", "KOCACHE": str(ko.root / "kocache")}
    assert ko.build() == before
    assert not (ko.root / "kocache").exists()


@row("`defaultBaseImage`, `baseImageOverrides`")
def _(ko: KoUser) -> None:
    ko.write(".ko.yaml", "defaultBaseImage: static\nbaseImageOverrides:\n  example.com/app/cmd/api: scratch\n")
    ko.build()
    assert len(ko.config()["rootfs"]["diff_ids"]) == 1


@row("`defaultPlatforms`")
def _(ko: KoUser) -> None:
    ko.write(".ko.yaml", "defaultPlatforms: [linux/arm64]\n")
    ko.build()
    assert ko.config()["architecture"] == "arm64"


@row("`builds[].dir`, `main`, `id`")
def _(ko: KoUser) -> None:
    for words in (
        "main: ./cmd/api",
        "dir: cmd, main: ./api",
        "main: ./cmd/api/main.go",
        "main: example.com/app/cmd/api",
    ):
        ko.write(".ko.yaml", f"builds:\n- {{id: api, {words}, flags: [-tags=found]}}\n")
        ko.build()
        assert "-tags=found" in str(ko.recipe()["go"]["flags"])
    ko.write(".ko.yaml", "builds:\n- main: ./cmd/nowhere\n")
    ko.build(code=78)
    assert "line 2" in ko.err


@row("`env`, `defaultEnv`")
def _(ko: KoUser) -> None:
    ko.write(".ko.yaml", "defaultEnv: [GOFLAGS=-tags=here]\n")
    ko.build()
    assert "here" in str(ko.recipe()["go"])
    ko.write(".ko.yaml", "defaultEnv: [HOME=x]\n")
    ko.build(code=78)
    assert "HOME" in ko.err


@row("`ldflags`, `defaultLdflags`")
def _(ko: KoUser) -> None:
    ko.environment["VERSION"] = "7"
    ko.write(".ko.yaml", "defaultLdflags: ['-X main.version={{.Env.VERSION}}']\n")
    ko.build()
    assert ko.ran() == "7"


@row("`flags`, `defaultFlags`")
def _(ko: KoUser) -> None:
    ko.write(".ko.yaml", "defaultFlags: [-v, -mod=readonly, -tags, netgo, '-gcflags=all=-l', -trimpath]\n")
    ko.build()
    flags = str(ko.recipe()["go"]["flags"])
    assert all(word in flags for word in ("-mod=readonly", "-tags=netgo", "-gcflags=all=-l", "-trimpath"))
    for wrong in ("-mod=nothing", "-race"):
        ko.write(".ko.yaml", f"defaultFlags: [{wrong}]\n")
        ko.build(code=78)
        assert wrong in ko.err


@row('`{{.Env.NAME}}`, `{{index .Env "NAME"}}`, `{{.Git.…}}`, `{{.Date}}` in `flags` and `ldflags`')
def _(ko: KoUser) -> None:
    ko.environment["WORD"] = "expanded"
    for template in ("{{.Env.WORD}}", '{{index .Env "WORD"}}'):
        ko.write(".ko.yaml", f"defaultFlags: ['-tags={template}']\n")
        ko.build()
        assert "-tags=expanded" in str(ko.recipe()["go"]["flags"])
    ko.write(".ko.yaml", "defaultFlags: ['-tags={{.GoEnv.GOOS}}']\n")
    ko.build(code=64)
    assert "GoEnv" in ko.err


@row("a key that ko does not know")
def _(ko: KoUser) -> None:
    ko.write(".ko.yaml", "nonsense: 3\n")
    ko.build()
    assert "nonsense" in ko.err


@row("`linux_capabilities`")
def _(ko: KoUser) -> None:
    ko.write(".ko.yaml", "builds:\n- main: ./cmd/api\n  linux_capabilities: [net_raw]\n")
    ko.build(code=78)
    assert "linux_capabilities" in ko.err
