"""A store's folder is made a layout at its first write, and nobody else's folder is taken for one."""

from pathlib import Path

from wherry.errors import CannotWrite
from wherry.oci.layout import BLOBS, INDEX, LAYOUT, MARKER
from wherry.store.files import cannot_write, incoming
from wherry.store.layout import EMPTY, LayoutFolder
from wherry.store.locks import alone

OWN = ".wherry"
"""What is ours and not the layout's."""


def prepare(store: LayoutFolder, own: Path) -> None:
    """Make the folder a layout; the marker comes last, so that a half-made one is made again.

    Raises:
        CannotWrite: not allowed, or the folder has something else in it.
    """
    folder = store.folder
    if (folder / MARKER).exists():
        store.check_marker()
        make_folder(own)
        make_folder(folder / BLOBS / "sha256")
        return
    _refuse_foreign(folder)
    for made in (folder, own, folder / BLOBS / "sha256"):
        make_folder(made)
    with alone(own / "tags.lock"):
        for name, document in ((INDEX, EMPTY.encoded()), (MARKER, LAYOUT.encoded())):
            if not (folder / name).exists():
                with incoming(own, folder) as file:
                    file.write(document)
                    file.move(folder / name, durable=False)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        CannotWrite: not allowed, or no space.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def _refuse_foreign(folder: Path) -> None:
    try:
        there = {path.name for path in folder.iterdir()} - {OWN, BLOBS, INDEX}
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_write(folder, error) from error
    if there and not (folder / MARKER).exists():
        raise CannotWrite(
            f"{folder}: not an OCI layout, and not empty ({', '.join(sorted(there)[:3])})",
            hint="use an empty or new directory",
        )
