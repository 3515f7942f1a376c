"""Packing next to real UPX, which Debian 13 has; and the stubs of the package, which their source gives again."""

import json
import subprocess
from pathlib import Path

import pytest

from cli_shell import Shell
from gobuild import go_binary
from needs import need
from wherry.app.debian import debian_archives
from wherry.errors import InvalidUsage

pytestmark = pytest.mark.peers
ROOT = Path(__file__).resolve().parents[2]


def test_the_stubs_are_those_of_the_source(tmp_path):
    """Byte for byte, with Debian 12's compilers."""
    version = subprocess.run(
        [need("gcc"), "-dumpfullversion"], capture_output=True, text=True, check=True
    ).stdout.strip()
    need("aarch64-linux-gnu-gcc")
    if not version.startswith("12."):
        pytest.skip(f"gcc is {version}, and the stubs are made by gcc 12")
    subprocess.run(["sh", str(ROOT / "scripts/pack_stub.sh"), str(tmp_path)], check=True)

    for name in ("pack-amd64", "pack-arm64"):
        assert (tmp_path / name).read_bytes() == (ROOT / "src/wherry/lab/stubs" / name).read_bytes()


@pytest.fixture
def upx(tmp_path) -> Path:
    """A folder with upx: Debian 13's, unpacked by a base of ours, started by its own loader."""
    try:
        debian_archives({})
    except InvalidUsage:
        pytest.skip("no mirror of Debian is known on this machine")
    shell = Shell(tmp_path / "upx")
    shell.module()
    shell("build", "--base", "deb:with:upx-ucl", "-o", f"type=local,dest={shell.root / 'root'}")
    root = shell.root / "root/usr"
    script = shell.root / "bin/upx"
    shell.write(
        "bin/upx",
        f"#!/bin/sh\nexec {root}/lib64/ld-linux-x86-64.so.2 --library-path {root}/lib/x86_64-linux-gnu"
        f' {root}/bin/upx-ucl "$@"\n',
    )
    script.chmod(0o755)
    return script.parent


def test_both_ways(tmp_path, upx):
    """Within a few percent of each other on disk; neither saves what is pulled as it saves on disk."""
    wherry = Shell(tmp_path / "here")
    (wherry.root / "hello").write_bytes(
        go_binary("package main\n\nfunc main() { println(1) }\n", "-ldflags=-s").read_bytes()
    )
    wherry.environment["PATH"] = f"{upx}:{wherry.environment['PATH']}"

    (document,) = map(json.loads, wherry("pack", "hello", "--start", "--json"))

    plain, stub, packed = document["variants"]
    assert not packed["problem"]
    assert stub["size"] == pytest.approx(packed["size"], rel=0.08)
    assert 1 - stub["pulled"]["zstd"] / plain["pulled"]["zstd"] < 1 - stub["size"] / plain["size"]
