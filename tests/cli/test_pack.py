"""`wherry pack`: the price of packing, printed; a file written only where it is asked for."""

import json
import shutil

import pytest

from cli_shell import Shell
from gobuild import go_binary

pytestmark = pytest.mark.slow


def test_the_price(tmp_path):
    """Bytes on disk and pulled, modules that scanners see, start; UPX is named where it is not installed."""
    wherry = Shell(tmp_path)
    shutil.copy(go_binary("package main\n\nfunc main() { println(1) }\n", "-ldflags=-s"), tmp_path / "hello")
    wherry.environment["PATH"] = "/nonexistent"

    (document,) = map(json.loads, wherry("pack", "hello", "--start", "--json"))

    plain, stub, upx = document["variants"]
    assert stub["size"] < plain["size"] / 2
    assert stub["pulled"]["zstd"] < plain["pulled"]["zstd"] * 1.05
    assert plain["start"]["cpu"] > 0
    assert "not installed" in upx["problem"]
    assert not document["written"]
    wherry("pack", "hello", "--with", "stub", "-o", "packed")
    assert wherry.out.splitlines()[-1] == "wrote packed"
    assert (tmp_path / "packed").stat().st_mode & 0o111
    wherry("pack", "hello", "--with", "upx", code=69)
    wherry("pack", "hello", "-o", "packed", code=64)
    wherry("pack", "hello", "--with", "stub", "-o", "hello", code=64)
    wherry("pack", "hello", "x", code=64)
    wherry("pack", "nothing", code=66)
    wherry.write("text", "text")
    wherry("pack", "text", "--with", "stub", code=65)
