"""The programs that a command line names: a file, or those of an image, wherever that is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.session import Session
from wherry.errors import NotFound, NotPermitted

if TYPE_CHECKING:
    from wherry.analysis.leaks import Leaks
    from wherry.analysis.subjects import Subject
    from wherry.oci.image import Image
    from wherry.store.find import Located

_MAGIC = slice(257, 262)
"""Where a tar says that it is one (POSIX.1-1988, ustar)."""
_COMPRESSED = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ"
"""How gzip, zstd, bzip2 and xz begin."""


def is_program(path: Path) -> bool:
    """Report whether a path is a file that starts as programs do."""
    try:
        with path.open("rb") as file:
            start = file.read(4) if path.is_file() else b""
    except OSError:
        return False
    from wherry.analysis.subjects import starts_as_program

    return starts_as_program(start)


class NoProgram(NotFound):
    """An image has no program."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: no program found", hint="the image must contain an executable ELF, Mach-O or PE file"
        )


def documents_of(session: Session, name: str, platform: str | None) -> "Iterator[tuple[Subject, Leaks]]":
    """Judge what an image's documents publish, one entry a platform; nothing of a file that is a program.

    Raises:
        NotFound: there is no such thing.
    """
    if is_program(session.cwd / name):
        return
    from wherry.analysis.leak_image import published, published_elsewhere
    from wherry.analysis.leaks import Leaks
    from wherry.analysis.subjects import Subject
    from wherry.finding import Severity

    located, images = images_named(session, name, platform)
    seen = set()
    for image in images:
        documents = {"index": located.root, "manifest": image.descriptor, "config": image.manifest.config}
        if located.root.digest == image.descriptor.digest or located.root.digest in seen:
            del documents["index"]
        seen.add(located.root.digest)
        found = list(published(image))
        for kind, blob in documents.items():
            found += published_elsewhere(b"".join(located.source.read(blob)), kind)
        config, label = image.manifest.config, f"{name} {image.platform} config and manifest"
        reference = f"{name.partition('@')[0]}@{image.descriptor.digest}"
        subject = Subject(label, "", Path(), config.digest, config.size, str(image.platform), reference, 0)
        worst_first = sorted(found, key=lambda one: list(Severity).index(one.severity), reverse=True)
        yield subject, Leaks("", tuple(worst_first))


@contextmanager
def subjects(
    session: Session, name: str, *, platform: str | None = None, hashed: bool = True
) -> "Iterator[Sequence[Subject]]":
    """Give the programs of a file or an image; their files are there until the block ends.

    Args:
        session: where.
        name: a path of a program, or an image as `inspect` takes it.
        platform: of an image with several, the one that is meant; None: all.
        hashed: whether a bare file's digest is wanted.

    Raises:
        NotFound: there is no such thing.
        NoProgram: there is no program in it.
    """
    from tempfile import TemporaryDirectory

    from wherry.analysis.subjects import file_subject, image_subjects

    path = session.cwd / name
    if is_program(path):
        yield (file_subject(path, name, hashed=hashed),)
        return
    located, images = images_named(session, name, platform)
    with TemporaryDirectory(prefix="wherry-") as folder:
        found = [one for image in images for one in image_subjects(located.source, image, name, Path(folder))]
        if not found:
            raise NoProgram(name)
        yield found


def images_named(session: Session, name: str, platform: str | None) -> "tuple[Located, tuple[Image, ...]]":
    """Find the images of a name: one a platform, or only the one that is meant.

    Raises:
        NotFound: there is none; the hint lists the platforms there are.
    """
    path = session.cwd / name
    if path.is_file() and not _is_archive(name, path):
        raise NotFound(
            f"{name}: neither a program nor an image: {_described(path)}",
            hint="give an executable (ELF, Mach-O or PE), an archive, or an image name from `wherry images`",
        )
    from wherry.app.places import find
    from wherry.store.images import images_of

    at = find(session, name)
    located = replace(at, source=session.cancellable(at.source))
    images = images_of(located.source, located.root)
    chosen = tuple(image for image in images if platform in {None, str(image.platform)})
    if not chosen:
        there = ", ".join(str(image.platform) for image in images) or "none"
        raise NotFound(f"{name} has no image for {platform}", hint=f"available: {there}")
    return located, chosen


def _is_archive(name: str, path: Path) -> bool:
    head = _head(path)
    return name.endswith((".tar", ".gz", ".tgz", ".zst")) or head[_MAGIC] == b"ustar" or head.startswith(_COMPRESSED)


def _described(path: Path) -> str:
    """Say what a file is that can't be measured."""
    head = _head(path)
    if not head:
        return "it is empty"
    return "it is text" if b"\0" not in head else f"it starts with the bytes {head[:4].hex(' ')}"


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(512)
    except OSError as error:
        raise NotPermitted(
            f"{path}: cannot read: {error.strerror}", hint="run as its owner, or change its mode"
        ) from error
