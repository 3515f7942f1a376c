"""What a rebuild takes from where an attacker writes: GOFLAGS of a recipe, and the settings files of the source.

The image chooses the commit, so what lies in that commit is as hostile as the image: a flag or a variable of its
wherry.toml or .ko.yaml may start no program and write no file outside the rebuild's own folder.
"""

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wherry.app.rebuild_source import CannotRebuild
from wherry.build.compile import unknown_flags
from wherry.elf.static_pie import VERSION as STATIC_PIE
from wherry.settings.profile import EDGE, SMALL, is_pattern, parse_profile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wherry.app.build.options import GoBuild
    from wherry.app.session import Session

_READS = frozenset({"overlay", "modfile"})
"""Flags of `go build` that put files of any place into a build."""
_VARIABLES = frozenset(
    {
        "CGO_ENABLED", "GO386", "GOAMD64", "GOARM", "GOARM64", "GODEBUG", "GOEXPERIMENT", "GOMIPS", "GOMIPS64",
        "GOPPC64", "GORISCV64",
    }
)  # fmt: skip
"""Variables of a build that choose among what Go can do, and name no program, file or server."""


def goflags_of(text: str) -> list[str]:
    """Split a recipe's GOFLAGS.

    Raises:
        CannotRebuild: one could start a program or read a file, or they can't be split.
    """
    try:
        flags = shlex.split(text)
    except ValueError as error:
        raise CannotRebuild(
            f"GOFLAGS of the recipe: {error}", hint="build it from source yourself, and compare with --against"
        ) from error
    unknown = [*unknown_flags(flags), *filter(_reads, flags)]
    if unknown:
        raise CannotRebuild(f"GOFLAGS of the recipe has {unknown[0]}, which wherry does not pass on from an image")
    return flags


def _reads(flag: str) -> bool:
    name, _, value = flag.lstrip("-").partition("=")
    return name in _READS or (name == "pgo" and "/" in value)


def recorded_linkage(session: "Session", recipe: "Mapping[str, object]") -> "dict[str, Any]":
    """Give the options of a build for what a recipe says of its profile and its linking.

    Args:
        session: of the rebuild.
        recipe: the section `go`; anybody may have written it.

    Raises:
        CannotRebuild: it is not known to this wherry, or needs another zig.
    """
    go = {name: str(value) for name, value in recipe.items()}
    patterns = tuple(go.get("noInline", "").split())
    strange = [f"no-inline pattern {one!r}" for one in patterns if not is_pattern(one)]
    strange += [f"cgo {go['cgo']!r}"] if go.get("cgo", "musl") != "musl" else []
    strange += [f"staticPie {go['staticPie']!r}"] if go.get("staticPie", str(STATIC_PIE)) != str(STATIC_PIE) else []
    strange += [f"profile {go['profile']!r}"] if go.get("profile", EDGE) not in {EDGE, f"{EDGE},{SMALL}"} else []
    if strange:
        raise CannotRebuild(
            f"the recipe has a {strange[0]}, which this wherry does not know", hint="use a newer wherry"
        )
    if "cgo" in go:
        _check_zig(session, go.get("zig", ""))
    return {
        "profile": parse_profile(go["profile"]) if "profile" in go else (),
        "no_inline": patterns,
        "pie": "staticPie" in go,
        "cgo": go.get("cgo") or ("off" if go.get("CGO_ENABLED") == "0" else None),
        "settled": True,
    }


def _check_zig(session: "Session", version: str) -> None:
    from wherry.host.zig import find_zig

    found = find_zig(session.runner, session.environment).version
    if found != version:
        raise CannotRebuild(
            f"its C was compiled by zig {version}; this machine has {found}", hint=f"pip install ziglang=={version}"
        )


def without_harm(session: "Session", wanted: "GoBuild", folder: "Path") -> "GoBuild":
    """Check what the source's settings files add to a build, and keep what it writes in a folder.

    Args:
        session: of the rebuild.
        wanted: the build; what its options set themselves was checked or is the user's.
        folder: of the rebuild alone.

    Raises:
        CannotRebuild: a flag or variable of a file could start a program, or read or write elsewhere.
    """
    from wherry.app.build.go import go_call
    from wherry.app.build.go_work import GoRequests

    request = go_call(session, wanted).request
    assert isinstance(request, GoRequests)  # noqa: S101 - a build of Go packages has no other
    for image in request.images:
        flags = image.flags if wanted.ldflags is None else replace(image.flags, ldflags="")
        unknown = unknown_flags(flags.arguments())
        if unknown:
            raise CannotRebuild(
                f"wherry.toml or .ko.yaml of the source has {unknown[0]}, which could start a program or read a file",
                hint="build it from source yourself, and compare with --against",
            )
        ours = dict(wanted.go_env or ())
        for name, value in image.go_environment.items():
            if name not in _VARIABLES and ours.get(name) != value:
                raise CannotRebuild(
                    f"wherry.toml or .ko.yaml of the source sets {name}, which could start a program or reach a server",
                    hint=f"if you trust the source, build it yourself and compare with --against; "
                    f"a value of {name} in your environment counts without the file",
                )
        if image.debug_info is not None:
            wanted = replace(wanted, debug_info=str(folder / "program.debug"))
    return wanted
