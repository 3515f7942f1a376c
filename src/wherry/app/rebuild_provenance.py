"""SLSA provenance as a rebuild reads it: wherry's recipe where wherry wrote it, else the repository and the commit.

Source: SLSA v1.0, Provenance; in-toto Attestation Framework v1, Statement. It is as hostile as the image.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from wherry.app.rebuild_source import CannotRebuild
from wherry.app.session import Session
from wherry.store.files import read_regular
from wherry.typed import from_json

_LARGEST = 16 << 20
_GIT = "git+"
_CONTEXT = "urn:dev.wherry:context"


@dataclass(frozen=True, slots=True)
class StatedBuild:
    """What provenance says of a build."""

    recipes: Mapping[str, str] = field(default_factory=dict)
    """Recipes of wherry by platform, as the image's label would have them."""
    source: str = ""
    """The repository's URL."""
    revision: str = ""
    """The commit; with `-dirty` where files differed from it."""
    context: str = ""
    """Of a Dockerfile: the directory hash of its context, as `app/build/materials.py` has it."""


class _Dependency(msgspec.Struct):
    uri: str = ""
    digest: dict[str, str] = {}
    annotations: dict[str, object] = {}


class _Definition(msgspec.Struct, rename="camel"):
    internal_parameters: dict[str, object] = {}
    resolved_dependencies: list[_Dependency] = []


class _Predicate(msgspec.Struct, rename="camel"):
    build_definition: _Definition


class _Subject(msgspec.Struct):
    digest: dict[str, str] = {}


class _Statement(msgspec.Struct):
    predicate: _Predicate
    subject: list[_Subject] = []


def stated_build(session: Session, name: str, digests: frozenset[str]) -> StatedBuild:
    """Read provenance: a statement, or its predicate alone.

    Args:
        session: where paths start.
        name: the file.
        digests: of the image and its platforms; a statement has to be about one of them.

    Raises:
        CannotRebuild: it is not there, is no SLSA v1 provenance, or is about another image.
    """
    content = read_regular(session.cwd / name, _LARGEST)
    if content is None:
        raise CannotRebuild(f"{name}: no such file", hint="write one: wherry provenance IMAGE > FILE")
    predicate, subjects = _read(content, name)
    about = {f"{kind}:{value}" for one in subjects for kind, value in one.digest.items()}
    if about and not about & digests:
        raise CannotRebuild(f"{name} is about another image: {min(about)}", hint="give the provenance of this one")
    definition = predicate.build_definition
    recipes = definition.internal_parameters.get("recipes")
    found = definition.resolved_dependencies
    source = next((one for one in found if one.uri.startswith(_GIT)), _Dependency())
    commit = source.digest.get("gitCommit", "") or source.digest.get("sha1", "")
    return StatedBuild(
        {str(key): msgspec.json.encode(value).decode() for key, value in recipes.items()}
        if isinstance(recipes, dict)
        else {},
        source.uri.removeprefix(_GIT).rpartition("@")[0],
        f"{commit}-dirty" if commit and source.annotations.get("dirty") else commit,
        next((one.digest.get("dirHash1", "") for one in found if one.uri == _CONTEXT), ""),
    )


def _read(content: bytes, name: str) -> tuple[_Predicate, list[_Subject]]:
    try:
        statement = from_json(content, _Statement)
    except (msgspec.DecodeError, RecursionError):
        try:
            return from_json(content, _Predicate), []
        except (msgspec.DecodeError, RecursionError) as error:
            raise CannotRebuild(
                f"{name}: not SLSA v1 provenance: {error}", hint="give the JSON of a statement"
            ) from error
    return statement.predicate, statement.subject
