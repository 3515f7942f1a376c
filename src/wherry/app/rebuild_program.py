"""The program of an image that wherry did not build: how it was built, by what Go records in it.

ko, goreleaser and `go build` in a Dockerfile leave no recipe. Their program has build info: module, package, commit,
toolchain, flags. Where paths were trimmed it lacks the linker's flags; whether it was stripped is seen in its sections.
So the program can be built again; the layers around it are the other tool's.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from wherry.analysis.difference import Compared
from wherry.app.rebuild_source import CannotRebuild

if TYPE_CHECKING:
    from wherry.app.images import OpenImage
    from wherry.elf.reader import Elf
    from wherry.golang.buildinfo import BuildInfo
    from wherry.lab.relink import Built
    from wherry.oci.image import Image

_HINT = "compare it with an image that you built yourself: wherry rebuild IMAGE --against IMAGE2"
NOTE = "the image has no recipe of wherry: its program is compared, not its layers and config"


def program_recipe(found: "OpenImage", image: "Image") -> "tuple[str, Built, dict[str, dict[str, str]]]":
    """Give the path of an image's only Go program, how it was built, and the same in the form of a recipe.

    Raises:
        CannotRebuild: there is none, or several; or its source is in no commit.
        NotTheSame: it names a flag that could do harm.
    """
    from wherry.lab.relink import Built, built_by_settings

    with TemporaryDirectory(prefix="wherry-") as folder:
        programs = list(_programs(found, image, Path(folder)))
    if len(programs) != 1:
        said = "has no recipe, and no Go program" if not programs else "has no recipe, and several Go programs"
        raise CannotRebuild(f"{found.name} {said}: wherry did not build it", hint=_HINT)
    path, info, linker = programs[0]
    settings = dict(info.settings)
    revision = settings.get("vcs.revision", "")
    if settings.get("vcs.modified") == "true":
        raise CannotRebuild(
            f"{found.name}: {path} was built from a changed working tree at {revision[:12]}; no commit has its source",
            hint="build it again from a commit",
        )
    if info.main is None or not info.path:
        raise CannotRebuild(f"{found.name}: {path} does not say of which module it is", hint=_HINT)
    built = built_by_settings(settings, info.go_version)
    if linker and not any(flag.startswith("-ldflags") for flag in built.flags):
        built = Built((*built.flags, f"-ldflags={linker}"), built.environment, built.stamped, built.go)
    sections = {
        "module": {"path": info.main.path, "package": info.path, "revision": revision},
        "go": {},
        "base": {"name": "scratch"},
        "layers": {"encoder": "level 1"},
    }
    return path, built, sections


def compare_only_programs(before: "OpenImage", after: "OpenImage", images: "Sequence[Image]") -> tuple[Compared, ...]:
    """Compare the only Go program of two images, platform by platform."""
    from wherry.analysis.differing_programs import compare_files

    compared = []
    others = {str(image.platform): image for image in after.images(None)}
    for image in images:
        with TemporaryDirectory(prefix="wherry-") as one, TemporaryDirectory(prefix="wherry-") as other:
            path, first = next(_files(before, image, Path(one)))
            _, second = next(_files(after, others[str(image.platform)], Path(other)))
            found = compare_files(first, second, path)
            compared.append(Compared(str(image.platform), found.differences, found.cause))
    return tuple(compared)


def _programs(found: "OpenImage", image: "Image", folder: Path) -> "Iterator[tuple[str, BuildInfo, str]]":
    from wherry.analysis.binary import build_info
    from wherry.analysis.mapped import map_elf

    for path, file in _files(found, image, folder):
        elf = map_elf(file, path)
        info = build_info(elf)
        if info is not None:
            yield path, info, _linker_flags(elf)


def _files(found: "OpenImage", image: "Image", folder: Path) -> Iterator[tuple[str, Path]]:
    """Write Go programs of an image into a folder."""
    from wherry.analysis.binary import build_info
    from wherry.analysis.mapped import map_elf
    from wherry.analysis.subjects import image_subjects
    from wherry.errors import InvalidDocument

    for subject in image_subjects(found.source, image, found.name, folder):
        try:
            is_go = build_info(map_elf(subject.file, subject.name)) is not None
        except InvalidDocument:
            is_go = False
        if is_go:
            yield subject.path, subject.file


def _linker_flags(elf: "Elf") -> str:
    """Read from the sections what was left out; -X values leave no trace."""
    names = {section.name for section in elf.sections}
    words = []
    if ".symtab" not in names:
        words += ["-s", "-w"]  # most who strip write both; Go's build ID has a hash of the words
    elif not any(name.startswith((".debug_", ".zdebug_")) for name in names):
        words.append("-w")
    if ".note.go.buildid" not in names:
        words.append("-buildid=")
    return " ".join(words)
