"""Bases that rest in a registry: asked for by tag, kept by digest, and pulled only as far as a build needs them.

Next to `bases.py`, below `pipeline.py`: it puts the registry and the store together.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from wherry.counted import Moving, unheard
from wherry.digest import Digest
from wherry.errors import NotFound
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import LARGEST, decode, encode
from wherry.oci.image import Image
from wherry.oci.reference import SCHEME, Reference
from wherry.platform import Platform
from wherry.registry.errors import RegistryError
from wherry.store.contract import BlobSource
from wherry.store.disk import DiskStore
from wherry.store.images import image_for, platforms_of
from wherry.store.results import Results

if TYPE_CHECKING:
    from wherry.base.deb.bases import DebPins

if TYPE_CHECKING:  # what speaks HTTP is loaded by builds that need a registry
    from wherry.registry.open import Mirrored, Registries
    from wherry.registry.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How fresh bases have to be, and how much of them is pulled."""

    offline: bool = False
    """Ask no registry."""
    pull: bool = False
    """Ask for every tag, locked or not, and stop where that fails."""
    locked: Mapping[str, str] = field(default_factory=dict)
    """Digests by name, from wherry.lock."""
    debs: "DebPins" = field(default_factory=dict)
    """Debian packages, from wherry.lock."""
    lazy: bool = False
    """Leave layers where they are: the image is only pushed."""
    verify: Callable[[Reference, Descriptor], None] = field(default=lambda _reference, _root: None, compare=False)
    """Refuses a base that is not signed as it has to be; called with the digest that is then used."""


class RemoteBases:
    """Finds and takes bases of registries; one for a build, so that each is asked for once."""

    def __init__(
        self,
        store: DiskStore,
        registries: "Callable[[], Registries]",
        results: Results,
        policy: Policy,
        warn: Callable[[str], None] = lambda _: None,
        moving: Moving = unheard,
    ) -> None:
        self._store = store
        self._registries = registries
        self._results = results
        self.policy = policy
        self._warn = warn
        self._moving = moving
        self._resolved: dict[str, Descriptor] = {}

    def root(self, name: str) -> Descriptor:
        """Find what a name stands for: pinned, locked, as its registry says now, or as it last said.

        Raises:
            NotFound, AccessDenied: the registry has it not, or not for us.
            RegistryError: it can't be reached, and nothing is known from before, or `--pull` asks for it.
            WherryError: it is not signed as the policy has it.
        """
        if name not in self._resolved:
            reference = reference_of(name)
            root = self._root(reference)
            self.policy.verify(reference, root)
            self._resolved[name] = root
        return self._resolved[name]

    def image(self, name: str, platform: Platform) -> Image:
        """Have the base of one platform in the store: its documents, and unless they may stay away its layers."""
        reference = reference_of(name)
        root = self.root(name)
        source = _Documents(self._store, self._source(reference))
        with self._store.writing():
            image = image_for(source, root, platform, name)
            for document in (image.manifest.config, image.descriptor):
                for _ in source.read(document):
                    pass
            if self.policy.lazy:
                self._note(image, reference)
            else:
                self._pull(image, reference)
        return image

    def platforms(self, name: str) -> tuple[Platform, ...]:
        """List the platforms that a name has images for.

        Raises:
            NotFound, AccessDenied, RegistryError: as `root`.
        """
        source = _Documents(self._store, self._source(reference_of(name)))
        with self._store.writing():
            return platforms_of(source, self.root(name))

    def holds(self, layer: Descriptor) -> bool:
        """Report whether a layer is where this build wants it."""
        return self._store.sound(layer) or (self.policy.lazy and bool(self._store.elsewhere.places(layer.digest)))

    def _root(self, reference: Reference) -> Descriptor:
        locked = "" if self.policy.pull else self.policy.locked.get(str(reference), "")
        pinned = reference.digest or (Digest.parse(locked) if locked else None)
        if pinned:
            return self._pinned(reference, pinned)
        last = self._last(reference)
        if self.policy.offline:
            if last is None:
                raise NotFound(
                    f"base {reference}: looked for {reference.canonical} in the local store, which does not have it; "
                    "--offline asks no registry",
                    hint=f"build once without --offline, or get it by `wherry pull {reference}`"
                    f" or `wherry load ARCHIVE -t {reference}`",
                )
            return last
        try:
            root = self._source(reference).resolve(reference.tag)
        except RegistryError as error:
            if last is None:
                error.message = f"base {reference}: not in the local store, and its registry failed: {error.message}"
                error.hint += f"; without a network, use a base from a file: `wherry load ARCHIVE -t {reference}`"
            if self.policy.pull or last is None:
                raise
            self._warn(f"{error.message}; {reference} is used as last seen, {last.digest.short}")
            return last
        if root != last:
            self._results.put_fact(_fact(reference), encode(root).decode())
        return root

    def _pinned(self, reference: Reference, digest: Digest) -> Descriptor:
        try:
            return self._store.resolve(str(digest))
        except NotFound:
            if self.policy.offline:
                raise
        return self._source(reference).resolve(str(digest))

    def _last(self, reference: Reference) -> Descriptor | None:
        known = self._results.fact(_fact(reference))
        return decode(known.encode(), Descriptor, "a remembered base") if known else None

    def _source(self, reference: Reference) -> "Repository | Mirrored":
        return self._registries().source(reference)

    def _note(self, image: Image, reference: Reference) -> None:
        for layer in image.manifest.stack:
            if not self._store.has(layer):
                self._store.elsewhere.note(layer.digest, f"{reference.registry}/{reference.repository}")

    def _pull(self, image: Image, reference: Reference) -> None:
        from wherry.store.copy import Tally, Transfer

        if all(map(self._store.has, image.manifest.stack)):
            return
        with self._moving(f"pull {reference}") as moved:
            tally = Tally(lambda tally: moved(tally.sent, tally.wanted))
            Transfer(source=self._source(reference), sink=self._store, tally=tally).move(image.descriptor)


def reference_of(name: str) -> Reference:
    """Read a base's name.

    Raises:
        InvalidReference: it is invalid.
    """
    return Reference.parse(name.removeprefix(SCHEME))


class _Documents:
    """A repository whose documents are stored while they are read."""

    def __init__(self, store: DiskStore, source: BlobSource) -> None:
        self._store = store
        self._source = source

    def read(self, blob: Descriptor, offset: int = 0) -> Iterator[bytes]:
        """See `BlobSource.read`."""
        plain = msgspec.structs.replace(blob, data=None)
        if not self._store.has(plain) and (blob.media_type in media.INDEXES | media.MANIFESTS or blob.size <= LARGEST):
            self._store.write(plain, self._source.read(plain))
        return self._store.read(plain, offset)


def _fact(reference: Reference) -> str:
    return f"base {reference.canonical}"
