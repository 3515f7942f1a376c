"""What an image says of its build, checked: by its recipe, else by what Go records of its program."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from wherry.app.images import recipe_in
from wherry.app.rebuild_provenance import StatedBuild
from wherry.app.rebuild_source import CannotRebuild
from wherry.errors import WherryError
from wherry.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wherry.app.images import OpenImage
    from wherry.lab.relink import Built
    from wherry.oci.image import Image

SOURCE_LABEL = "org.opencontainers.image.source"


@dataclass(frozen=True, slots=True)
class RebuildRecipe:
    """What the recipe of an image says, checked."""

    name: str
    built: "Built"
    document: Mapping[str, Mapping[str, str]]
    platforms: tuple[Platform, ...]
    labels: Mapping[str, str]
    config: Mapping[str, object]
    epoch: str
    notes: tuple[str, ...]
    program: str = ""
    """The path of the only thing to compare: the program of an image without a recipe."""
    context: str = ""
    """The directory hash of the context of a Dockerfile, as its provenance says it."""

    @classmethod
    def of(cls, found: "OpenImage", platform: str | None, stated: StatedBuild) -> "RebuildRecipe":
        """Read the recipe of an image, or what stands for it.

        Raises:
            CannotRebuild: it says too little, or its source is in no commit.
        """
        from wherry.lab.relink import built_by_recipe

        images = found.images(Platform.parse(platform) if platform else None)
        first = images[0]
        labels = dict(first.config.runtime.labels or {})
        if not recipe_in(labels):
            labels["dev.wherry.recipe"] = stated.recipes.get(str(first.platform), "")
        if stated.source:
            labels.setdefault(SOURCE_LABEL, stated.source)
        document = recipe_in(labels)
        built = _checked(lambda: built_by_recipe(labels["dev.wherry.recipe"]))
        sections = {key: value for key, value in document.items() if isinstance(value, dict)}
        if built is None or not {"module", "go", "base", "layers"} <= sections.keys():
            return _by_program(found, images, labels, stated)
        notes = []
        if str(sections["module"].get("revision", "")).endswith("-dirty"):
            raise CannotRebuild(
                f"{found.name} was built from a changed working tree at {sections['module']['revision'][:12]}: "
                "its source is in no commit",
                hint="build it again from a commit",
            )
        from wherry import __version__

        if document.get("wherry") != __version__:
            notes.append(f"built by wherry {document.get('wherry')}; this is {__version__}")
        return cls(
            found.name, built, sections, tuple(image.platform for image in images), labels,
            msgspec.to_builtins(first.config.runtime), str(document.get("sourceDateEpoch", "")), tuple(notes),
        )  # fmt: skip

    def text(self, section: str, key: str) -> str:
        """Give a value of the recipe; empty where there is none."""
        value = self.document[section].get(key, "")
        return value if isinstance(value, str) else ""

    @property
    def stamping(self) -> tuple[str, ...]:
        """The flag for the state of version control; wherry's own builds decide by what the program reads."""
        return (f"-buildvcs={str(self.built.stamped).lower()}",) if self.program else ()

    @property
    def withheld(self) -> tuple[str, ...]:
        """Variables whose -X values are not published."""
        return tuple(self.text("go", "withheld").split())


def _by_program(
    found: "OpenImage", images: "Sequence[Image]", labels: Mapping[str, str], stated: StatedBuild
) -> RebuildRecipe:
    """Take what Go records of the program in an image that another tool built."""
    from wherry.app.rebuild_program import NOTE, program_recipe
    from wherry.lab.relink import NotTheSame

    try:
        path, built, sections = program_recipe(found, images[0])
    except NotTheSame as error:
        raise CannotRebuild(error.message, hint="build it from source yourself, and compare with --against") from error
    revision = sections["module"]["revision"] or stated.revision
    if revision.endswith("-dirty"):
        raise CannotRebuild(
            f"{found.name} was built from a changed working tree at {revision[:12]}: its source is in no commit",
            hint="build it again from a commit",
        )
    sections["module"]["revision"] = revision
    source = {name: value for name, value in labels.items() if name == SOURCE_LABEL}
    return RebuildRecipe(
        found.name,
        built,
        sections,
        tuple(image.platform for image in images),
        source,
        {},
        "",
        (NOTE,),
        program=path,
        context=stated.context,
    )


def _checked(read: "Callable[[], Built | None]") -> "Built | None":
    try:
        return read()
    except WherryError as error:
        raise CannotRebuild(error.message, hint="build it from source yourself, and compare with --against") from error
