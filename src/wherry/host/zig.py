"""The C compiler of `--cgo musl`: `zig cc`, which has musl's sources and headers for every machine in its wheel.

Source: `ziglang` on PyPI (Zig 0.17): the folder of the package is Zig's own, with the program `zig` in it.
"""

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import HostUnable
from wherry.host.process import Command, Runner, which

_TARGETS = {
    "amd64": "x86_64-linux-musl",
    "386": "x86-linux-musl",
    "arm64": "aarch64-linux-musl",
    "arm": "arm-linux-musleabihf",
    "riscv64": "riscv64-linux-musl",
}
"""Zig's names of the targets that `--cgo musl` is offered for, by GOARCH."""
ARCHITECTURES = tuple(_TARGETS)
_ARM = {"v5": "arm926ej_s", "v6": "arm1176jzf_s", "v7": "generic+v7a+vfp3d16"}


@dataclass(frozen=True, slots=True)
class Zig:
    """A zig that was found."""

    program: str
    """Absolute path."""
    version: str
    """Such as `0.17.0`."""

    def compiler(self, architecture: str, variant: str = "") -> dict[str, str]:
        """Give what tells cgo to compile for a machine with musl: CC, CXX and AR."""
        target = f"-target {_TARGETS[architecture]}"
        if architecture == "arm" and variant in _ARM:
            target += f" -mcpu={_ARM[variant]}"
        return {
            "CC": f"{self.program} cc {target}",
            "CXX": f"{self.program} c++ {target}",
            "AR": f"{self.program} ar",
        }


def find_zig(runner: Runner, environment: Mapping[str, str]) -> Zig:
    """Find zig: in the wheel `ziglang`, else on PATH.

    Raises:
        HostUnable: there is none, or it does not run.
    """
    program = _wheel() or which("zig", environment.get("PATH", os.defpath))
    if program is None:
        raise HostUnable(
            "--cgo musl compiles C with zig, which is not installed", hint="run `pip install 'wherry[musl]'`"
        )
    answer = runner.run(Command((program, "version"), Path("/"), environment))
    if answer.returncode:
        raise HostUnable(f"{program} version: {answer.words}", hint="install it again: `pip install 'wherry[musl]'`")
    return Zig(program, answer.stdout.decode(errors="replace").strip())


def _wheel() -> str | None:
    found = importlib.util.find_spec("ziglang")
    for folder in (found.submodule_search_locations or ()) if found else ():
        program = Path(folder) / "zig"
        if program.is_file():
            return str(program)
    return None
