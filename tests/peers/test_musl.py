"""`--cgo musl`: C by zig, linked statically with musl, run on each machine; and the stub of a static PIE for arm64.

The first run compiles musl for each machine, which takes minutes; zig's cache below `.cache` keeps it.
"""

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import absent, need
from wherry.elf.reader import Elf
from wherry.elf.static_pie import _MACHINES
from wherry.store.images import images_of

pytestmark = [pytest.mark.peers, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
MAIN = """package main

/*
#include <stdio.h>
#include <string.h>
static int twice(const char *s) { char b[64]; snprintf(b, sizeof b, "%s%s", s, s); return (int)strlen(b); }
*/
import "C"

func main() { println("twice", C.twice(C.CString("abc"))) }
"""
PLATFORMS = {"linux/amd64": "", "linux/arm64": "qemu-aarch64-static", "linux/arm/v7": "qemu-arm-static"}


@pytest.fixture(scope="module")
def zig() -> str:
    """The program in the wheel."""
    found = importlib.util.find_spec("ziglang")
    folders = found.submodule_search_locations if found else None
    if not folders:
        absent("ziglang is not installed (`make peers` installs it)")
    return str(Path(next(iter(folders))) / "zig")


@pytest.fixture(scope="module")
def built(tmp_path_factory, zig) -> Shell:
    """An image for three machines on an empty base."""
    assert zig
    shell = Shell(tmp_path_factory.mktemp("musl") / "shell")
    kept = ROOT / ".cache" / "test-zig"
    kept.mkdir(parents=True, exist_ok=True)
    (shell.root / "cache").mkdir()
    (shell.root / "cache" / "zig").symlink_to(kept)
    shell.write("go.mod", "module example.com/c\n\ngo 1.21\n")
    shell.write("main.go", MAIN)
    shell("build", "--cgo", "musl", "--base", "scratch", "--platform", ",".join(PLATFORMS), "-t", "c:dev", "-o",
          "type=local,dest=out")  # fmt: skip
    return shell


@pytest.mark.parametrize("platform", PLATFORMS)
def test_it_runs(built, platform):
    """The file alone is enough, on its machine or by qemu-user."""
    words = [need(PLATFORMS[platform])] if PLATFORMS[platform] else []
    if not words and os.uname().machine != "x86_64":
        pytest.skip("needs a machine that runs amd64")
    program = built.root / "out" / platform.replace("/", "_") / "app" / "c"

    said = subprocess.run([*words, program], capture_output=True, check=True, text=True).stderr

    assert said == "twice 6\n"
    assert not Elf.parse(program.read_bytes(), "c").interpreter


def test_the_recipe_names_zig(built):
    """A rebuild asks for the same."""
    images = images_of(built.store, built.store.resolve("c:dev"))

    recipes = [json.loads(image.config.runtime.labels["dev.wherry.recipe"])["go"] for image in images]

    assert {recipe["cgo"] for recipe in recipes} == {"musl"}
    assert all(recipe["zig"].startswith("0.") and recipe["CGO_ENABLED"] == "1" for recipe in recipes)


@pytest.mark.parametrize(("arch", "target"), [("amd64", "x86_64-linux-musl"), ("arm64", "aarch64-linux-musl")])
def test_stubs_are_those_of_their_sources(zig, tmp_path, arch, target):
    """The bytes in `elf/static_pie.py` are what an assembler makes of the source."""
    source = tmp_path / "stub.S"
    shutil.copy(ROOT / "src" / "wherry" / "elf" / "stubs" / f"static_pie_{arch}.S", source)
    cache = {"ZIG_GLOBAL_CACHE_DIR": str(tmp_path), "ZIG_LOCAL_CACHE_DIR": str(tmp_path)}
    subprocess.run([zig, "cc", "-target", target, "-c", "-o", tmp_path / "stub.o", source], check=True,
                   env={**os.environ, **cache})  # fmt: skip

    elf = Elf.parse((tmp_path / "stub.o").read_bytes(), "stub.o")

    text = bytes(elf.content(elf.section(".text")))
    assert text[: len(_MACHINES[arch].code)] == _MACHINES[arch].code
