"""The recipe that travels with an image: everything a rebuild needs and anyone may read, as one JSON document.

`-trimpath` makes Go leave `-ldflags` out of what it records in a program, so the program alone does not show them.
Everyone who can pull the image can read its recipe, so it has only those values of `-X` that are public anyway;
it names the other variables, without a hash (a short secret is guessed from one), and a rebuild has to be given their
values.

Version 2 leaves values out, names them in `go.withheld`, and quotes `go.flags` and `go.goflags` as a shell does.
"""

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from wherry.errors import WherryError
from wherry.finding import Finding, Severity
from wherry.golang.ldflags import without_values, x_values
from wherry.host.toolchain import Toolchain
from wherry.plan.graph import CompileOp
from wherry.source.module import MainPackage

RECIPE = "dev.wherry.recipe"
"""Label and annotation that carry the recipe."""
VERSION = 2
_LINKER = "-ldflags="


class SecretPublished(WherryError):
    """A build is about to put into an image what looks like a secret."""

    exit_code = 65  # EX_DATAERR


def recipe_text(recipe: Mapping[str, str]) -> str:
    """Write a recipe as its versioned JSON document: dotted names become nested objects."""
    document: dict[str, object] = {"version": VERSION}
    for name, value in recipe.items():
        *outer, last = name.split(".")
        here = document
        for word in outer:
            inner = here.setdefault(word, {})
            assert isinstance(inner, dict)  # noqa: S101 - names are ours and never both leaf and branch
            here = inner
        here[last] = value
    return msgspec.json.encode(document, order="deterministic").decode()


def recipe_of(
    package: MainPackage,
    action: CompileOp,
    toolchain: Toolchain,
    flags: tuple[str, ...],
    goflags: tuple[str, ...],
    *,
    stamped: bool,
) -> dict[str, str]:
    """Name what a program was compiled of and how, by dotted names; no path of this machine is in it."""
    _, public = values_of(action, goflags)
    known = _TOLD if any(_name(flag) == "tags" for flag in flags) else _TOLD - {"tags"}
    flags, withheld = _without_secrets(flags, public)
    target = {name: value for name, value in action.environment.items() if name in _TARGET}
    vendored = (package.module / "vendor" / "modules.txt").is_file() and "-mod=mod" not in goflags
    return {
        "module.path": package.dependency.module if package.dependency else package.module_path,
        "module.package": package.import_path,
        **({"module.version": package.release.version} if package.release else {}),
        **({"module.version": package.dependency.version or "replaced"} if package.dependency else {}),
        "module.source": "vendor" if vendored else "module cache",
        "go.version": toolchain.version,
        "go.flags": shlex.join(map(_pathless, flags)),
        **({"go.withheld": " ".join(withheld)} if withheld else {}),
        "go.goflags": shlex.join(_pathless(flag) for flag in goflags if _name(flag) not in known),
        "go.experiment": toolchain.settings.get("GOEXPERIMENT", ""),
        "go.buildvcs": str(stamped).lower(),
        **({"go.noInline": " ".join(action.no_inline)} if action.no_inline else {}),
        **({"go.cgo": action.cgo} if action.cgo else {}),
        **({"go.staticPie": str(action.static_pie)} if action.static_pie else {}),
        **{f"go.{name}": value for name, value in target.items()},
    }


_TOLD = frozenset({"ldflags", "tags", "trimpath", "buildvcs", "p", "v", "x", "modcacherw"})
"""Flags of GOFLAGS that are joined with ours, recorded elsewhere in the recipe, or change no byte."""
_TARGET = (
    "GOOS", "GOARCH", "GOAMD64", "GOARM", "GOARM64", "GO386", "GOMIPS", "GOMIPS64", "GOPPC64", "GORISCV64",
    "CGO_ENABLED",
)  # fmt: skip


def values_of(action: CompileOp, goflags: Sequence[str]) -> tuple[list[tuple[str, str]], frozenset[str]]:
    """Give what -X sets, and the variables with values that may be published.

    A variable that GOFLAGS sets too is none of them: the source of its value is unknown.
    """
    theirs = [pair for flag in goflags if _name(flag) == "ldflags" for pair in x_values(flag.partition("=")[2])]
    ours = [pair for flag in action.flags if flag.startswith(_LINKER) for pair in x_values(flag[len(_LINKER) :])]
    return [*theirs, *ours], frozenset(action.public) - {name for name, _ in theirs}


def refuse_secrets(findings: Iterable[Finding], *, allowed: bool, way: str = "--allow-secret-ldflags") -> Iterator[str]:
    """Stop at what must not be published; yield the rest as warnings.

    Args:
        findings: of what will be published.
        allowed: whether errors are warnings.
        way: the option that allows them.

    Raises:
        SecretPublished: something is an error, and errors are not allowed.
    """
    for finding in findings:
        if finding.severity is Severity.ERROR and not allowed:
            raise SecretPublished(
                f"{finding.place}: {finding.message}",
                hint=f"{finding.remedy}; if it is not a secret, use {way}",
            )
        yield f"{finding.place}: {finding.message}"


def _without_secrets(flags: Sequence[str], public: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Take values that are not public out of flags; name their variables."""
    kept: list[str] = []
    gone: list[str] = []
    for flag in flags:
        if not flag.startswith(_LINKER):
            kept.append(flag)
            continue
        text, names = without_values(flag[len(_LINKER) :], public)
        gone += names
        if text:
            kept.append(f"{_LINKER}{text}")
    return tuple(kept), tuple(dict.fromkeys(gone))


def _name(flag: str) -> str:
    return flag.lstrip("-").partition("=")[0]


def _pathless(flag: str) -> str:
    name, equals, value = flag.partition("=")
    if name.lstrip("-") in {"pgo", "overlay", "modfile"} and os.sep in value:
        return f"{name}{equals}{Path(value).name}"
    return flag
