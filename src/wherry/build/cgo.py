"""What to say of cgo: files that a build without it leaves out, and compilers that a build with it lacks.

Sources: Go 1.26, cmd/cgo ("Using cgo with the go command": CC, CGO_ENABLED); GCC 12, "Developer Options".
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from wherry.build.compile import CompileFailed
from wherry.host.process import Command, Runner, which
from wherry.platform import Platform
from wherry.source.cgo import WithoutCgo

_MISSING = re.compile(r'C compiler "([^"]+)" not found')
_TRIPLES = {
    "amd64": "x86_64", "arm64": "aarch64", "arm": "arm", "386": "i686", "riscv64": "riscv64", "ppc64le": "powerpc64le",
    "s390x": "s390x", "loong64": "loongarch64", "mips64le": "mips64el", "mipsle": "mipsel", "mips64": "mips64",
    "mips": "mips", "ppc64": "powerpc64",
}  # fmt: skip
_PACKAGES = {"amd64": "x86-64-linux-gnu", "386": "i686-linux-gnu", "arm": "arm-linux-gnueabihf"}
"""Ends of Debian's packages `gcc-…` where they are not the triple."""


def warnings_of(missing: WithoutCgo, seen: Callable[[str], str]) -> Iterator[str]:
    """Say what a program that was built without cgo lacks.

    Args:
        missing: what the listing found.
        seen: writes a path as the user would.
    """
    if missing.files:
        names = ", ".join(map(seen, missing.files))
        yield f'warning: cgo is off, and files that import "C" are left out: {names}; {_ON}'
    for stub in missing.stubs:
        yield (
            f'warning: {stub.import_path} is a stub without cgo, which fails when it is used: "{stub.words}" '
            f"({stub.file}); {_ON}, or use a package in pure Go"
        )


_ON = "turn cgo on with --go-env CGO_ENABLED=1"


def explain(failed: CompileFailed, missing: WithoutCgo, seen: Callable[[str], str]) -> None:
    """Add to a failure which files are missing since cgo is off: that is why names are undefined."""
    if files := (*missing.files, *missing.replaced):
        names = ", ".join(map(seen, files))
        failed.message += f'\n  cgo is off, and files that import "C" are left out: {names}'
        failed.hint = f"{_ON} (it needs a C compiler, and a base with its libraries), or build without these files"


def lacks_compiler(
    failed: CompileFailed, package: str, platform: Platform, environment: Mapping[str, str], runner: Runner
) -> CompileFailed | None:
    """Make one sentence of a failure that comes of a C compiler that is missing, or compiles for another machine.

    Args:
        failed: what Go said.
        package: the program's import path.
        platform: what it is compiled for.
        environment: whole, with CC.
        runner: starts the compiler, to ask what it compiles for.
    """
    if environment.get("CGO_ENABLED") != "1":
        return None
    compiler = environment.get("CC") or "gcc"
    triple = f"{_TRIPLES.get(platform.architecture, platform.architecture)}-linux-gnu"
    triple += "eabihf" if platform.architecture == "arm" else ""
    packaged = f"gcc-{_PACKAGES.get(platform.architecture, triple)}"
    hint = f"install one (apt-get install {packaged}) and set CC={triple}-gcc, or build without cgo: CGO_ENABLED=0"
    if found := _MISSING.search(failed.message):
        why = f"{found[1]} is not installed"
    else:
        machine = _machine_of(compiler, environment, runner)
        if not machine or _fits(machine, platform.architecture):
            return None
        why = f"CC is {compiler}, which compiles for {machine}"
    return CompileFailed(f"{package} uses cgo, and there is no C compiler for {platform}: {why}", hint=hint)


def _machine_of(compiler: str, environment: Mapping[str, str], runner: Runner) -> str:
    words = compiler.split()
    program = which(words[0], environment.get("PATH", os.defpath)) if words else None
    if not program:
        return ""
    answer = runner.run(Command((program, *words[1:], "-dumpmachine"), Path("/"), environment))
    return answer.stdout.decode(errors="replace").strip() if not answer.returncode else ""


def _fits(machine: str, architecture: str) -> bool:
    """Tell whether a compiler for a machine also compiles for an architecture; those for x86 do both of them."""
    first = machine.partition("-")[0]
    if architecture in {"amd64", "386"}:
        return first in {"x86_64", "amd64"} or re.fullmatch(r"i[3-6]86", first) is not None
    expected = _TRIPLES.get(architecture, architecture)
    return first == expected or first.startswith(expected) or (expected == "powerpc64le" and first == "ppc64le")
