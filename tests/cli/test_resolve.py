"""resolve, apply, and what else a ko user brings along, on a real registry."""

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from cli_shell import Shell
from needs import need
from registries import distribution
from wherry.app.build.ko import KoNaming
from wherry.store.images import images_of

pytestmark = pytest.mark.slow

MANIFEST = """\
# the service
apiVersion: v1
kind: Pod
metadata: {name: api}
spec:
  containers:
  - image: ko://example.com/app/cmd/api   # by import path
  - image: "wherry://./cmd/worker"
  initContainers: [{image: 'ko://example.com/app/cmd/api'}]
"""


@pytest.fixture
def registry(tmp_path: Path):
    """A registry that takes anything."""
    with distribution(tmp_path / "registry") as running:
        yield running


@pytest.fixture
def wherry(tmp_path: Path) -> Shell:
    """A module with two programs, and a manifest that names them."""
    need("go")
    shell = Shell(tmp_path / "home")
    shell.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    for name in ("api", "worker"):
        shell.write(f"cmd/{name}/main.go", f'package main\n\nfunc main() {{ println("{name}") }}\n')
    shell.write("k8s/pod.yaml", MANIFEST)
    return shell


def crane(*arguments: str) -> str:
    """Ask crane."""
    return subprocess.run([need("crane"), *arguments], capture_output=True, text=True, check=True).stdout.strip()


def test_resolve(wherry, registry):
    """Each program is built and pushed once; the file is the same but for the references."""
    wherry.environment["KO_DOCKER_REPO"] = f"{registry.host}/team"

    wherry("resolve", "-f", "k8s/", "--no-vcs", "--platform", "linux/amd64")

    naming = KoNaming(f"{registry.host}/team", "")
    images = {}
    for name in ("api", "worker"):
        repository = naming.repository(f"example.com/app/cmd/{name}")
        images[name] = f"{repository}@{crane('digest', repository)}"
        assert json.loads(crane("config", images[name]))["config"]["Entrypoint"] == [f"/app/{name}"]
    assert wherry.out == MANIFEST.replace("ko://example.com/app/cmd/api", images["api"]).replace(
        "wherry://./cmd/worker", images["worker"]
    )


def test_budgets_hold_here_too(wherry, registry):
    """A program over its budget is not pushed, and no manifest is printed."""
    wherry.write("wherry.toml", '[budgets]\nunpacked = "1kB"\n')
    wherry("resolve", "-f", "k8s/", "--platform", "linux/amd64", "--repo", f"{registry.host}/team", code=1)

    assert wherry.out == ""
    assert "more than the budget of 1000" in wherry.err
    assert crane("catalog", registry.host) == ""


def test_tags_and_names(wherry, registry):
    """A tag that was asked for stands in the reference; names as ko makes them."""
    host = registry.host
    wherry(
        "resolve",
        "-f",
        "-",
        "--repo",
        f"{host}/x",
        "-B",
        "-t",
        "v1",
        "--no-vcs",
        stdin="a: ko://example.com/app/cmd/api\n",
    )

    assert yaml.safe_load(wherry.out)["a"] == f"{host}/x/api:v1@{crane('digest', f'{host}/x/api:v1')}"


def test_services_have_their_own_names(wherry, registry):
    """What wherry.toml calls a service is where it goes, where no repository is named."""
    name = f"{registry.host}/own/api:dev"
    wherry.write("wherry.toml", f'[services.api]\npackage = "./cmd/api"\ntags = ["{name}"]\n')

    wherry("resolve", "-f", "-", "--no-vcs", stdin="image: wherry://api\n")

    assert yaml.safe_load(wherry.out)["image"] == f"{name}@{crane('digest', name)}"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("ko://example.com/app/cmd/none", "cmd/none"),
        ("ko://example.org/other", "example.com/app"),
        ("wherry://./cmd", "./api, ./worker"),
    ],
)
def test_no_program(wherry, reference, words):
    """The place in the file, what was asked for, and what there is; nothing is printed."""
    wherry("resolve", "-f", "-", "--repo", "localhost:1/x", stdin=f"a:\n- image: {reference}\n", code=66)

    assert f"stdin:2:10: {reference}" in wherry.err
    assert words in wherry.err
    assert wherry.out == ""


def test_references_that_no_path_can_have(wherry):
    """A null byte is named with its line; a name that is too long is an error and no bug."""
    wherry("resolve", "-f", "-", "--repo", "localhost:1/x", stdin='a: "ko://./a\\0b"\n', code=65)
    assert "line 1: a reference with a null byte" in wherry.err
    del wherry.environment["WHERRY_DEBUG"]
    wherry("resolve", "-f", "-", "--repo", "localhost:1/x", stdin=f"a: ko://./{'a' * 300}\n", code=66)
    assert "internal error" not in wherry.err


def test_no_repository(wherry):
    """Before anything is built."""
    wherry("resolve", "-f", "k8s/pod.yaml", code=64)

    assert "KO_DOCKER_REPO" in wherry.err


def test_without_references(wherry):
    """A manifest of others passes through to the byte."""
    text = "a: 1   # b\r\n"
    wherry("resolve", "-f", "-", stdin=text)

    assert wherry.out == text


def test_apply(wherry, registry, tmp_path):
    """Kubectl gets what resolve prints, and its own flags; its exit code is ours."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "kubectl").write_text('#!/bin/sh\necho "$@"\ncat\nexit 3\n')
    (tools / "kubectl").chmod(0o755)
    wherry.environment["PATH"] = f"{tools}{os.pathsep}{wherry.environment['PATH']}"

    wherry("apply", "-f", "-", "--repo", f"{registry.host}/x", "--no-vcs", "--", "--context", "lab", "--dry-run=server",
           stdin="a: ko://example.com/app/cmd/api\n", code=3)  # fmt: skip

    assert wherry.out.startswith("apply -f - --context lab --dry-run=server\na: ")
    assert "@sha256:" in wherry.out


def test_build_as_ko_does(wherry, registry):
    """One word changed: KO_DOCKER_REPO, a tag, `.ko.yaml` and kodata do what they did."""
    wherry.environment["KO_DOCKER_REPO"] = f"{registry.host}/team"
    wherry.write(
        ".ko.yaml",
        "defaultBaseImage: static-notz\ndefaultPlatforms: [linux/arm64]\n"
        "builds:\n- id: api\n  main: ./cmd/api\n  env: [GOFLAGS=-modcacherw]\n\n"
        "  ldflags: ['-X main.version={{.Env.VERSION}}']\n",
    )
    wherry.environment["VERSION"] = "1.2.3"
    wherry.write("cmd/api/kodata/page.html", "hello")
    (wherry.root / "cmd/api/kodata/link").symlink_to("page.html")

    wherry("build", "-B", "-t", "v1", "./cmd/api", "--no-vcs")

    assert wherry.out.startswith(f"{registry.host}/team/api:v1@sha256:")
    config = json.loads(crane("config", f"{registry.host}/team/api:v1"))
    assert config["architecture"] == "arm64"
    assert "KO_DATA_PATH=/var/run/ko" in config["config"]["Env"]
    assert "KO_DOCKER_REPO is set" in wherry.err
    wherry("inspect", f"{registry.host}/team/api:v1", "--files", "50")
    assert "/var/run/ko/page.html" in wherry.out
    assert "/var/run/ko/link" in wherry.out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("builds:\n- id: a\n  main: ./cmd/api\n  flags: [-race]\n", "-race"),
        ("builds:\n- main: ./cmd/api\n  env: [HOME=x]\n", "HOME"),
        ("builds: 3\n", "line 1: builds"),
        ("a: [", "line"),
    ],
)
def test_ko_yaml_that_is_wrong(wherry, text, words):
    """Nothing in it is passed over: what can't be had is named."""
    wherry.write(".ko.yaml", text)

    wherry("build", "./cmd/api", code=78)

    assert words in wherry.err


def test_names():
    """Ko's ways to name an image."""
    path = "github.com/Acme/app/cmd/API"

    assert KoNaming("r/x", "preserve").names(path) == ("r/x/github.com/acme/app/cmd/api:latest",)
    assert KoNaming("r/x", "base", ("a", "b")).names(path) == ("r/x/api:a", "r/x/api:b")
    assert KoNaming("r/x", "bare").names(path) == ("r/x:latest",)
    assert KoNaming("r/x", "").names("github.com/google/ko/test") == (
        "r/x/test-46c4b272b3716c422d5ff6dfc7547fa9:latest",
    )


def test_a_push_of_an_image_that_is_named(wherry):
    """KO_DOCKER_REPO does nothing where the call names an image."""
    wherry.environment["KO_DOCKER_REPO"] = "registry.invalid/x"

    wherry("build", "./cmd/api", "-t", "api:dev", "--no-vcs")

    assert images_of(wherry.store, wherry.store.resolve("api:dev"))


def test_init(wherry):
    """What is found is written down, builds, and is never written over."""
    wherry.write(".ko.yaml", "defaultBaseImage: static-notz\ndefaultPlatforms: [linux/amd64, linux/arm64]\n")
    wherry("init")

    text = (wherry.root / "wherry.toml").read_text()
    assert "[services.api]" in text
    assert "[services.worker]" in text
    assert 'base = "static-notz"' in text
    wherry("build", "--no-vcs")
    assert len(wherry.out.splitlines()) == 2
    wherry("init", code=73)
    wherry("init", "--force")
    assert not stat.S_IMODE((wherry.root / "wherry.toml").stat().st_mode) & 0o111
