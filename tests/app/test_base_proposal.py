"""The `[base]` that a program's needs amount to: packages by dpkg's lists, else by Debian's rule for names."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need
from wherry.analysis.deps.document import AskedFile, DepsDocument, NeededLibrary, PlatformDeps, ProgramDeps
from wherry.app.base_proposal import package_by_rule, proposed_base
from wherry.app.session import Session

CGO = 'package main\n\n// #include <math.h>\n// #cgo LDFLAGS: -lm\nimport "C"\n\nfunc main() { println(C.cos(1)) }\n'


def document(*libraries: str, asks: tuple[str, ...] = ()) -> DepsDocument:
    """Say what a program needs."""
    program = ProgramDeps(
        path="/app/x",
        kind="dynamic",
        libraries=tuple(NeededLibrary(name=one, path=f"/opt/{one}", needed_by="/app/x") for one in libraries),
        asks=tuple(AskedFile(kind=one, functions=("f",), state="missing", effect="", matters=True) for one in asks),
    )
    return DepsDocument(name="x", platforms=(PlatformDeps(platform="linux/amd64", programs=(program,), findings=()),))


@pytest.mark.parametrize(
    ("library", "package"),
    [
        ("libsqlite3.so.0", "libsqlite3-0"), ("libssl.so.3", "libssl3"), ("libstdc++.so.6", "libstdc++6"),
        ("libgcc_s.so.1", "libgcc-s1"), ("libm.so.6", "libc6"), ("libX11.so.6", "libx11-6"), ("plugin.so", ""),
    ],
)  # fmt: skip
def test_the_rule_for_names(library, package):
    """What no list of dpkg has is named by it."""
    assert package_by_rule(library) == package


def test_what_is_asked_for(tmp_path):
    """Certificates and zones are packages; a guess is said to be one; a program that needs nothing is told so."""
    (tmp_path / "x").write_bytes(b"\x7fELF")
    session = Session.of({}, cwd=tmp_path)
    text = proposed_base(session, "x", document("libnone.so.9", asks=("certificates", "zones", "hosts")))

    assert tomllib.loads(text)["base"]["packages"] == ["ca-certificates", "libnone9", "tzdata"]
    assert "libnone.so.9 (by Debian's rule for names" in text
    assert "needs no package" in proposed_base(session, "x", document(asks=("hosts",)))


@pytest.mark.slow
def test_a_program_and_an_image(tmp_path):
    """Of a file, this machine's lists count; of an image its own: those of dpkg, and those of a distroless base."""
    need("gcc")
    wherry = Shell(tmp_path)
    wherry.module()
    wherry.write("main.go", CGO)
    subprocess.run(
        ["go", "build", "-o", "c", "."], cwd=tmp_path, env={**wherry.environment, "CGO_ENABLED": "1"}, check=True
    )
    wherry("deps", "--emit", "base", "./c")
    assert "libc6" in tomllib.loads(wherry.out)["base"]["packages"]

    loader = subprocess.run(
        ["sh", "-c", "ldd c | sed -n 's/.*=> //;s/[ \\t]*\\(\\/[^ ]*\\) .*/\\1/p'"], cwd=tmp_path, capture_output=True,
        text=True, check=True,
    ).stdout.split()  # fmt: skip
    copies = [f"COPY {place.lstrip('/').replace('/', '_')} {place}" for place in loader]
    for place in loader:
        (tmp_path / place.lstrip("/").replace("/", "_")).write_bytes(Path(place).read_bytes())
    status = "".join(f"0  {place.lstrip('/')}\n" for place in loader)
    wherry.write("md5sums", status)
    lines = ["FROM scratch", "COPY c /c", *copies, "COPY md5sums /var/lib/dpkg/status.d/own-libc.md5sums"]
    wherry.write("Dockerfile", "\n".join([*lines, 'ENTRYPOINT ["/c"]']) + "\n")
    wherry("build", "-f", "Dockerfile", ".", "-t", "c:1")
    wherry("deps", "--emit", "base", "c:1")
    assert tomllib.loads(wherry.out)["base"]["packages"] == ["own-libc"]
