"""Which module holds a package, and in which version: asked of the `go` command, so its settings hold.

Sources: Go 1.26, `go help list` (-m, -versions), `go help mod download`; go.dev/ref/mod, "Version queries".
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from wherry.errors import HostUnable, NotFound, WherryError
from wherry.host.process import Command, Runner
from wherry.host.toolchain import Toolchain
from wherry.source.module import NoMainPackage, PackageBroken, main_packages, one_a_line, package_names
from wherry.source.vcs import public_url
from wherry.typed import from_json, json_decoder

_UNREACHABLE = re.compile(
    r"dial tcp|no such host|[Cc]ould not resolve|[Cc]onnection (refused|reset)|i/o timeout|TLS handshake|x509:|"
    r"network is unreachable|deadline exceeded"
)
_OFF = "disabled by GOPROXY=off"
_TOO_OLD = re.compile(r"requires go >= (\S+)")
_HOST_ELEMENTS = 3
"""Elements of a module path at a code host such as github.com; the errors of shorter ones say little."""


class _Problem(msgspec.Struct, rename="pascal"):
    err: str = ""


class _Listed(msgspec.Struct, rename="pascal"):
    path: str = ""
    version: str = ""
    versions: tuple[str, ...] = ()
    deprecated: str = ""
    retracted: tuple[str, ...] = ()
    error: _Problem | None = None


class _Fetched(msgspec.Struct, rename="pascal"):
    path: str = ""
    version: str = ""
    error: str = ""
    info: str = ""
    go_mod: str = ""
    dir: str = ""
    sum: str = ""
    go_mod_sum: str = ""


class _Origin(msgspec.Struct, rename={"url": "URL", "revision": "Hash"}):
    url: str = ""
    revision: str = ""


class _About(msgspec.Struct, rename="pascal"):
    time: datetime | None = None
    origin: _Origin | None = None


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A module in Go's module cache, verified by Go."""

    path: str
    version: str
    folder: Path
    go_mod: Path
    sum: str
    """The `h1:` checksum of its files."""
    go_mod_sum: str
    committed: int
    """Seconds since the epoch; 0 where the proxy does not tell."""
    revision: str
    source: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModuleQuery:
    """Asks Go, from a module that requires nothing."""

    runner: Runner
    toolchain: Toolchain
    folder: Path

    def find(self, package: str, version: str) -> Downloaded:
        """Find the module that holds a main package, and have it in the module cache.

        Raises:
            NotFound: there is no such module, version, or package in it.
            NoMainPackage: the package is a library.
            HostUnable: no proxy answers, or a newer Go is asked for.
            PackageBroken: what came has another checksum than it should.
        """
        prefixes = _prefixes(package)
        listed = self._listed([f"{prefix}@{version}" for prefix in prefixes])
        candidates = [module for module in listed if not module.error]
        if not candidates:
            raise self._nothing(package, version, prefixes, [module.error.err for module in listed if module.error])
        modules = (self._download(module, package) for module in candidates)
        searched = []
        for module in modules:
            names = package_names(module.folder / package.removeprefix(module.path).lstrip("/"))
            if "main" in names:
                return module
            if names:
                what = f"package {' and '.join(sorted(names))}, not main"
                raise NoMainPackage(f"{package}@{module.version}: {what}", hint=_programs(module, package))
            searched.append(module)
        first = searched[0]
        raise NotFound(
            f"{package}@{version}: {first.path} {first.version} has no such package", hint=_programs(first, package)
        )

    def _download(self, module: _Listed, package: str) -> Downloaded:
        named = f"{module.path}@{module.version}"
        answer = self.runner.run(self._command("mod", "download", "-json", named))
        fetched = _fetched(answer.stdout) if answer.stdout else _Fetched(error=answer.words)
        if fetched.error:
            raise _refusal(f"{package}@{module.version}", fetched.error)
        about = from_json(Path(fetched.info).read_bytes(), _About) if fetched.info else _About()
        origin = about.origin or _Origin()
        return Downloaded(
            path=fetched.path,
            version=fetched.version,
            folder=Path(fetched.dir),
            go_mod=Path(fetched.go_mod),
            sum=fetched.sum,
            go_mod_sum=fetched.go_mod_sum,
            committed=max(int(about.time.timestamp()), 0) if about.time else 0,
            revision=origin.revision,
            source=public_url(origin.url),
            warnings=tuple(self._warnings(named)),
        )

    def _warnings(self, named: str) -> Iterator[str]:
        # An author retracts a version in a later one, so Go asks for that too; where it can't, it says nothing.
        for module in self._listed([named], "-u"):
            if module.retracted:
                yield f"{named} was retracted by its author: {'; '.join(module.retracted)}"
            if module.deprecated:
                yield f"{module.path} is deprecated: {module.deprecated}"

    def _listed(self, asked: Sequence[str], *flags: str) -> list[_Listed]:
        answer = self.runner.run(self._command("list", "-m", "-e", "-json", *flags, *asked))
        if not answer.stdout:
            raise PackageBroken(f"{asked[0]}: {answer.words}", hint=f"run `go list -m {asked[0]}` to see it too")
        return json_decoder(_Listed).decode_lines(one_a_line(answer.stdout))

    def _nothing(self, package: str, version: str, prefixes: Sequence[str], said: Sequence[str]) -> WherryError:
        for module in self._listed(prefixes, "-versions"):
            if module.versions:
                return NotFound(
                    f"{package}@{version}: {module.path} has no version {version}",
                    hint=_nearest(version, module.versions),
                )
        return _refusal(f"{package}@{version}", _telling(prefixes, said))

    def _command(self, *arguments: str) -> Command:
        return self.toolchain.command(self.folder, *arguments, extra={"GOFLAGS": _kept(self.toolchain)})


def _prefixes(package: str) -> list[str]:
    elements = package.split("/")
    return ["/".join(elements[:count]) for count in range(len(elements), 0, -1)]


def _fetched(stdout: bytes) -> _Fetched:
    return from_json(stdout, _Fetched)


def _telling(prefixes: Sequence[str], said: Sequence[str]) -> str:
    """Choose the error that says most: of the path that is as long as a code host's repositories have it."""
    wanted = min(_HOST_ELEMENTS, len(prefixes))
    return said[len(prefixes) - wanted] if len(said) == len(prefixes) else said[0]


def _refusal(named: str, words: str) -> WherryError:
    shown = "\n".join(f"  {line.strip()}" for line in words.splitlines())
    if _OFF in words:
        return HostUnable(
            f"{named}: not in Go's module cache, and downloads are off",
            hint="build it once without --offline and GOPROXY=off, or choose a version that was built before",
        )
    if too_old := _TOO_OLD.search(words):
        return HostUnable(
            f"{named}: {words.strip()}", hint=f"install Go {too_old[1]}, or unset GOTOOLCHAIN so that Go fetches it"
        )
    if _UNREACHABLE.search(words):
        return HostUnable(
            f"{named}: Go could not query the module\n{shown}",
            hint="fix the network or GOPROXY, or use --offline with a version that was built before",
        )
    if "SECURITY ERROR" in words or "checksum mismatch" in words:
        return PackageBroken(
            f"{named}: its content differs from the published module\n{shown}", hint="do not trust its proxy"
        )
    return NotFound(
        f"{named}: no module contains it\n{shown}",
        hint="check the path; write a directory as ./PATH, and set GOPRIVATE for a private module",
    )


def _nearest(version: str, versions: Sequence[str]) -> str:
    near = difflib.get_close_matches(version, versions, n=3, cutoff=0.5)
    latest = next((one for one in reversed(versions) if "-" not in one), versions[-1])
    return f"did you mean {', '.join(near)}? The latest is {latest}" if near else f"the latest is {latest}"


def _programs(module: Downloaded, package: str) -> str:
    paths = list(_import_paths(module))
    if not paths:
        return "the module has no `package main`: wherry builds programs, not libraries"
    near = difflib.get_close_matches(package, paths, n=3, cutoff=0.0)
    return f"its programs: {', '.join(f'{path}@{module.version}' for path in near)}"


def _import_paths(module: Downloaded) -> Iterator[str]:
    for folder in main_packages(module.folder):
        inside = folder.relative_to(module.folder).as_posix()
        yield module.path if inside == "." else f"{module.path}/{inside}"


def _kept(toolchain: Toolchain) -> str:
    """Give of GOFLAGS what concerns the module cache; -mod, -modfile and others speak of a module of the user's own."""
    words = toolchain.settings.get("GOFLAGS", "").split()
    return " ".join(word for word in words if word.lstrip("-").startswith("modcacherw"))
