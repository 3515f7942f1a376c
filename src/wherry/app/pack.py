"""`wherry pack`: a program packed, or only what that would cost."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from wherry.app.session import Session
from wherry.errors import InvalidUsage, NotFound, WherryError
from wherry.lab.pack import PackedVariant, StartTrial, pack_by_stub, pack_by_upx, refused, variants

WAYS = ("stub", "upx")
_FIRST = 0.02
"""Share of what is pulled below which packing saves nothing worth naming."""


class PackingPrice(msgspec.Struct, frozen=True, kw_only=True):
    """What `wherry pack --json` prints."""

    version: int = 1
    name: str
    variants: tuple[PackedVariant, ...]
    """The program as it is, then each way to pack it."""
    written: str = ""
    """The file that was written; empty where none was asked for."""
    notes: tuple[str, ...]


def pack_program(
    session: Session,
    name: str,
    *,
    ways: tuple[str, ...] = WAYS,
    output: str = "",
    start: tuple[str, ...] | None = None,
) -> PackingPrice:
    """Pack a program in one or several ways, and measure each.

    Args:
        session: where; programs are started in a folder that is deleted.
        name: the program's file.
        ways: of `WAYS`.
        output: where the packed program goes, of the only way; empty: nowhere.
        start: its arguments, where it may be started to measure that; None: it is not started.

    Raises:
        NotFound: there is no such file.
        InvalidUsage, InvalidDocument: it can't be packed, or several ways are written to one file.
        DidNotStart: it ended with an error.
        HostUnable: UPX is asked for by name, and not installed.
    """
    program = session.cwd / name
    if not program.is_file():
        raise NotFound(f"{name}: no such file", hint="give the file of a program for Linux")
    if output and len(ways) != 1:
        raise InvalidUsage("-o: which way?", hint="add --with stub or --with upx")
    if output and (session.cwd / output).exists() and (session.cwd / output).samefile(program):
        raise InvalidUsage(f"-o {output}: is the program itself", hint="write it to another file")
    trial = None if start is None else StartTrial(start, session.environment)
    with TemporaryDirectory(prefix="wherry-pack-") as place:
        folder = Path(place)
        files = {"plain": folder / "plain"}
        shutil.copy(program, files["plain"])
        files["plain"].chmod(0o755)
        failed = []
        for way in ways:
            files[way] = folder / way
            try:
                _pack(session, way, files["plain"], files[way], name)
            except WherryError as error:
                if len(ways) == 1:
                    raise
                failed.append(refused(way, error))
        kinds = [kind for kind in files if kind not in {row.name for row in failed}]
        rows = (*variants(kinds, files, folder, trial), *failed)
        if output:
            shutil.copy(files[ways[0]], session.cwd / output)
    return PackingPrice(name=name, variants=rows, written=output, notes=tuple(_notes(rows)))


def _pack(session: Session, way: str, program: Path, target: Path, name: str) -> None:
    if way == "stub":
        pack_by_stub(program, target, name)
    else:
        pack_by_upx(session.runner, program, target, session.environment)


def _notes(rows: tuple[PackedVariant, ...]) -> list[str]:
    plain, notes = rows[0], []
    for row in rows[1:]:
        if row.problem:
            notes.append(f"{row.name}: {row.problem}")
            continue
        saved = 1 - row.pulled["zstd"] / plain.pulled["zstd"]
        words = f"{saved:.0%} less is pulled" if saved > _FIRST else "nothing less is pulled"
        notes.append(f"{row.name}: {1 - row.size / plain.size:.0%} less on disk; {words} next to zstd -19")
        if row.start and plain.start and plain.start.cpu:
            notes.append(
                f"{row.name}: every start takes {row.start.cpu / plain.start.cpu:.0f} times the processor time"
            )
        if row.start and plain.start and plain.start.private:
            times = row.start.private / plain.start.private
            notes.append(f"{row.name}: {times:.1f} times the private memory, which no two containers share")
        if plain.modules > row.modules:
            notes.append(f"{row.name}: scanners see {row.modules} of {plain.modules} modules, and no symbol")
    return notes
