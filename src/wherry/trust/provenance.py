"""How an image was built, as a SLSA provenance v1 predicate: from what the image itself says, without a clock.

Values that the recipe withholds (`-X`) are not in it; `wherry rebuild` asks for them.
Sources: SLSA v1.1, "Provenance" (buildDefinition, runDetails); in-toto attestation v1.1, spec/v1/digest_set.md
(`gitCommit`, `goModuleH1`).
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import msgspec

from wherry.trust.bill import Bill, Ingredient, IngredientKind, purl

PREDICATE = "https://slsa.dev/provenance/v1"
MEDIA_TYPE = "application/vnd.in-toto+json"
GO_BUILD = "urn:dev.wherry:build:go:v1"
DOCKERFILE_BUILD = "urn:dev.wherry:build:dockerfile:v1"
UNKNOWN_BUILD = "urn:dev.wherry:build:unknown:v1"
"""Build types; docs/reference/provenance.md says what their parameters are."""
BUILDER = "urn:dev.wherry:builder:local"
_UNKNOWN = "what RUN fetched from a network is not recorded"


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """What an image of one platform says of its build."""

    platform: str
    recipe: Mapping[str, object]
    """Of its label; empty where wherry did not build it from a Go module."""
    labels: Mapping[str, str]
    dockerfile: bool
    """Whether its history is one of a Dockerfile."""


@dataclass(frozen=True, slots=True)
class BuildMaterial:
    """Something that a build of a Dockerfile was made of."""

    uri: str
    name: str
    digest: Mapping[str, str]
    annotations: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of_commit(cls, url: str, revision: str, context: str) -> Self:
        """Name a commit that a context is of.

        Args:
            url: of the repository, without credentials; empty where it has none.
            revision: the commit, with `-dirty` where files differ from it.
            context: its name; empty for the build's own.
        """
        commit = revision.removesuffix("-dirty")
        notes = {"context": context, "dirty": commit != revision}
        uri = f"git+{url}@{commit}" if url else "git+local"
        return cls(uri, "", {"gitCommit": commit}, {key: value for key, value in notes.items() if value})

    def document(self) -> dict[str, object]:
        """Write it as a resource descriptor of in-toto's; what is empty is left out."""
        row = {"uri": self.uri, "name": self.name, "digest": dict(self.digest), "annotations": dict(self.annotations)}
        return {key: value for key, value in row.items() if value}


def provenance_predicate(
    bill: Bill, records: tuple[BuildRecord, ...], tool: str, materials: tuple[BuildMaterial, ...] = ()
) -> bytes:
    """Write the predicate of an image, or of an index.

    Args:
        bill: of the image or the index.
        records: of the image, or of each platform of the index.
        materials: what only the build of a Dockerfile knows; none where the image alone is read.
        tool: name and version of what writes; where the recipe names the wherry that built, that one counts.
    """
    first = records[0]
    kind = GO_BUILD if first.recipe else DOCKERFILE_BUILD if first.dockerfile or materials else UNKNOWN_BUILD
    builder = str(first.recipe.get("wherry", "")) or tool.rpartition("-")[2]
    internal: dict[str, object] = {"recipes": {one.platform: one.recipe for one in records if one.recipe}}
    if kind == DOCKERFILE_BUILD:
        internal["incomplete"] = _UNKNOWN
    document = {
        "buildDefinition": {
            "buildType": kind,
            "externalParameters": _external(first, [one.platform for one in records]),
            "internalParameters": internal,
            "resolvedDependencies": [
                *_source(first),
                *_base(first),
                *(one.document() for one in materials),
                *_modules(bill),
            ],
        },
        "runDetails": {"builder": {"id": BUILDER, "version": {"wherry": builder}}},
    }
    return msgspec.json.encode(document, order="deterministic")


def _external(record: BuildRecord, platforms: list[str]) -> dict[str, object]:
    module = _table(record.recipe, "module")
    wanted: dict[str, object] = {"platforms": platforms}
    for name in ("package", "path", "version"):
        if module.get(name):
            wanted[name] = module[name]
    source = record.labels.get("org.opencontainers.image.source", "")
    if source:
        wanted["source"] = source
    return wanted


def _source(record: BuildRecord) -> Iterator[dict[str, object]]:
    url = record.labels.get("org.opencontainers.image.source", "")
    revision = str(_table(record.recipe, "module").get("revision", "")) or record.labels.get(
        "org.opencontainers.image.revision", ""
    )
    if not url and not revision:
        return
    clean = revision.removesuffix("-dirty")
    row: dict[str, object] = {"uri": f"git+{url}@{clean}" if url else "git+local"}
    if clean:
        row["digest"] = {"gitCommit": clean}
    if revision.endswith("-dirty"):
        row["annotations"] = {"dirty": True}
    yield row


def _base(record: BuildRecord) -> Iterator[dict[str, object]]:
    name = record.labels.get("org.opencontainers.image.base.name", "") or str(
        _table(record.recipe, "base").get("name", "")
    )
    recipe = str(_table(record.recipe, "base").get("digest", ""))
    digest = record.labels.get("org.opencontainers.image.base.digest", "") or recipe
    algorithm, _, encoded = digest.partition(":")
    if name and encoded:
        yield {"uri": purl("oci", name.rpartition("/")[2].partition(":")[0], digest), "name": name,
               "digest": {algorithm: encoded}}  # fmt: skip
    elif name:
        yield {"uri": f"urn:dev.wherry:base:{name}", "name": name}


def _modules(bill: Bill) -> Iterator[dict[str, object]]:
    for part in bill.parts:
        if part.kind is IngredientKind.TOOLCHAIN:
            yield {"uri": part.purl, "name": f"go{part.version}"}
        elif part.kind is IngredientKind.MODULE and ("main", "true") not in part.notes:
            yield _module(part)


def _module(part: Ingredient) -> dict[str, object]:
    row: dict[str, object] = {"uri": part.purl}
    if part.h1:
        row["annotations"] = {"h1": part.h1, **dict(part.notes)}
        with suppress(binascii.Error, ValueError):  # of a program that says what it likes
            row["digest"] = {"goModuleH1": base64.b64decode(part.h1.removeprefix("h1:"), validate=True).hex()}
    elif part.notes:
        row["annotations"] = dict(part.notes)
    return row


def _table(recipe: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = recipe.get(name)
    return found if isinstance(found, dict) else {}
