"""`wherry verify-platforms`: platforms that agree, and each way in which they do not."""

import json
import subprocess

import pytest

from cli_shell import Shell
from needs import need

pytestmark = pytest.mark.slow


@pytest.fixture
def wherry(tmp_path):
    """A shell with a module in it."""
    shell = Shell(tmp_path)
    shell.module()
    return shell


def test_platforms_of_one_build_agree(wherry):
    """As wherry builds them."""
    wherry("build", ".", "-t", "app:1", "--platform", "linux/amd64,linux/arm64,linux/arm/v7")

    assert wherry("verify-platforms", "app:1")[-1] == "3 platforms agree"
    wherry("verify-platforms", "app:1", "--json")
    document = json.loads(wherry.out)
    assert document["findings"] == []
    assert [one["programs"][0]["architecture"] for one in document["platforms"]] == ["amd64", "arm64", "arm"]


def test_each_platform_is_run_once(wherry):
    """Natively or emulated where that is possible; what could not be run is listed, with the reason."""
    need("qemu-aarch64-static")
    wherry("build", ".", "-t", "app:1", "--platform", "linux/amd64,linux/arm64")
    wherry("verify-platforms", "app:1", "--json")

    assert [one["run"]["outcome"] for one in json.loads(wherry.out)["platforms"]] == ["exited", "exited"]
    wherry.environment["PATH"] = "/nowhere"
    lines = wherry("verify-platforms", "app:1")
    assert "  run: exited with 0" in lines
    assert any(line.startswith("  not run: ") and "emulator" in line for line in lines)


def test_a_platform_that_ends_otherwise(wherry):
    """The same source, but one of its platforms exits with an error."""
    need("qemu-aarch64-static")
    wherry.write("main_arm64.go", "package main\n\nfunc init() { panic(1) }\n")
    wherry("build", ".", "-t", "app:1", "--platform", "linux/amd64,linux/arm64")
    wherry("verify-platforms", "app:1", code=1)

    assert "(runs-differ)" in wherry.out
    assert wherry("verify-platforms", "app:1", "--no-run")[-1] == "2 platforms agree"


CASES = {
    "wrong-architecture": ("COPY amd64 /app", "COPY amd64 /app"),
    "build-differs": ("COPY amd64 /app", "COPY tagged /app"),
    "files-differ": ("COPY amd64 /app\nCOPY go.mod /a", "COPY arm64 /app\nCOPY main.go /a"),
    "config-differs": ("COPY amd64 /app\nUSER 1", "COPY arm64 /app\nUSER 2"),
    "program-missing": ("COPY amd64 /app", "COPY arm64 /other"),
}


@pytest.mark.parametrize("rule", CASES)
def test_a_difference_is_named(wherry, rule):
    """Two platforms of a Dockerfile that differ in one thing."""
    for name, flags in {"amd64": (), "arm64": (), "tagged": ("-tags", "other")}.items():
        environment = wherry.environment | {"GOARCH": "arm64" if name != "amd64" else name, "CGO_ENABLED": "0"}
        argv = ["go", "build", "-trimpath", *flags, "-o", name, "."]
        subprocess.run(argv, cwd=wherry.root, env=environment, check=True, capture_output=True)
    stages = "\n".join(
        f"FROM scratch AS {name}\n{lines}" for name, lines in zip(("amd64", "arm64"), CASES[rule], strict=True)
    )
    wherry.write("Dockerfile", f"ARG TARGETARCH\n{stages}\nFROM ${{TARGETARCH}}\nLABEL a=b\n")
    wherry("build", "-f", "Dockerfile", ".", "-t", "app:1", "--platform", "linux/amd64,linux/arm64")

    wherry("verify-platforms", "app:1", code=1)

    assert f"({rule})" in wherry.out
