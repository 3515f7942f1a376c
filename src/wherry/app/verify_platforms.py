"""Whether the platforms of an image are one thing: the same module, version, settings, files and config."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from wherry.app.images import open_image, recipe_of
from wherry.app.platform_runs import PlatformRun, judge_runs, run_platforms
from wherry.app.session import Session
from wherry.errors import InvalidDocument
from wherry.finding import Finding, Severity
from wherry.platform import Platform

if TYPE_CHECKING:
    from wherry.app.images import OpenImage
    from wherry.golang.buildinfo import BuildInfo
    from wherry.oci.image import Image

_OF_PLATFORM = frozenset({
    "GOOS", "GOARCH", "GOAMD64", "GOARM", "GOARM64", "GO386", "GOMIPS", "GOMIPS64", "GOPPC64", "GORISCV64", "GOWASM",
})  # fmt: skip
"""Settings that platforms may have each for itself."""
_RECIPE = "dev.wherry.recipe"
_MOST_NAMED = 3


class VerifiedProgram(msgspec.Struct, frozen=True, kw_only=True):
    """A program of one platform."""

    path: str
    architecture: str
    """As GOARCH has it; empty for a file that cannot be read as a program."""
    module: str = ""
    """The Go module with its version; empty for other programs."""
    go: str = ""


class VerifiedPlatform(msgspec.Struct, frozen=True, kw_only=True):
    """One platform of the image."""

    platform: str
    digest: str
    programs: tuple[VerifiedProgram, ...]
    run: PlatformRun | None = None
    """What came of running it once; None where none was run."""


class PlatformsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What `wherry verify-platforms --json` prints."""

    version: int = 1
    name: str
    digest: str
    platforms: tuple[VerifiedPlatform, ...]
    findings: tuple[Finding, ...]
    """What is not the same; none: the platforms agree."""


def verify_platforms(
    session: Session, name: str, *, run: bool = False, notice: Callable[[str], None] = lambda _: None
) -> PlatformsDocument:
    """Compare the platforms of an image with the first one.

    Args:
        session: where it is looked for; its cache keeps the indexes of layers.
        name: an image, as `open_image` takes it.
        run: whether each platform is run once, where this machine can: in the sandbox, without a network.
        notice: called with each limit of this machine that counts for a run.

    Raises:
        NotFound, RegistryError, InvalidReference: there is no such image.
        InvalidArchive, DigestMismatch, InvalidDocument: a layer is not what the image says.

    Cost: each layer is read once or twice; of files their index is held.
    """
    from wherry.app.analyze import images_there

    found = open_image(session, name)
    images = images_there(found, None)
    with TemporaryDirectory(prefix="wherry-") as folder:
        programs = [_programs(found, image, Path(folder)) for image in images]
    findings = [
        *(finding for image, ours in zip(images, programs, strict=True) for finding in _misplaced(image, ours)),
        *(finding for number in range(1, len(images)) for finding in _pair(session, found, images, programs, number)),
    ]
    runs: list[PlatformRun | None] = [None] * len(images)
    if run:
        ended = tuple(run_platforms(session, found, images, notice))
        findings += judge_runs(images, ended)
        runs = list(ended)
    return PlatformsDocument(
        name=found.name, digest=found.digest, findings=tuple(findings),
        platforms=tuple(
            VerifiedPlatform(
                platform=str(image.platform), digest=str(image.descriptor.digest),
                programs=tuple(program for program, _ in ours.values()), run=came,
            )
            for image, ours, came in zip(images, programs, runs, strict=True)
        ),
    )  # fmt: skip


_Programs = Mapping[str, "tuple[VerifiedProgram, BuildInfo | None]"]


def _programs(found: "OpenImage", image: "Image", folder: Path) -> _Programs:
    from wherry.analysis.binary import build_info
    from wherry.analysis.mapped import map_elf
    from wherry.analysis.subjects import image_subjects
    from wherry.elf.machine import architecture

    programs: dict[str, tuple[VerifiedProgram, BuildInfo | None]] = {}
    for subject in image_subjects(found.source, image, found.name, folder):
        try:
            elf = map_elf(subject.file, subject.name)
            info = build_info(elf)
            kind = architecture(elf)
        except InvalidDocument:
            info, kind = None, ""
        main = info.main if info else None
        programs[subject.path] = (
            VerifiedProgram(
                path=subject.path, architecture=kind,
                module=f"{main.path} {main.version}".strip() if main else "", go=info.go_version if info else "",
            ),
            info,
        )  # fmt: skip
        subject.file.unlink()
    return programs


def _misplaced(image: "Image", programs: _Programs) -> Iterator[Finding]:
    for path, (program, _) in programs.items():
        if program.architecture and program.architecture != image.platform.architecture:
            yield _finding(
                "wrong-architecture", f"{image.platform} {path}", f"it is built for {program.architecture}",
                remedy=f"build it for {image.platform}: a stage without --platform=$BUILDPLATFORM, or GOARCH not set",
            )  # fmt: skip


def _pair(
    session: Session, found: "OpenImage", images: "tuple[Image, ...]", programs: list[_Programs], number: int
) -> Iterator[Finding]:
    from wherry.analysis.image.compare import files_change
    from wherry.analysis.image.union import Union
    from wherry.app.layer_indexes import LayerIndexes

    first, other = images[0], images[number]
    place = f"{other.platform}"
    yield from _config(first, other, place)
    yield from _infos(programs[0], programs[number], first.platform, place)
    kept = LayerIndexes.of(session)
    unions = [Union(kept.of_image(found.source, image)) for image in (first, other)]
    own = {path.lstrip("/") for one in (programs[0], programs[number]) for path in one}
    changes = [one for one in files_change(*unions).files if one.path.lstrip("/") not in own]
    if changes:
        named = ", ".join(f"{one.path} ({one.cause})" for one in changes[:_MOST_NAMED])
        more = f" and {len(changes) - _MOST_NAMED} more" if len(changes) > _MOST_NAMED else ""
        yield _finding("files-differ", place, f"files differ from those of {first.platform}: {named}{more}")


def _config(first: "Image", other: "Image", place: str) -> Iterator[Finding]:
    sides = [_plain(image) for image in (first, other)]
    names = [name for name in dict.fromkeys((*sides[0], *sides[1])) if sides[0].get(name) != sides[1].get(name)]
    if names:
        yield _finding(
            "config-differs", place, f"the config differs from that of {first.platform}: {', '.join(names)}",
            *(f"{name}: {sides[0].get(name)} and {sides[1].get(name)}" for name in names[:_MOST_NAMED]),
        )  # fmt: skip


def _plain(image: "Image") -> dict[str, object]:
    document = msgspec.json.decode(image.config.encoded()).get("config") or {}
    labels = dict(document.pop("Labels", None) or {})
    labels.pop(_RECIPE, None)
    recipe = {name: value for name, value in recipe_of(image).items() if name != "base"}
    go = recipe.get("go")
    if isinstance(go, dict):
        recipe["go"] = {name: value for name, value in go.items() if name not in _OF_PLATFORM}
    return {**document, **{f"label {name}": value for name, value in labels.items()}, "recipe": recipe}


def _infos(first: _Programs, other: _Programs, platform: Platform, place: str) -> Iterator[Finding]:
    for path in dict.fromkeys((*first, *other)):
        if path not in first or path not in other:
            yield _finding("program-missing", f"{place} {path}", f"only one of {platform} and {place} has it")
            continue
        one, two = first[path][1], other[path][1]
        lines = [set(_lines(info)) if info else set() for info in (one, two)]
        if lines[0] != lines[1]:
            yield _finding(
                "build-differs", f"{place} {path}", f"it is not built as that of {platform} is",
                *sorted(f"{platform}: {line}" for line in lines[0] - lines[1])[:_MOST_NAMED],
                *sorted(f"{place}: {line}" for line in lines[1] - lines[0])[:_MOST_NAMED],
                remedy="build all platforms in one call, from one commit",
            )  # fmt: skip


def _lines(info: "BuildInfo") -> Iterator[str]:
    yield f"go {info.go_version}"
    yield f"path {info.path}"
    for module in (*((info.main,) if info.main else ()), *info.modules):
        replaced = f" => {module.replace.path} {module.replace.version}" if module.replace else ""
        yield f"{module.path} {module.version} {module.sum}{replaced}".rstrip()
    for name, value in info.settings.items():
        if name not in _OF_PLATFORM:
            yield f"{name}={value}"


def _finding(rule: str, place: str, message: str, *evidence: str, remedy: str = "") -> Finding:
    return Finding(rule, Severity.ERROR, place, message, evidence, remedy)
