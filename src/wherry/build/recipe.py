"""The recipe that travels with an image: all that a rebuild has to know, as one JSON document.

`-trimpath` makes Go leave `-ldflags` out of what it records in a program, so the program alone does not tell.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from wherry.host.toolchain import Toolchain
from wherry.plan.steps import Compile
from wherry.source.module import MainPackage

RECIPE = "dev.wherry.recipe"
"""Label and annotation that carry the recipe."""


def recipe_text(recipe: Mapping[str, str]) -> str:
    """Write a recipe as its versioned JSON document: dotted names become nested objects."""
    document: dict[str, object] = {"version": 1}
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
    action: Compile,
    toolchain: Toolchain,
    flags: tuple[str, ...],
    goflags: tuple[str, ...],
    *,
    stamped: bool,
) -> dict[str, str]:
    """Name what a program was compiled of and how, by dotted names; no path of this machine is in it."""
    target = {name: value for name, value in action.environment.items() if name in _TARGET}
    vendored = (package.module / "vendor" / "modules.txt").is_file() and "-mod=mod" not in goflags
    return {
        "module.path": package.module_path,
        "module.package": package.import_path,
        **({"module.version": package.release.version} if package.release else {}),
        "module.source": "vendor" if vendored else "module cache",
        "go.version": toolchain.version,
        "go.flags": " ".join(map(_pathless, flags)),
        "go.goflags": " ".join(_pathless(flag) for flag in goflags if flag.lstrip("-").partition("=")[0] not in _TOLD),
        "go.experiment": toolchain.settings.get("GOEXPERIMENT", ""),
        "go.buildvcs": str(stamped).lower(),
        **{f"go.{name}": value for name, value in target.items()},
    }


_TOLD = frozenset({"ldflags", "tags", "trimpath", "buildvcs", "p", "v", "x", "modcacherw"})
"""Flags of GOFLAGS that are joined with ours, told elsewhere in the recipe, or change no byte."""
_TARGET = ("GOOS", "GOARCH", "GOAMD64", "GOARM", "GOARM64", "CGO_ENABLED")


def _pathless(flag: str) -> str:
    name, equals, value = flag.partition("=")
    if name.lstrip("-") in {"pgo", "overlay", "modfile"} and os.sep in value:
        return f"{name}{equals}{Path(value).name}"
    return flag
