"""What a build attaches to its images: SBOMs and provenance, in the index before they are delivered, or as referrers.

Attestations in the index give the image another digest, so they come first: what is printed, pushed and written into
files is the image that has them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wherry.app.build.result import BuiltImage
from wherry.app.session import Session
from wherry.digest import Digest
from wherry.oci import media

if TYPE_CHECKING:
    from wherry.app.attaching import AttachedDocument
    from wherry.app.build.deliver import Delivery
    from wherry.app.build.options import CommonOptions
    from wherry.app.build.trusted import VerifiedModules
    from wherry.trust.provenance import BuildMaterial


@dataclass(frozen=True, slots=True)
class AttachedWords:
    """What is attached to images."""

    sbom: tuple[str, ...] = ()
    """`spdx`, `cyclonedx`."""
    provenance: bool = False
    to: str = "referrers"
    """`referrers`, `index` or `both`."""

    def __bool__(self) -> bool:
        """Report whether there is anything to attach."""
        return bool(self.sbom) or self.provenance


def attached_of(wanted: "CommonOptions") -> AttachedWords | None:
    """Read what options ask to attach."""
    words = AttachedWords(
        tuple(dict.fromkeys(word for word in wanted.sbom if word != "none")), wanted.provenance, wanted.attach
    )
    return words or None


@dataclass
class ImageDocuments:
    """Writes the documents of images, each once."""

    session: Session
    words: AttachedWords
    known: "VerifiedModules"
    materials: "tuple[BuildMaterial, ...]" = ()
    _written: dict[Digest, "tuple[AttachedDocument, ...]"] = field(default_factory=dict)

    def in_index(self, image: BuiltImage) -> BuiltImage:
        """Store an image as an index with attestation manifests, under the same names; give it as it is now."""
        from wherry.app.attaching import AttachTo, attach

        if self.words.to == "referrers":
            return image
        documents = [
            one
            for built in image.platforms
            for one in self._of(image, str(built.platform), built.image.descriptor.digest)
        ]
        root = attach(self.session, f"store:{image.names[0]}", documents, AttachTo.INDEX).root
        with self.session.store.writing():
            for name in image.names:
                self.session.store.tag(name, root)
        return replace(image, root=root)

    def refer(self, image: BuiltImage, delivery: "Delivery") -> str:
        """Attach documents as referrers, in the local store and where the image was pushed; give a line about it.

        Raises:
            WherryError: a registry refuses; the image was delivered.
        """
        from wherry.app.attaching import AttachTo, attach

        documents = [*self._of(image, None, image.root.digest)]
        if image.root.media_type in media.INDEXES:
            for built in image.platforms:
                documents += self._of(image, str(built.platform), built.image.descriptor.digest)
        if self.words.to != "index":
            here = (f"store:{name}" for name in image.names)
            for place in (*here, *(f"docker://{name}" for name in pushed_names(image, delivery))):
                attach(self.session, place, documents, AttachTo.REFERRERS)
        return f"{image.names[0]}: attached {', '.join(one.kind for one in documents)} ({self.words.to})"

    def _of(self, image: BuiltImage, platform: str | None, digest: Digest) -> "tuple[AttachedDocument, ...]":
        if digest not in self._written:
            self._written[digest] = tuple(self._write(image, platform, digest))
        return self._written[digest]

    def _write(self, image: BuiltImage, platform: str | None, digest: Digest) -> "Iterator[AttachedDocument]":
        from wherry.app.attaching import AttachedDocument
        from wherry.app.images import open_image
        from wherry.app.provenance import predicate_of
        from wherry.app.sbom import SbomOptions, sbom
        from wherry.trust.sbom import SbomFormat

        several = len(image.platforms) > 1
        options = SbomOptions(
            platform=platform if several else None,
            sums=self.known.sums,
            sum_notes=self.known.sum_notes,
            proofs=self.known.proofs,
        )
        for kind in self.words.sbom:
            written = sbom(self.session, image.reference, SbomFormat(kind), options)
            yield AttachedDocument(written.predicate_type, written.content, digest)
        if self.words.provenance:
            found = open_image(self.session, image.reference)
            predicate = predicate_of(self.session, found, options, self.materials)
            yield AttachedDocument("slsaprovenance1", predicate, digest)


def pushed_names(image: BuiltImage, delivery: "Delivery") -> tuple[str, ...]:
    """Give the names that an image was pushed under."""
    names = [*(image.names if delivery.push else ())]
    for output in delivery.outputs:
        if output.push:
            names += output.names or image.names
    return tuple(dict.fromkeys(names))
