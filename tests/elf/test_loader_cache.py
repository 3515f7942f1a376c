"""/etc/ld.so.cache, against ldconfig and against bytes."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needs import need
from wherry.elf.loader_cache import parse_cache
from wherry.errors import InvalidDocument


@pytest.mark.parametrize("form", ["new", "compat"])
def test_reads_what_ldconfig_reads(tmp_path, form):
    """Both forms that glibc writes, of libraries of this machine."""
    ldconfig = need("/sbin/ldconfig")
    cache = tmp_path / "cache"
    folder = next(Path("/usr/lib").glob("*-linux-gnu"))
    (tmp_path / "conf").write_text(f"{folder}\n")
    subprocess.run([ldconfig, "-X", "-f", tmp_path / "conf", "-C", cache, "-c", form], check=True, capture_output=True)
    shown = subprocess.run([ldconfig, "-p", "-C", cache], check=True, capture_output=True, text=True).stdout
    expected: dict[str, list[str]] = {}
    for name, notes, path in re.findall(r"^\t(\S+) \((.*)\) => (\S+)$", shown, re.MULTILINE):
        if "hwcap" not in notes:
            expected.setdefault(name, []).append(path)

    found = parse_cache(cache.read_bytes(), "<" if os.sys.byteorder == "little" else ">")

    assert found == {name: tuple(paths) for name, paths in expected.items()}
    assert "libc.so.6" in found


@given(st.binary(max_size=300), st.sampled_from("<>"))
def test_any_bytes(content, order):
    """Give paths or a clear error."""
    for start in (b"", b"glibc-ld.so.cache1.1", b"ld.so-1.7.0\0"):
        try:
            parse_cache(start + content, order)
        except InvalidDocument as error:
            assert error.problem  # noqa: PT017 - either end is right
