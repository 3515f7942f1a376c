"""What the profile `edge` chooses for a small device, each by evidence, and what `--pie` and `--cgo` can't be.

Measured by `make bench-edge` (docs/benchmarks-edge.md). What the user says stands above all of it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from wherry.errors import InvalidUsage
from wherry.platform import Platform
from wherry.settings.options import BuildOptions
from wherry.settings.profile import EDGE, SMALL

if TYPE_CHECKING:
    from wherry.app.build.go_work import GoRequest
    from wherry.app.build.programs import ChosenProgram
    from wherry.app.session import Session

_NO_INLINE = "all=-l"
_FUNCALIGN_SINCE = (1, 26)
_PACKED = "-funcalign=4"
"""Functions at multiples of 4 bytes: what arm64 asks for at least; 1 would save 0.2 % more on amd64 alone."""
_SHARE = 2
"""The part of a device's memory that Go may have: half; the program's pages, the kernel and others need the rest."""
_ROOMY = 256 * 10**6
"""Bytes of a device from which on the collector may let the heap grow more before it works."""
_OLDEST_TLS = "tls10server"
"""What Go's setting for servers with TLS 1.0 and 1.1 is called in GODEBUG; a go.mod before 1.22 turns it on."""


def with_profile(session: "Session", options: BuildOptions, chosen: "ChosenProgram") -> BuildOptions:
    """Add what a profile chooses to options.

    Args:
        session: where Go is asked for its version, where that matters.
        options: those of the user, from all places.
        chosen: the program.

    Raises:
        InvalidUsage: an option says otherwise.
    """
    profile = options.profile or ()
    if EDGE not in profile:
        return _without(options)
    encoded = options.release is not None or options.compression or options.compression_level is not None
    options = replace(
        options,
        env=_environment(options, chosen),
        release=options.release if encoded else True,
        go_tags=tuple(dict.fromkeys((*(options.go_tags or ()), *_lossless(chosen)))),
    )
    return _smallest(session, options, chosen) if SMALL in profile else options


def _lossless(chosen: "ChosenProgram") -> Iterator[str]:
    """Name build tags that `slim` proved to leave dead code out and to drop nothing, of modules that go.mod has."""
    from wherry.lab.remedies import known_ways

    text = _go_mod(chosen)
    for way in known_ways():
        if not way.drops and way.module and re.search(rf"(?m)^\s*(require\s+)?{re.escape(way.module)}\s+v", text):
            yield from way.tags


def _go_mod(chosen: "ChosenProgram") -> str:
    file = chosen.package.module / "go.mod"
    return file.read_text(errors="replace") if file.is_file() else ""


def _without(options: BuildOptions) -> BuildOptions:
    if options.device_memory is not None:
        raise InvalidUsage(
            "--device-memory is a part of the profile edge", hint="add --profile edge, or set GOMEMLIMIT with --env"
        )
    return replace(options, no_inline=None)


def _environment(options: BuildOptions, chosen: "ChosenProgram") -> tuple[tuple[str, str], ...]:
    """Give variables of the image: those of the user, and what a device's memory and the floor of TLS ask for."""
    said = dict(options.env or ())
    own: dict[str, str] = {}
    if options.device_memory:
        own["GOMEMLIMIT"] = f"{options.device_memory // _SHARE >> 20}MiB"
        own["GOGC"] = "200" if options.device_memory >= _ROOMY else "100"
    if _language_of(chosen) < (1, 22) and _OLDEST_TLS not in said.get("GODEBUG", ""):
        before = said.pop("GODEBUG", "")
        own["GODEBUG"] = ",".join(filter(None, (before, f"{_OLDEST_TLS}=0")))
    return tuple({**own, **said}.items())


def _language_of(chosen: "ChosenProgram") -> tuple[int, int]:
    """Give the version of Go that the module's go.mod names, which decides what TLS its servers speak."""
    found = re.search(r"^go\s+1\.(\d{1,3})", _go_mod(chosen), re.MULTILINE)
    return (1, int(found[1])) if found else (1, 16)


def _smallest(session: "Session", options: BuildOptions, chosen: "ChosenProgram") -> BuildOptions:
    if options.gcflags:
        raise InvalidUsage(
            f"the profile edge,small compiles with -gcflags={_NO_INLINE}, and gcflags is {options.gcflags!r}",
            hint="remove one of them",
        )
    from wherry.host.toolchain import find_toolchain

    ldflags = options.ldflags or ""
    toolchain = find_toolchain(
        session.runner, session.environment, chosen.package.folder, version=options.go_version or ""
    )
    if "-funcalign" not in ldflags and _version(toolchain.version) >= _FUNCALIGN_SINCE:
        ldflags = f"{ldflags} {_PACKED}".strip()
    return replace(options, gcflags=_NO_INLINE, no_inline=None, ldflags=ldflags)


def _version(text: str) -> tuple[int, ...]:
    """Read the first two numbers of `go1.26.8`, `go1.27rc1` or `devel go1.28-…`."""
    return tuple(map(int, re.findall(r"\d+", text.partition("go")[2])[:2]))


def check_linkage(options: BuildOptions, platforms: Sequence[Platform]) -> None:
    """Refuse a PIE or C for a platform that they can't be made for.

    Raises:
        InvalidUsage: with the reason.
    """
    from wherry.elf.static_pie import ARCHITECTURES as PIE
    from wherry.host.zig import ARCHITECTURES as MUSL

    if options.pie and options.cgo == "musl":
        raise InvalidUsage(
            "--pie and --cgo musl cannot be combined: wherry relocates what Go's own linker made, not what C's did",
            hint="remove one of them",
        )
    for platform in platforms:
        if options.pie and platform.architecture not in PIE:
            raise InvalidUsage(
                f"--pie for {platform}: {_why_no_pie(platform)}",
                hint=f"build it for {' or '.join(PIE)}, or without --pie",
            )
        if options.cgo == "musl" and platform.architecture not in MUSL:
            raise InvalidUsage(
                f"--cgo musl for {platform}: wherry knows zig's target of {', '.join(MUSL)} only",
                hint="build the other platforms without cgo",
            )


def _why_no_pie(platform: Platform) -> str:
    if platform.architecture in {"ppc64le", "loong64"}:
        return "wherry has no code that relocates a PIE there, and one that asks for a dynamic linker would not start"
    return 'Go links a PIE there with a C compiler only ("-buildmode=pie requires external (cgo) linking")'


def profile_lines(request: "GoRequest") -> Iterator[str]:
    """Say what a profile chose for an image, and its price."""
    if EDGE not in request.profile:
        return
    said = [f"tags {','.join(request.flags.tags)}"] if request.flags.tags else []
    if request.no_inline:
        said.append(f"no inlining in {', '.join(request.no_inline)}")
    said += [pair for pair in request.config.env or () if pair.partition("=")[0] in _SET]
    said += ["zstd 19"] if request.release else []
    yield f"profile {','.join(request.profile)}: {', '.join(said)}"
    if f"{_OLDEST_TLS}=1" in " ".join(request.config.env or ()):
        yield f"warning: GODEBUG has {_OLDEST_TLS}=1, by which servers accept TLS 1.0 and 1.1"
    if SMALL in request.profile:
        yield (
            "profile small: no inlining and packed functions, for 10 to 20 % more CPU under load; "
            "`wherry flags --deep --run` measures the start of this program"
        )


_SET = ("GOMEMLIMIT", "GOGC", "GODEBUG")
