"""Packing a program, and its whole price: what it saves where layers are compressed anyway, and what it costs.

Both ways keep a compressed copy of the program that unpacks itself at every start: our own stub, and UPX. What is
pulled is measured on layers as images have them, since those are compressed whether or not the program is packed.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from wherry.elf.packing import MACHINES, PackableProgram, packed_program, unpacked_image
from wherry.errors import HostUnable, InvalidDocument, WherryError
from wherry.golang.buildinfo import BuildInfo
from wherry.host.process import Command, Runner
from wherry.lab.start import DidNotStart, start
from wherry.layer.compress import Encoding, pack
from wherry.layer.entry import Entry, EntryKind, FileContent
from wherry.store.memory import MemoryStore

_STUBS = Path(__file__).parent / "stubs"
_ENCODINGS = {"zstd": Encoding("zstd", 19), "gzip": Encoding("gzip", 9)}
_UPX = ("--best", "--lzma", "-q")


class PackedStart(msgspec.Struct, frozen=True, kw_only=True):
    """What starting it takes; medians."""

    cpu: float
    """Seconds of processor, until it listened or ended."""
    private: int
    """Bytes of memory that are its own; 0 of a program that ends by itself."""
    listened: bool


class PackedVariant(msgspec.Struct, frozen=True, kw_only=True):
    """A program as it is, or packed in one way."""

    name: str
    """`plain`, `stub` or `upx`."""
    size: int
    pulled: dict[str, int]
    """Bytes of the layer that has it, by compression: `zstd` (level 19), `gzip` (level 9)."""
    modules: int
    """Modules that a scanner finds in it."""
    start: PackedStart | None = None
    """None where it was not started."""
    problem: str = ""
    """Why there is no such variant."""


@dataclass(frozen=True, slots=True)
class StartTrial:
    """How a program is started to be measured."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    runs: int = 5


def pack_by_stub(program: Path, target: Path, name: str) -> None:
    """Write a program packed by our own stub; what was packed is unpacked again and compared.

    Raises:
        InvalidDocument, InvalidUsage: it can't be packed.
    """
    content = program.read_bytes()
    found = PackableProgram.of(content, name)
    stub = (_STUBS / f"pack-{MACHINES[found.machine]}").read_bytes()
    packed = packed_program(content, stub, name)
    if unpacked_image(packed, name) != found.image(content):
        raise InvalidDocument(name, "its packed copy is not the program", hint="leave it unpacked, and report this")
    target.write_bytes(packed)
    target.chmod(0o755)


def pack_by_upx(runner: Runner, program: Path, target: Path, environment: Mapping[str, str]) -> None:
    """Write a program packed by UPX, at its best.

    Raises:
        HostUnable: UPX is not installed.
        WherryError: UPX can't pack it.
    """
    target.unlink(missing_ok=True)
    try:
        done = runner.run(Command(("upx", *_UPX, "-o", str(target), str(program)), program.parent, environment))
    except HostUnable as error:
        raise HostUnable(
            "upx: not installed", hint="install upx-ucl (Debian 13 has it, and bookworm-backports), or use --with stub"
        ) from error
    if done.returncode:
        raise WherryError(f"upx: {done.words}", hint="use --with stub, or leave it unpacked")


def measured(name: str, file: Path, folder: Path, trial: StartTrial | None) -> PackedVariant:
    """Measure one file.

    Args:
        name: what it is called in the result.
        file: the program.
        folder: a folder for what it writes.
        trial: how it is started; None: it is not.

    Raises:
        DidNotStart: it ended with an error.
    """
    return PackedVariant(
        name=name,
        size=file.stat().st_size,
        pulled={kind: _pulled(file, encoding) for kind, encoding in _ENCODINGS.items()},
        modules=_modules(file),
        start=_start(file, folder, trial) if trial else None,
    )


def _pulled(file: Path, encoding: Encoding) -> int:
    entry = Entry(
        path="app/program", kind=EntryKind.FILE, mode=0o755, size=file.stat().st_size, content=FileContent(file)
    )
    return pack([entry], encoding, MemoryStore(), threads=2).blob.size


def _modules(file: Path) -> int:
    from wherry.golang.buildinfo import find

    content = file.read_bytes()
    at = find(content)
    if at is None:
        return 0
    try:
        return len(BuildInfo.parse(content[at:], file.name).modules)
    except InvalidDocument:
        return 0


def _start(file: Path, folder: Path, trial: StartTrial) -> PackedStart:
    found = [start([str(file), *trial.arguments], trial.environment, folder) for _ in range(trial.runs)]
    return PackedStart(
        cpu=statistics.median(one.cpu for one in found),
        private=int(statistics.median(one.private for one in found)),
        listened=all(one.listened for one in found),
    )


def refused(name: str, error: WherryError) -> PackedVariant:
    """Give the row of a way that does not work for a program."""
    return PackedVariant(name=name, size=0, pulled={}, modules=0, problem=error.message)


def variants(
    kinds: Sequence[str], files: Mapping[str, Path], folder: Path, trial: StartTrial | None
) -> list[PackedVariant]:
    """Measure several; one that does not start says so."""
    rows = []
    for kind in kinds:
        try:
            rows.append(measured(kind, files[kind], folder, trial))
        except DidNotStart as error:
            if kind == "plain":
                raise
            rows.append(refused(kind, error))
    return rows
