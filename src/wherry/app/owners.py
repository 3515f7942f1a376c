"""Owners of data of stripped programs: kept in the store by a build, or had by linking the program again."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

from wherry.app.session import Session
from wherry.errors import WherryError
from wherry.store.files import read_regular, replacing

if TYPE_CHECKING:
    from wherry.analysis.named_data import NamedData
    from wherry.analysis.subjects import Subject
    from wherry.build.origins import CompileOrigin
    from wherry.elf.reader import Elf
    from wherry.lab.compiling import Compiler

RECORDS = "owners"
"""Below the store: a record a program, by its digest."""
_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class VariableOwners:
    """Variables of a stripped program, or why there are none."""

    named: "NamedData | None" = None
    owners: str = ""
    """Where they are from: `relink` or `record`."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class OwnerFinder:
    """Finds the variables of stripped programs."""

    session: Session
    source: str | None
    """Folder of the module, if the user named one; None: only what this store built is linked again, where nothing that
    the build read has changed."""
    recipes: Mapping[str, str]
    """Of an image the label with the recipe, by platform."""

    @classmethod
    def of(cls, session: Session, name: str, platform: str | None, source: str | None) -> Self:
        """Prepare for a program or an image."""
        from wherry.app.subjects import images_named, is_program
        from wherry.build.recipe import RECIPE

        recipes: dict[str, str] = {}
        if source is not None and not is_program(session.cwd / name):
            _, images = images_named(session, name, platform)
            labels = {str(image.platform): image.config.runtime.labels or {} for image in images}
            recipes = {where: found[RECIPE] for where, found in labels.items() if RECIPE in found}
        return cls(session, source, recipes)

    def names(self, subject: "Subject", elf: "Elf") -> VariableOwners:
        """Find the variables of a program: in a record, else by linking it again.

        Returns:
            None of them where it has symbols itself, and with the reason where a link could not be done or gave another
            program.
        """
        from wherry.analysis.sizing import RECORD, RELINK

        digest = str(subject.digest)
        if elf.section(".symtab") is not None:
            return VariableOwners()
        try:
            if content := read_regular(_record(self.session, digest), _LARGEST):
                from wherry.analysis.named_data import NamedData

                return VariableOwners(NamedData.parse(content, digest, f"record of {digest}"), RECORD)
            if origin := _origin(self.session, digest):
                return VariableOwners(_relinked(self.session, origin, elf), RELINK)
            return self._from_source(subject, elf) if self.source is not None else VariableOwners()
        except WherryError as error:
            return VariableOwners(problem=f"variables are not attributed: {error.message}")

    def _from_source(self, subject: "Subject", elf: "Elf") -> VariableOwners:
        from wherry.analysis.binary import build_info
        from wherry.analysis.sizing import RELINK
        from wherry.app.imports import is_inside, module_folder
        from wherry.lab.relink import built_by_recipe, built_by_settings, package_in, relinked

        info = build_info(elf)
        if info is None or info.main is None or not is_inside(info.path, info.main.path):
            return VariableOwners()
        folder = module_folder(self.session, self.source, info.main.path)
        if folder is None:
            return VariableOwners()
        built = built_by_recipe(self.recipes.get(subject.platform, ""))
        built = built or built_by_settings(info.settings, info.go_version)
        package = package_in(folder, info.main.path, info.path)
        with _compiler(self.session, folder, built.environment, built.go) as compiler:
            return VariableOwners(relinked(compiler, package, built, elf), RELINK)


def at_hand(session: Session, digest: str, *, tried: bool) -> bool:
    """Report whether the variables of a program are available without a request.

    Args:
        session: where.
        digest: of the program.
        tried: whether linking it again has failed before.
    """
    return _record(session, digest).is_file() or (not tried and _origin(session, digest) is not None)


def keep_records(session: Session, images: Iterable[str]) -> int:
    """Keep a record of the variables of programs that this store built, so that their owners are exact later.

    Args:
        session: where.
        images: their names, or names with digests.

    Returns:
        Bytes of the records.

    Raises:
        WherryError: a program can't be linked again, or gave another program.
    """
    from wherry.analysis.mapped import map_elf
    from wherry.app.subjects import subjects

    size = 0
    for image in images:
        with subjects(session, image) as found:
            for subject in found:
                digest = str(subject.digest)
                place, origin = _record(session, digest), _origin(session, digest, changed=True)
                if not place.is_file() and origin is not None:
                    content = _relinked(session, origin, map_elf(subject.file, subject.name)).encoded(digest)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with replacing(place) as file:
                        file.write(content)
                size += place.stat().st_size if place.is_file() else 0
    return size


def _record(session: Session, digest: str) -> Path:
    return session.store_folder / RECORDS / digest.replace(":", "-")


def _origin(session: Session, digest: str, *, changed: bool = False) -> "CompileOrigin | None":
    """Report how a program was built here, if what it was built from is unchanged, or where that does not matter."""
    from wherry.build.origins import is_unchanged, origin_of
    from wherry.store.results import Results

    with closing(Results(session.cache_folder)) as results:
        origin = origin_of(results, digest)
        return origin if origin and (changed or is_unchanged(results, origin)) else None


def _relinked(session: Session, origin: "CompileOrigin", elf: "Elf") -> "NamedData":
    from wherry.lab.relink import Built, relinked
    from wherry.source.dependency import package_of
    from wherry.source.module import find_main
    from wherry.source.published import read_published

    folder = Path(origin.package)
    if origin.dependency:
        package = package_of(folder, origin.dependency)
    else:
        package = read_published(folder) if origin.published else find_main(folder)
    stamped = origin.stamped == "true"
    built = Built(origin.flags, origin.environment, stamped, origin.version, origin.no_inline)
    with _compiler(session, package.module, origin.environment, origin.version) as compiler:
        return relinked(compiler, package, built, elf)


@contextmanager
def _compiler(session: Session, folder: Path, environment: Mapping[str, str], version: str) -> "Iterator[Compiler]":
    from wherry.host.toolchain import find_toolchain
    from wherry.lab.compiling import Compiler

    with TemporaryDirectory(prefix="wherry-") as place:
        toolchain = find_toolchain(session.runner, {**session.environment, **environment}, folder, version=version)
        yield Compiler(session.runner, toolchain, Path(place))
