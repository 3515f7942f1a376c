"""What a call gave, written down for `wherry.cli.again`, which answers the same call without us."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from urllib.parse import urlsplit

from wherry.build.remembered import Looked
from wherry.cli import again
from wherry.cli.world import World
from wherry.oci.descriptor import Descriptor
from wherry.oci.layout import INDEX
from wherry.oci.reference import Reference
from wherry.settings.proxies import is_loopback
from wherry.source.stamps import settled, stamp_of


@dataclass(frozen=True, slots=True)
class Given:
    """What a call gave, and all that it hung on."""

    began: float
    """When it began, seconds since the epoch: nothing was read before."""
    paths: Sequence[str]
    """Files that were read, or would have been if they were there."""
    looked: Sequence[Looked]
    blobs: Sequence[Descriptor]
    """Of the image."""
    asked: Mapping[str, Descriptor]
    """Names that registries were asked for, and where they led."""
    printed: str
    noted: str


def remember(world: World, given: Given) -> None:
    """Keep it, unless something may change unseen: a file so young that a later write could leave the same stamp."""
    key = again.key_of(world.call, world.environment) if world.call[:1] == ("build",) else ""
    if not key or again.cache_of(world.environment) != str(world.cache_folder):
        return
    read = [(path, stamp_of(path)) for path in given.paths]
    if any(found and settled(found) > given.began * 1e9 for _, found in read):
        return
    if not all(looked.settled for looked in given.looked):
        return
    asked = list(_asked(world, given.asked))
    if None in asked:
        return
    kept = [(path, stamp_of(path)) for path in (*_kept(world, given.blobs), *_our_own())]
    chunks = chain([read, kept], *(looked.chunks() for looked in given.looked))
    places = [one for one in asked if one is not None]
    with suppress(OSError):  # a full disk: the next call does the whole work again
        again.write(str(world.cache_folder), key, chunks, printed=given.printed, noted=given.noted, asked=places)


def _asked(world: World, names: Mapping[str, Descriptor]) -> Iterator[tuple[str, int, str, str, str] | None]:
    """Say where each tag can be asked for by plain words; None of one that can't."""
    for name, root in names.items():
        from wherry.registry.repository import Repository  # slow to load, and there as soon as a registry was asked

        reference = Reference.parse(name)
        if reference.digest is not None:
            continue
        source = world.registries.source(reference)
        place = urlsplit(world.registries.client(reference.registry).root)
        plain = isinstance(source, Repository) and place.scheme == "http" and is_loopback(place.hostname or "")
        if not plain or ":" in (place.hostname or ":"):
            yield None
        else:
            yield place.hostname or "", place.port or 80, reference.repository, reference.tag, str(root.digest)


def _kept(world: World, blobs: Sequence[Descriptor]) -> Iterator[str]:
    """Name what tells that the blobs are here, or that it is known who has them."""
    yield str(world.store_folder / INDEX)
    for blob in blobs:
        here = world.store.has(blob)
        yield world.store.path_of(blob.digest) if here else str(world.store.elsewhere.file_of(blob.digest))


def _our_own() -> Iterator[str]:
    """Name our code, as far as it is loaded."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "wherry" and (file := getattr(module, "__file__", None)):
            yield str(file)
