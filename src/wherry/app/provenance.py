"""How an image was built: SLSA provenance, read of the image."""

from typing import TYPE_CHECKING

from wherry.app.images import OpenImage, open_image, recipe_of
from wherry.app.sbom import SbomOptions, bills_of, tool
from wherry.app.session import Session
from wherry.platform import Platform

if TYPE_CHECKING:
    from wherry.oci.image import Image
    from wherry.trust.provenance import BuildMaterial, BuildRecord


def provenance(session: Session, name: str, *, platform: str | None = None) -> bytes:
    """Write the in-toto statement that says how an image was built; the same image gives the same bytes.

    Args:
        session: where the image is looked for.
        name: an image, as `open_image` takes it.
        platform: the only one; None: the image, or the index with all its images.

    Raises:
        NotFound, RegistryError, InvalidReference: there is no such image.
        WherryError: a layer does not match the image's documents.

    Cost: each layer is decompressed twice the first time, once from then on.
    """
    from wherry.trust.provenance import PREDICATE
    from wherry.trust.statement import Statement

    found = open_image(session, name)
    subject = found.root.digest
    if platform:
        subject = found.images(Platform.parse(platform))[0].descriptor.digest
    predicate = predicate_of(session, found, SbomOptions(platform=platform))
    return Statement.about(subject, PREDICATE, predicate).encoded()


def predicate_of(
    session: Session, found: OpenImage, options: SbomOptions, materials: "tuple[BuildMaterial, ...]" = ()
) -> bytes:
    """Write the predicate alone; with what only the build of a Dockerfile knows, where it is at hand."""
    from dataclasses import replace

    from wherry.trust.provenance import provenance_predicate

    images = found.images(Platform.parse(options.platform) if options.platform else None)
    bills = bills_of(session, found, replace(options, files=False, licences=False))
    return provenance_predicate(bills[-1], tuple(map(_record, images)), tool(), materials)


def _record(image: "Image") -> "BuildRecord":
    from wherry.trust.provenance import BuildRecord

    history = image.config.history or ()
    return BuildRecord(
        str(image.platform),
        recipe_of(image),
        {**(image.config.runtime.labels or {}), **(image.manifest.annotations or {})},
        any("RUN" in (step.created_by or "") or "COPY" in (step.created_by or "") for step in history),
    )
