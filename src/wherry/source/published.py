"""PACKAGE@VERSION: a program of a published module, built by the module's own go.mod.

It is built from a small module of ours, below the cache. Its go.mod has the lines of the published one and requires the
published module besides; its go.sum is the published one and the module's own checksum. So Go takes the versions that
the author took, verifies the sources, and records the module with version and checksum as `go install PACKAGE@VERSION`
does: the program is the same, byte for byte. A copy of the sources would be a main module of its own, `(devel)`.

Sources: Go 1.26, `go help install`, `go help mod download`; go.dev/ref/mod, "Version queries", "Module cache" and
"GOPROXY protocol"; cmd/go/internal/modload/query.go (queryPrefixModules: of the modules that hold a package, the one
with the longest path counts).
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

import msgspec

from wherry.errors import CannotWrite, InvalidUsage
from wherry.golang.modfile import GoMod, Replacement, parse_go_mod
from wherry.host.process import Runner
from wherry.host.toolchain import Toolchain, find_toolchain
from wherry.source.module import MainPackage, PackageBroken, Release, program_name
from wherry.source.query import Downloaded, ModuleQuery
from wherry.typed import from_json

PRIVATE = "wherry.invalid/published"
"""Path of our module; nothing of it gets into the program."""
ENVIRONMENT: Mapping[str, str] = {"GOWORK": "off"}
"""Settings for Go on top of the user's environment: a go.work above the cache must not count."""
FLAGS = ("-mod=readonly",)
"""Before the user's GOFLAGS, whose -mod is meant for modules of the user's own."""

_RELEASE = "release.json"
_EXACT = re.compile(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)([-+][0-9A-Za-z.+-]+)?")
_PATH = re.compile(r"[A-Za-z0-9._~+-]+(/[A-Za-z0-9._~+-]+)*")
_VERSION = re.compile(r"(<=?|>=?)?[A-Za-z0-9._~+/-]+")
_NO_VERSION = frozenset({"none", "upgrade", "patch"})
"""Queries that `go get` alone understands: they speak of the current module."""
_GUESSING = "finding module for package"
"""What Go says before it takes the latest of a module that no go.mod names."""


class _Kept(msgspec.Struct, frozen=True):
    module: str
    package: str
    version: str
    committed: int = 0
    revision: str = ""
    source: str = ""
    warnings: tuple[str, ...] = ()


def is_published(text: str) -> bool:
    """Report whether a text names a published package, not a folder; whether a folder is there isn't asked."""
    return "@" in text and not text.startswith((".", "/"))


def is_exact(version: str) -> bool:
    """Report whether a version always means the same: not `latest`, `v1`, a branch."""
    return _EXACT.fullmatch(version) is not None


def parse_published(text: str) -> tuple[str, str]:
    """Split PACKAGE@VERSION.

    Raises:
        InvalidUsage: it is not a package path, or no version.
    """
    path, _, version = text.rpartition("@")
    if "..." in path or not _PATH.fullmatch(path):
        raise InvalidUsage(
            f"{text}: {path or 'nothing'} is not a package path",
            hint="write it as for `go install`, such as github.com/google/go-containerregistry/cmd/crane@latest",
        )
    if version in _NO_VERSION or not _VERSION.fullmatch(version):
        raise InvalidUsage(
            f"{text}: invalid version {version or '(empty)'}",
            hint=f"write {path}@latest, @v1, @v1.2.3, or a branch or commit",
        )
    return path, version


@dataclass(frozen=True, slots=True)
class PublishedModules:
    """Finds published programs, and keeps for each the module it is built from."""

    folder: Path
    """Below the cache; made when first needed."""
    runner: Runner
    environment: Mapping[str, str]
    """The user's, whole: GOPROXY, GOPRIVATE, GONOSUMDB and the like are Go's to read."""

    def find(self, text: str) -> MainPackage:
        """Find PACKAGE@VERSION; an exact version that was found before costs no process and no network.

        Raises:
            InvalidUsage: it is not a PACKAGE@VERSION.
            NotFound: no module holds the package, or none of that version; the hint has the nearest.
            NoMainPackage: the package is a library.
            HostUnable: no proxy answers, or the module asks for a newer Go.
            PackageBroken: its go.mod can't be built by from here, or its checksum is wrong.
        """
        path, version = parse_published(text)
        known = self.folder / _folder_name(path, version)
        if is_exact(version) and (known / _RELEASE).is_file():
            with suppress(OSError):
                os.utime(known)  # `wherry gc` spares what was used
            return read_published(known)
        query = self._folder(".query-")
        try:
            (query / "go.mod").write_text(f"module {PRIVATE}\n")
            environment = {**self.environment, **ENVIRONMENT}
            toolchain = find_toolchain(self.runner, environment, query)
            found = ModuleQuery(self.runner, toolchain, query).find(path, version)
        finally:
            shutil.rmtree(query, ignore_errors=True)
        package = read_published(self._prepared(path, found))
        assert package.release  # noqa: S101 - `read_published` gives one
        return replace(package, release=replace(package.release, query=version))

    def _prepared(self, path: str, found: Downloaded) -> Path:
        place = self.folder / _folder_name(path, found.version)
        go_mod = found.go_mod.read_text(errors="replace")
        name = f"go.mod of {found.path}@{found.version}"
        parsed = parse_go_mod(go_mod, name)
        _refuse_folders(path, found, parsed.replace)
        fresh = self._folder(".new-")
        try:
            (fresh / "go.mod").write_text(private_go_mod(parsed, found.path, found.version))
            (fresh / "go.sum").write_text("".join(f"{line}\n" for line in _sums(found)))
            kept = _Kept(found.path, path, found.version, found.committed, found.revision, found.source, found.warnings)
            (fresh / _RELEASE).write_bytes(msgspec.json.encode(kept))
            _take_place(fresh, place)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return place

    def _folder(self, prefix: str) -> Path:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return Path(os.path.realpath(mkdtemp(prefix=prefix, dir=self.folder)))
        except OSError as error:
            raise CannotWrite(
                f"{self.folder}: {error.strerror}", hint="use another directory with --cache or $WHERRY_CACHE"
            ) from error


def read_published(folder: Path) -> MainPackage:
    """Read what `PublishedModules` keeps of a program."""
    folder = Path(os.path.realpath(folder))
    kept = from_json((folder / _RELEASE).read_bytes(), _Kept)
    release = Release(kept.version, kept.version, kept.committed, kept.revision, kept.source, kept.warnings)
    return MainPackage(folder, folder, kept.module, kept.package, program_name(kept.package), release)


def complete(
    runner: Runner,
    toolchain: Toolchain,
    package: MainPackage,
    flags: Sequence[str],
    target: Mapping[str, str],
    *,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Fetch the modules of a published program, and let Go add to our go.sum what the author's lacks.

    What is added comes from the checksum database, unless Go is configured not to ask it.

    Raises:
        PackageBroken: Go can't load the package, or its go.mod does not name a module it needs.
    """
    release = package.release
    assert release  # noqa: S101 - other packages are complete or not by their own files
    named = f"{package.import_path}@{release.version}"
    before = (package.module / "go.mod").read_bytes()
    words = [flag for flag in flags if not flag.lstrip("-").startswith("mod")]
    asked = ("list", "-deps", "-mod=mod", "-buildvcs=false", *words, "-f={{.Name}}", package.argument)
    answer = runner.run(replace(toolchain.command(package.module, *asked, extra=target), on_line=on_line))
    if _GUESSING in answer.words:
        (package.module / "go.mod").write_bytes(before)
        raise PackageBroken(
            f"{named}: its go.mod does not list every module it needs\n{_indented(answer.words)}",
            hint="choose a version with a complete go.mod, or clone it, run `go mod tidy`, and build the directory",
        )
    if answer.returncode:
        raise PackageBroken(f"{named}: Go cannot load it\n{_indented(answer.words)}", hint="choose another version")


def private_go_mod(published: GoMod, module: str, version: str) -> str:
    """Write the go.mod that a published program is built by: the published one's lines, for a module that requires it.

    What a module says of itself is left out: its retractions, tools and ignored folders.
    """
    lines = [f"module {PRIVATE}"]
    lines += [f"go {published.go}"] * bool(published.go)
    lines += [f"toolchain {published.toolchain}"] * bool(published.toolchain)
    lines += [f"godebug {name}={value}" for name, value in published.godebug.items()]
    lines += [f"require {module} {version}"]
    lines += [f"require {required.path} {required.version} // indirect" for required in published.require]
    lines += [f"exclude {excluded.path} {excluded.version}" for excluded in published.exclude]
    lines += [
        " ".join(filter(None, ("replace", new.old_path, new.old_version, "=>", new.new_path, new.new_version)))
        for new in published.replace
    ]
    return "".join(f"{line}\n" for line in lines)


def unused_since(folder: Path, moment: float) -> Iterator[Path]:
    """Name published modules that were not used since a moment (seconds since the epoch)."""
    for kept in folder.glob("*"):
        if kept.is_dir() and kept.stat().st_mtime < moment:
            yield kept


def _folder_name(path: str, version: str) -> str:
    # The path and the version decide it, and two of them may differ in their case alone.
    key = hashlib.sha256(f"{path}@{version}".encode()).hexdigest()[:16]
    return f"{program_name(path)}@{version.replace('/', '-')}-{key}"


def _sums(found: Downloaded) -> Iterator[str]:
    published = found.folder / "go.sum"
    lines = published.read_text(errors="replace").splitlines() if published.is_file() else []
    yield from filter(None, lines)
    yield f"{found.path} {found.version} {found.sum}"
    yield f"{found.path} {found.version}/go.mod {found.go_mod_sum}"


def _refuse_folders(path: str, found: Downloaded, replacements: Sequence[Replacement]) -> None:
    folders = [f"{new.old_path} => {new.new_path}" for new in replacements if new.is_local]
    if folders:
        where = f" ({found.source})" if found.source else ""
        raise PackageBroken(
            f"{path}@{found.version}: the module's go.mod replaces modules with directories that are not published: "
            f"{', '.join(folders)}",
            hint=f"clone its repository{where} at {found.version}, and build that directory",
        )


def _take_place(fresh: Path, place: Path) -> None:
    try:
        fresh.rename(place)
    except OSError:
        if not (place / _RELEASE).is_file():
            raise
        os.utime(place)


def _indented(words: str) -> str:
    return "\n".join(f"  {line}" for line in words.splitlines() if not line.startswith("go: downloading "))
