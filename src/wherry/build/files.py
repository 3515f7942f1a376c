"""Files of the user's disk, and the program, as entries of a layer."""

import stat
from collections.abc import Collection, Iterable
from pathlib import Path

from wherry.layer.entry import Entry, EntryKind, FileContent, sort_entries, with_parents
from wherry.plan.graph import AddedFile


def entries_of(
    files: Iterable[AddedFile], mtime: int, program: Path | None, there: Collection[str] = ()
) -> list[Entry]:
    """Make the entries of a layer, parents first, all with one time.

    Args:
        files: sources and their paths; an empty source is the program.
        mtime: seconds since the epoch.
        program: what was linked, where the layer has it.
        there: folders that the base has, such as `/tmp`; an entry of ours would take their mode and owner away.
    """
    entries = [_entry(file, mtime, Path(file.source) if file.source else program) for file in files]
    whole = with_parents(entries, mtime=mtime)
    return sort_entries(entry for entry in whole if entry.kind is not EntryKind.FOLDER or f"/{entry.path}" not in there)


def _entry(file: AddedFile, mtime: int, source: Path | None) -> Entry:
    if source is None:
        raise ValueError(f"{file.path} is a placeholder for a program, but there is no program")
    found = source.stat()
    mode = file.mode if file.mode is not None else stat.S_IMODE(found.st_mode) & 0o755 | 0o444
    return Entry(
        path=file.path.lstrip("/"),
        kind=EntryKind.FILE,
        mode=mode,
        uid=file.uid,
        gid=file.gid,
        mtime=mtime,
        size=found.st_size,
        content=FileContent(source),
    )
