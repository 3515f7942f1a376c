"""What a recipe says of a base's certificates and files, as options of a build that asks no endpoint.

The recipe names certificates by fingerprint. Public ones are wherry's own; those that were added are taken from the
image that is rebuilt, where their bytes are found by that fingerprint.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wherry.app.images import OpenImage
from wherry.app.rebuild_source import CannotRebuild
from wherry.base.certificates import ADDED_FOLDER, BUNDLE, LARGEST, Certificate, bundle_of, read_certificates
from wherry.base.settings import KEEPABLE
from wherry.errors import WherryError
from wherry.layer.entry import EntryKind, Readable

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_MOST = 1000


def recorded_base(section: Mapping[str, object], found: OpenImage, folder: Path) -> dict[str, Any]:
    """Give the options of `GoBuild` that a recipe's `base` stands for.

    Args:
        section: hostile, as all of an image.
        found: the image.
        folder: of the rebuild alone; certificates are written there.

    Raises:
        CannotRebuild: it names what is none, or certificates that the image does not have.
    """
    roots, added = (tuple(_fingerprints(section, key)) for key in ("roots", "ca"))
    keep = tuple(word for word in _words(section, "keep") if word in KEEPABLE)
    only = section.get("roots") == "none"
    return {
        "ca": (str(_written(found, added, folder)),) if added else (),
        "ca_for": tuple(f"sha256:{one}" for one in roots),
        "ca_only": only,
        "keep": keep,
    }


def _fingerprints(section: Mapping[str, object], key: str) -> Iterator[str]:
    words = [word for word in _words(section, key) if word != "none"]
    for word in words[:_MOST]:
        if not _FINGERPRINT.fullmatch(word):
            raise CannotRebuild(f"the recipe's base.{key} has {word[:80]!r}: not a fingerprint")
        yield word


def _words(section: Mapping[str, object], key: str) -> list[str]:
    value = section.get(key, "")
    return value.split() if isinstance(value, str) else []


def _written(found: OpenImage, wanted: tuple[str, ...], folder: Path) -> Path:
    there = {one.fingerprint: one for one in _of_image(found)}
    absent = [name for name in wanted if name not in there]
    if absent:
        raise CannotRebuild(
            f"the recipe names the certificate sha256:{absent[0]}, and the image does not have it",
            hint="give the image that was built, unchanged",
        )
    place = folder / "added.pem"
    place.write_bytes(bundle_of(there[name] for name in wanted))
    return place


def _whole(body: Readable) -> bytes:
    return b"".join(iter(lambda: body.read(1 << 16), b""))


def _of_image(found: OpenImage) -> tuple[Certificate, ...]:
    from wherry.layer.changes import flatten, layers_of

    image = found.images(None)[0]
    there: list[Certificate] = []
    try:
        for entry, body in flatten(layers_of(found.source, image)):
            own = entry.path == BUNDLE or entry.path.startswith(f"{ADDED_FOLDER}/added-")
            if own and entry.kind is EntryKind.FILE and entry.size <= LARGEST and len(there) < _MOST:
                there += read_certificates(_whole(body), f"/{entry.path}")
    except WherryError as error:
        raise CannotRebuild(error.message, hint=error.hint) from error
    return tuple(there)
