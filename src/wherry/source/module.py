"""The user's module: its main packages, and what a build of one reads.

Sources: Go 1.26, `go help list`, `go help environment`, `go help buildconstraint`, cmd/go's load and modload
packages; go.dev/ref/mod for go.mod, go.work and vendor/modules.txt.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from wherry.errors import NotFound, WherryError
from wherry.host.process import Runner
from wherry.host.toolchain import Toolchain
from wherry.source.cgo import WithoutCgo, tags_of, without_cgo
from wherry.source.inputs import InputKind
from wherry.typed import json_decoder

_CLAUSE = re.compile(rb"^\s*package\s+([A-Za-z_]\w*)", re.MULTILINE)
_MODULE = re.compile(r'^\s*module\s+(?:"([^"]+)"|`([^`]+)`|(\S+))', re.MULTILINE)
_VERSION = re.compile(r"v[0-9]+")
_META = re.compile(r"[*?\[\\]")


class NoMainPackage(NotFound):
    """The path names no folder that `go build` makes a program of."""


class PackageBroken(WherryError):
    """`go list` could not load the package; the message has Go's own words."""

    exit_code = 65  # EX_DATAERR


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a module as its author published it; all but the version is what a module proxy tells."""

    version: str
    query: str
    """What was asked for: the version itself, or `latest`, `v1`, a branch, a commit."""
    committed: int = 0
    """Seconds since the epoch."""
    revision: str = ""
    source: str = ""
    """Address of the repository."""
    warnings: tuple[str, ...] = ()
    """What its author warns of: that the version was retracted, or the module is deprecated."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """Where a program comes from that is not of the current module, but of one that it requires."""

    module: str
    version: str
    """Empty where a folder takes the module's place, by go.work or `replace`."""
    folder: Path
    """The package's own, with its sources."""


@dataclass(frozen=True, slots=True)
class MainPackage:
    """A `package main` in a module."""

    folder: Path
    module: Path
    """The folder with go.mod."""
    module_path: str
    import_path: str
    name: str
    """What `go build` would call the program."""
    release: Release | None = None
    """Of a published module: `folder` and `module` then are ours and only require it."""
    dependency: Dependency | None = None
    """Of another module: `folder` and `module` then are the ones that require it, and decide the versions."""

    @property
    def argument(self) -> str:
        """What `go build`, started in `folder`, is asked for."""
        return self.import_path if self.release or self.dependency else "."

    @property
    def sources(self) -> Path:
        """The folder with the package's own files."""
        return self.dependency.folder if self.dependency else self.folder


class _Module(msgspec.Struct, rename="pascal"):
    path: str = ""
    version: str = ""
    dir: str = ""
    go_mod: str = ""
    replace: "_Module | None" = None


class _Problem(msgspec.Struct, rename="pascal"):
    err: str = ""
    pos: str = ""


class _Package(msgspec.Struct, rename="pascal"):
    dir: str = ""
    import_path: str = ""
    name: str = ""
    imports: tuple[str, ...] = ()
    go_files: tuple[str, ...] = ()
    cgo_files: tuple[str, ...] = ()
    ignored_go_files: tuple[str, ...] = ()
    ignored_other_files: tuple[str, ...] = ()
    c_files: tuple[str, ...] = msgspec.field(name="CFiles", default=())
    cxx_files: tuple[str, ...] = msgspec.field(name="CXXFiles", default=())
    m_files: tuple[str, ...] = msgspec.field(name="MFiles", default=())
    h_files: tuple[str, ...] = msgspec.field(name="HFiles", default=())
    f_files: tuple[str, ...] = msgspec.field(name="FFiles", default=())
    s_files: tuple[str, ...] = msgspec.field(name="SFiles", default=())
    swig_files: tuple[str, ...] = ()
    swig_cxx_files: tuple[str, ...] = msgspec.field(name="SwigCXXFiles", default=())
    syso_files: tuple[str, ...] = ()
    embed_files: tuple[str, ...] = ()
    embed_patterns: tuple[str, ...] = ()
    module: _Module | None = None
    error: _Problem | None = None

    def files(self) -> Iterator[str]:
        """Name all files that the compiler reads, or would read under another constraint."""
        for names in (
            self.go_files, self.cgo_files, self.ignored_go_files, self.ignored_other_files, self.c_files,
            self.cxx_files, self.m_files, self.h_files, self.f_files, self.s_files, self.swig_files,
            self.swig_cxx_files, self.syso_files, self.embed_files,
        ):  # fmt: skip
            yield from names


_ASKED = ",".join(field.encode_name for field in msgspec.structs.fields(_Package))


@dataclass(frozen=True, slots=True)
class PackageListing:
    """What `go list -deps` says a program is made of, on one platform."""

    package: str
    """Name of the root package; a program's is `main`."""
    packages: int
    uses_cgo: bool
    paths: tuple[tuple[str, InputKind], ...]
    imports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What each package imports."""
    without_cgo: WithoutCgo = field(default_factory=WithoutCgo)
    """What is missing because cgo is off; known where Go was asked."""


def find_main(path: Path) -> MainPackage:
    """Find the module and package of a folder, reading only go.mod and the package clauses.

    Raises:
        NotFound: the folder is not there, or in no module.
        NoMainPackage: there is no `package main` in it; the hint names those near by.
    """
    folder = Path(os.path.realpath(path))
    if not folder.is_dir():
        raise NotFound(f"{path}: no such directory", hint="give the directory of a main package, such as ./cmd/api")
    module = next((up for up in (folder, *folder.parents) if (up / "go.mod").is_file()), None)
    if module is None:
        raise NotFound(
            f"{path}: not in a Go module (no go.mod in it or its parents)",
            hint="run `go mod init` in the project, or give the directory of a main package",
        )
    names = package_names(folder)
    if "main" not in names:
        raise NoMainPackage(f"{path}: {_what_there_is(names)}", hint=_near(module, folder))
    module_path = _module_path(module / "go.mod")
    inside = folder.relative_to(module).as_posix()
    import_path = module_path if inside == "." else f"{module_path}/{inside}"
    return MainPackage(folder, module, module_path, import_path, program_name(import_path))


def program_name(import_path: str) -> str:
    """Name a program as `go build` does: the last element, or the one before a major version."""
    elements = import_path.split("/")
    last = elements[-2] if len(elements) > 1 and _VERSION.fullmatch(elements[-1]) else elements[-1]
    return re.sub(r"\.v[0-9]+$", "", last) or last


def package_names(folder: Path) -> set[str]:
    """Read the package clauses of a folder's Go files, tests left out."""
    names = set()
    for file in folder.glob("*.go"):
        if file.name.endswith("_test.go") or file.name[0] in "._" or not file.is_file():
            continue
        with file.open("rb") as start:
            text = re.sub(rb"/\*.*?\*/|//[^\n]*", b"", start.read(1 << 16), flags=re.DOTALL)
        clause = _CLAUSE.search(text)
        if clause:
            names.add(clause[1].decode())
    return names


def main_packages(module: Path) -> tuple[Path, ...]:
    """Find the folders of a module that hold a `package main`, nested modules and vendor/ left out."""
    found = []
    for folder, below, _ in os.walk(module):
        here = Path(folder)
        below[:] = sorted(
            name
            for name in below
            if name[0] not in "._" and name not in {"vendor", "testdata"} and not (here / name / "go.mod").is_file()
        )
        if "main" in package_names(here):
            found.append(here)
    return tuple(found)


def list_inputs(
    runner: Runner,
    toolchain: Toolchain,
    package: MainPackage,
    flags: Sequence[str],
    target: Mapping[str, str],
    *,
    on_line: Callable[[str], None] | None = None,
) -> PackageListing:
    """Ask Go what the program is made of; name everything that may change what `go build` makes of it.

    Args:
        runner: starts `go list`.
        toolchain: which Go.
        package: the program.
        flags: the build flags that decide which files count (`-tags`, `-mod`…).
        target: GOOS, GOARCH and similar.
        on_line: receives what Go prints on stderr, such as which modules it downloads.

    Raises:
        PackageBroken: Go cannot load the package.
    """
    asked = ("list", "-deps", "-e", "-buildvcs=false", f"-json={_ASKED}", *flags, package.argument)
    command = toolchain.command(package.folder, *asked, extra=target)
    answer = runner.run(replace(command, on_line=on_line))
    if answer.returncode:
        raise PackageBroken(f"{package.import_path}: {answer.words}", hint="run `go build` there to see it too")
    packages = json_decoder(_Package).decode_lines(one_a_line(answer.stdout))
    root = packages[-1]
    return PackageListing(
        root.name,
        len(packages),
        any(entry.cgo_files for entry in packages if entry.import_path != "runtime/cgo"),
        tuple(dict.fromkeys(_paths(packages, toolchain, package))),
        {entry.import_path: entry.imports for entry in packages},
        _without_cgo(packages, flags, target),
    )


def _without_cgo(packages: Iterable[_Package], flags: Sequence[str], target: Mapping[str, str]) -> WithoutCgo:
    found = WithoutCgo()
    if target.get("CGO_ENABLED") != "0":
        return found
    tags = tags_of(target.get("GOOS", "linux"), target.get("GOARCH", ""), flags)
    for entry in packages:
        if entry.module and entry.ignored_go_files:
            own = not entry.module.version
            found = found.joined(
                without_cgo(entry.import_path, Path(entry.dir), entry.go_files, entry.ignored_go_files, tags, own=own)
            )
    return found


def one_a_line(stream: bytes) -> bytes:
    """Put each object of `go list -json` on one line: they come indented, so only their own braces start a line."""
    return stream.replace(b"\n\t", b"").replace(b"\n}", b"}")


def _paths(packages: Iterable[_Package], toolchain: Toolchain, package: MainPackage) -> Iterator[tuple[str, InputKind]]:
    modules: dict[str, str] = {}
    for entry in packages:
        yield entry.dir, InputKind.FOLDER
        for name in entry.files():
            yield os.path.join(entry.dir, name), InputKind.FILE  # noqa: PTH118 - thousands of names
        for pattern in entry.embed_patterns:
            yield from _trees(entry.dir, pattern)
        if entry.module:
            used = entry.module.replace or entry.module
            folder = used.dir or entry.module.dir
            modules[folder] = used.go_mod or entry.module.go_mod
            yield from _between(entry.dir, folder)
            if not package.release:
                yield from _shadow(entry.import_path, folder, package)
    for go_mod in modules.values():
        if go_mod:
            yield go_mod, InputKind.FILE
    yield from _module_files(package.module, toolchain)
    yield from _toolchain_files(toolchain)


def _trees(folder: str, pattern: str) -> Iterator[tuple[str, InputKind]]:
    fixed = []
    for element in pattern.removeprefix("all:").split("/"):
        if _META.search(element):
            break
        fixed.append(element)
    top = os.path.join(folder, *fixed)  # noqa: PTH118 - as `_paths`
    if not os.path.isdir(top):  # noqa: PTH112
        top = os.path.dirname(top)  # noqa: PTH120
    yield top, InputKind.TREE
    if top != folder or len(fixed) < len(pattern.split("/")):
        for here, below, _ in os.walk(top):
            for name in below:
                yield os.path.join(here, name), InputKind.TREE  # noqa: PTH118


def _between(folder: str, module: str) -> Iterator[tuple[str, InputKind]]:
    # A go.mod that appears between a package and its module takes the package away from it.
    if not module or not folder.startswith(module):
        return
    while len(folder) > len(module):
        yield os.path.join(folder, "go.mod"), InputKind.ABSENT  # noqa: PTH118
        folder = os.path.dirname(folder)  # noqa: PTH120


def _shadow(import_path: str, module: str, package: MainPackage) -> Iterator[tuple[str, InputKind]]:
    # A folder of the main module that appears under the import path of another module's package is ambiguous.
    prefix = package.module_path + "/"
    if import_path.startswith(prefix) and Path(module) != package.module:
        yield str(package.module / import_path.removeprefix(prefix)), InputKind.FOLDER


def _module_files(module: Path, toolchain: Toolchain) -> Iterator[tuple[str, InputKind]]:
    workspace = toolchain.settings.get("GOWORK", "")
    roots = [module]
    if workspace and workspace != "off":
        yield workspace, InputKind.FILE
        yield workspace + ".sum", InputKind.FILE
        roots.append(Path(workspace).parent)
        roots.extend(_workspace_modules(Path(workspace)))
    elif workspace != "off":
        for up in (module, *module.parents):
            yield str(up / "go.work"), InputKind.ABSENT
    for root in dict.fromkeys(roots):
        for name in ("go.mod", "go.sum", "vendor/modules.txt"):
            yield str(root / name), InputKind.FILE
        for replaced in _local_replacements(root / "go.mod"):
            yield str(replaced / "go.mod"), InputKind.FILE


def _toolchain_files(toolchain: Toolchain) -> Iterator[tuple[str, InputKind]]:
    goroot = Path(toolchain.settings["GOROOT"])
    for path in (Path(toolchain.program), goroot / "bin" / "go", goroot / "VERSION", goroot / "go.env"):
        yield str(path), InputKind.FILE
    tools = Path(toolchain.settings.get("GOTOOLDIR") or goroot / "pkg" / "tool")
    for tool in ("asm", "cgo", "compile", "link"):
        yield str(tools / tool), InputKind.FILE
    if toolchain.settings.get("GOENV", "off") not in {"", "off"}:
        yield toolchain.settings["GOENV"], InputKind.FILE


def _workspace_modules(workspace: Path) -> Iterator[Path]:
    from wherry.golang.modfile import parse_go_work

    try:
        parsed = parse_go_work(workspace.read_text(), str(workspace))
    except (OSError, WherryError):
        return
    for use in parsed.use:
        yield Path(os.path.normpath(workspace.parent / use))
    for replacement in parsed.replace:
        if replacement.is_local:
            yield Path(os.path.normpath(workspace.parent / replacement.new_path))


def _local_replacements(go_mod: Path) -> Iterator[Path]:
    from wherry.golang.modfile import parse_go_mod

    try:
        parsed = parse_go_mod(go_mod.read_text(), str(go_mod))
    except (OSError, WherryError):
        return
    for replacement in parsed.replace:
        if replacement.is_local:
            yield Path(os.path.normpath(go_mod.parent / replacement.new_path))


def module_path_of(folder: Path) -> str:
    """Read the path of the module in a folder; empty where the folder only has a go.work."""
    return _module_path(folder / "go.mod") if (folder / "go.mod").is_file() else ""


def _module_path(go_mod: Path) -> str:
    found = _MODULE.search(go_mod.read_text(errors="replace"))
    if not found:
        raise PackageBroken(f"{go_mod}: has no module line", hint="add `module example.com/name` as its first line")
    return str(next(filter(None, found.groups())))


def _what_there_is(names: set[str]) -> str:
    if not names:
        return "no Go files in this directory"
    return f"package {' and '.join(sorted(names))}, not main"


def _near(module: Path, folder: Path) -> str:
    mains = sorted(main_packages(module), key=lambda main: (not main.is_relative_to(folder), main))
    if not mains:
        return "the module has no `package main`: wherry builds programs, not libraries"
    shown = ", ".join(
        "./" + os.path.relpath(main, folder) if main.is_relative_to(folder) else os.path.relpath(main, folder)
        for main in mains[:5]
    )
    return f"main packages nearby: {shown}"
