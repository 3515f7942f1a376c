"""Which files of modules a build may read, found without Go: what is sent to where it is built.

More than one build reads, and nothing that none does: Go files of all platforms (tests left out), what `//go:embed`
names, what assembly includes, vendor/, go.mod and its kin of the module, of its workspace and of `replace` folders.

Sources: Go 1.26, `go help packages`, `go doc embed`, go/build (`matchFile`); go.dev/ref/mod, "go.work files" and
"replace directive".
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from wherry.errors import WherryError
from wherry.golang.modfile import parse_go_mod, parse_go_work
from wherry.source.inputs import GO_SUFFIXES

SETTINGS = ("wherry.toml", "wherry.lock", ".ko.yaml")
"""Files of ours, and of ko's, that say how a module is built."""
_LISTS = frozenset({"go.mod", "go.sum", "go.work", "go.work.sum", "modules.txt", *SETTINGS})
_NOT_OURS = frozenset({".git", ".hg", ".svn", ".bzr", "node_modules"})
_EMBED = re.compile(rb"^//go:embed[ \t]+([^\r\n]+)", re.MULTILINE)
_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]+"([^"\r\n]+)"', re.MULTILINE)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|\S+')
_META = re.compile(r"[*?\[\\]")


def workspace_of(folder: Path, environment: Mapping[str, str]) -> Path | None:
    """Give the go.work that counts in a folder; None where none does."""
    named = environment.get("GOWORK", "")
    if named:
        return None if named == "off" else folder / named
    return next((one / "go.work" for one in (folder, *folder.parents) if (one / "go.work").is_file()), None)


def modules_read(module: Path, workspace: Path | None) -> tuple[Path, ...]:
    """Name the folders of all modules that a build of one may read: its own, those of a workspace, of `replace`.

    Folders that are not there are left out: Go names them best.

    Raises:
        InvalidDocument: go.work or a go.mod is broken.
    """
    found = [module]
    if workspace is not None and workspace.is_file():
        parsed = parse_go_work(workspace.read_text(errors="replace"), str(workspace))
        found += [workspace.parent / used for used in parsed.use]
        found += [workspace.parent / one.new_path for one in parsed.replace if one.is_local]
    for one in tuple(found):
        if (file := one / "go.mod").is_file():
            parsed_mod = parse_go_mod(file.read_text(errors="replace"), str(file))
            found += [one / replaced.new_path for replaced in parsed_mod.replace if replaced.is_local]
    real = dict.fromkeys(Path(os.path.realpath(one)) for one in found)
    return tuple(one for one in real if one.is_dir())


def module_files(modules: Iterable[Path]) -> Iterator[Path]:
    """Name the files of modules that a build may read; links to folders are among them, as links.

    Args:
        modules: their folders, real paths; a module in another's folder counts where it is one of them.
    """
    folders = tuple(modules)
    found: dict[Path, None] = {}
    for module in folders:
        for here, below, names in os.walk(module):
            folder = Path(here)
            links = [name for name in below if (folder / name).is_symlink()]
            below[:] = sorted(name for name in below if name not in links and not _is_other(folder / name, module))
            found |= dict.fromkeys(folder / name for name in links if _inside(folder / name, folders))
            for name in sorted(names):
                if name in _LISTS or (name.endswith(GO_SUFFIXES) and not name.endswith("_test.go")):
                    found |= dict.fromkeys(_with_named(folder / name))
    yield from found


def _is_other(folder: Path, module: Path) -> bool:
    """Report whether a folder is of another module, or of none; in vendor/ there are no others."""
    if folder.name in _NOT_OURS:
        return True
    return (folder / "go.mod").is_file() and "vendor" not in folder.relative_to(module).parts


def _inside(link: Path, folders: Iterable[Path]) -> bool:
    real = Path(os.path.realpath(link))
    return any(real.is_relative_to(folder) for folder in folders)


def _with_named(file: Path) -> Iterator[Path]:
    """Give a file, and those that its lines name."""
    if not file.is_file():
        return  # a link to nothing, or no file; Go passes over it, or names it
    yield file
    if file.suffix == ".go":
        content = file.read_bytes()
        if b"//go:embed" in content:
            for line in _EMBED.findall(content):
                yield from _embedded(file.parent, line.decode(errors="surrogateescape"))
    elif file.suffix.lower() in {".s", ".h", ".sx"}:
        for name in _INCLUDE.findall(file.read_bytes()):
            included = file.parent / os.fsdecode(name)
            if included.is_file():
                yield included


def _embedded(folder: Path, line: str) -> Iterator[Path]:
    for word in _WORD.findall(line):
        pattern = word.strip('"`').removeprefix("all:")
        if not pattern or "\0" in pattern or pattern.startswith("/") or ".." in pattern.split("/"):
            continue  # Go refuses it
        for found in _matches(folder, pattern):
            yield from _files_in(found)


def _matches(folder: Path, pattern: str) -> Iterator[Path]:
    if not _META.search(pattern):
        yield folder / pattern
        return
    if "\\" in pattern:  # what is escaped is rare: all below what is fixed
        fixed = pattern.split("/")
        plain = next(place for place, part in enumerate(fixed) if _META.search(part))
        yield folder.joinpath(*fixed[:plain])
        return
    try:
        yield from sorted(folder.glob(pattern.replace("[^", "[!").replace("**", "*")))
    except (ValueError, OSError, WherryError):
        return


def _files_in(top: Path) -> Iterator[Path]:
    if top.is_file():
        yield top
        return
    for here, below, names in os.walk(top):
        below[:] = sorted(name for name in below if name not in _NOT_OURS - {"node_modules"})
        yield from (path for name in sorted(names) if (path := Path(here) / name).is_file())
