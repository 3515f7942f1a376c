"""Images from a path: a layout folder or an archive, recognised by their content."""

from pathlib import Path

from wherry.errors import NotFound
from wherry.oci.descriptor import Descriptor
from wherry.store.archive import ArchiveSource
from wherry.store.contract import BlobSource
from wherry.store.layout import LayoutFolder


def open_images(
    path: Path, *, scratch: Path | None = None, shown: str = ""
) -> tuple[BlobSource, dict[str, Descriptor]]:
    """Open a layout folder, or an archive in OCI's or Docker's form; give its blobs, and its images by name.

    Args:
        path: its content decides the format.
        scratch: folder for a compressed archive while it is read; None: the system's.
        shown: what errors call an archive; empty: its path.

    Raises:
        NotFound: nothing is there, or a folder that is not a layout.
        InvalidDocument: what is there is neither, or means harm.
    """
    if path.is_dir():
        folder = LayoutFolder(path)
        folder.check_marker()
        return folder, folder.tags()
    if not path.exists():
        raise NotFound(f"{path}: not found", hint="give an OCI layout directory, or an archive")
    archive = ArchiveSource(path, scratch=scratch, shown=shown)
    return archive, archive.roots()
