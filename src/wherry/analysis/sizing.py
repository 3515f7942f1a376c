"""An executable to its size document: sections by their table, owners by `attribution.py`, summed up.

numpy is imported only where owners are asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wherry.analysis.objects import ObjectFile, elf_object, sections_of
from wherry.analysis.size import BinarySize, FunctionSize, KindSize, ModuleSize, ObjectSize, PackageSize, SectionSize
from wherry.elf.reader import Elf
from wherry.errors import InvalidDocument, WherryError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wherry.analysis.attribution import Attribution
    from wherry.analysis.named_data import NamedData
    from wherry.analysis.owners import Modules

FULL, SECTIONS = "full", "sections"
TABLES, SYMBOLS, RELINK, RECORD = "tables", "symbols", "relink", "record"
"""What owners of variables rest on."""
_LEAST_OBJECT = 256
"""Bytes of data from which on it is listed with its hash."""
_FORMATS = {"macho": "Mach-O", "pe": "PE"}


@dataclass(frozen=True, slots=True)
class MeasuredBinary:
    """Where a binary is, and what is known of it without reading its tables."""

    name: str
    digest: str
    image: str = ""
    platform: str = ""
    path: str = ""
    layer: int = 0


@dataclass(frozen=True, slots=True)
class NamedBy:
    """Variables of a stripped program, and where their names are from."""

    named: "NamedData"
    by: str
    """`relink` or `record`."""


def size_of(
    elf: Elf,
    measured: MeasuredBinary,
    *,
    sections_only: bool = False,
    origin: bool = False,
    names: "NamedBy | None" = None,
) -> BinarySize:
    """Measure a binary.

    Args:
        elf: the file.
        measured: where it is.
        sections_only: leave owners out, which takes milliseconds.
        origin: whether instances of generic functions are of the package that wrote them, and not of the one that
            compiled them.
        names: variables of the same program linked with symbols, where it has none itself.

    Returns:
        Owners too, where the binary's tables can be read; otherwise a note says why they can't.
    """
    plain = _plain(elf_object(elf), measured, len(elf.view))
    if sections_only:
        return plain
    try:
        return _with_owners(elf, plain, origin=origin, names=names)
    except WherryError as error:
        import msgspec

        return msgspec.structs.replace(plain, notes=(_note(elf, error),))


def size_of_foreign(view: memoryview, measured: MeasuredBinary) -> BinarySize:
    """Measure a Mach-O or PE file, by its section table.

    Args:
        view: the whole file.
        measured: where it is.

    Raises:
        InvalidDocument: it is invalid, or a broken one.
    """
    import msgspec

    found = sections_of(view, measured.name)
    note = f"{_FORMATS[found.format]}: sections only; attribution needs an ELF program"
    return msgspec.structs.replace(_plain(found, measured, len(view)), notes=(note,))


def _plain(found: ObjectFile, measured: MeasuredBinary, size: int) -> BinarySize:
    """Say what the tables of the format tell."""
    info, sections = found.info, tuple(_sections(found))
    return BinarySize(
        name=measured.name,
        image=measured.image,
        platform=measured.platform or f"{found.system}/{found.architecture}",
        path=measured.path,
        layer=measured.layer,
        digest=measured.digest,
        size=size,
        format=found.format,
        go=info.go_version if info else "",
        package=info.path if info else "",
        module=info.main.path if info and info.main else "",
        settings=dict(info.settings) if info else {},
        stripped=found.stripped,
        reading=SECTIONS,
        notes=(),
        confidence={"unknown": size},
        kinds=_kinds(sections),
        sections=sections,
    )


def _note(elf: Elf, error: WherryError) -> str:
    said = error.problem if isinstance(error, InvalidDocument) else error.message.removeprefix(f"{elf.name}: ")
    return f"{said}; {error.hint}" if error.hint else said


def _with_owners(elf: Elf, plain: BinarySize, *, origin: bool, names: "NamedBy | None") -> BinarySize:
    import msgspec

    from wherry.analysis.attribution import attribute
    from wherry.analysis.owners import Modules
    from wherry.analysis.program import AttributedProgram
    from wherry.analysis.spans import Confidence, SpanKind

    attribution = attribute(AttributedProgram.of(elf, origin=origin, symbols=names.named if names else None))
    modules = Modules.of(attribution.program.info)
    sums = _Sums.of(attribution)
    packages = tuple(sorted(_packages(attribution, modules, sums), key=lambda one: (-one.bytes, one.path)))
    kinds = [
        KindSize(kind=SpanKind(at).name.lower(), bytes=int(size)) for at, size in enumerate(sums.kinds.sum(axis=0))
    ]
    return msgspec.structs.replace(
        plain,
        reading=FULL,
        owners=names.by if names else TABLES if plain.stripped else SYMBOLS,
        objects=tuple(_objects(attribution)),
        confidence={one.name.lower(): int(sums.confidence[:, one].sum()) for one in Confidence},
        kinds=tuple(sorted((one for one in kinds if one.bytes), key=lambda one: -one.bytes)),
        packages=packages,
        modules=modules_of(packages, modules),
    )


def modules_of(packages: tuple[PackageSize, ...], modules: "Modules") -> tuple[ModuleSize, ...]:
    """Sum packages up by module."""
    sums: dict[str, tuple[int, int]] = {}
    for package in packages:
        size, count = sums.get(package.module, (0, 0))
        sums[package.module] = (size + package.bytes, count + 1)
    rows = (
        ModuleSize(
            path=path,
            version=modules.versions.get(path, ""),
            sum=modules.sums.get(path, ""),
            bytes=size,
            packages=count,
        )
        for path, (size, count) in sums.items()
    )
    return tuple(sorted(rows, key=lambda one: (-one.bytes, one.path)))


def _objects(attribution: "Attribution") -> Iterator[ObjectSize]:
    """Give data of some size with the hash of its bytes, so that two programs can be compared by content."""
    import hashlib

    import numpy as np

    from wherry.analysis.spans import Confidence, SpanKind

    program, names = attribution.program, attribution.owners.names
    kinds, confidences = [one.name.lower() for one in SpanKind], [one.name.lower() for one in Confidence]
    objects = attribution.objects
    large = np.flatnonzero(objects.sizes >= _LEAST_OBJECT)
    for row in large.tolist():
        start, size = int(objects.start[row]), int(objects.sizes[row])
        content = program.space.read_on(start)[:size]
        if len(content) == size:
            yield ObjectSize(
                hash=hashlib.blake2b(content, digest_size=12).hexdigest(),
                package=names[int(objects.owner[row])],
                kind=kinds[int(objects.kind[row])],
                confidence=confidences[int(objects.confidence[row])],
                bytes=size,
            )


@dataclass(frozen=True, slots=True)
class _Sums:
    """Bytes by owner and kind, by owner and confidence, by function."""

    kinds: "NDArray[np.int64]"
    confidence: "NDArray[np.int64]"
    functions: "NDArray[np.int64]"

    @classmethod
    def of(cls, attribution: "Attribution") -> "_Sums":
        import numpy as np

        from wherry.analysis.spans import Confidence, SpanKind

        spans, owners = attribution.spans, len(attribution.owners.names)
        sizes = spans.sizes
        tables = []
        for column, width in ((spans.kind, len(SpanKind)), (spans.confidence, len(Confidence))):
            cells = spans.owner.astype(np.int64) * width + column
            sums = np.bincount(cells, weights=sizes, minlength=owners * width)
            tables.append(sums.astype(np.int64).reshape(owners, width))
        own = spans.function >= 0
        functions = np.bincount(
            spans.function[own], weights=sizes[own], minlength=len(attribution.program.functions)
        ).astype(np.int64)
        return cls(tables[0], tables[1], functions)


def _packages(attribution: "Attribution", modules: "Modules", sums: _Sums) -> Iterator[PackageSize]:
    from wherry.analysis.spans import Confidence, SpanKind

    kinds, confidences = [one.name.lower() for one in SpanKind], [one.name.lower() for one in Confidence]
    functions = _functions(attribution, sums)
    for owner, path in enumerate(attribution.owners.names):
        size = int(sums.kinds[owner].sum())
        if size:
            yield PackageSize(
                path=path,
                module=modules.module_of(path),
                bytes=size,
                kinds={name: int(part) for name, part in zip(kinds, sums.kinds[owner], strict=True) if part},
                confidence={
                    name: int(part) for name, part in zip(confidences, sums.confidence[owner], strict=True) if part
                },
                functions=tuple(sorted(functions.get(owner, ()), key=lambda one: (-one.bytes, one.name))),
            )


def _functions(attribution: "Attribution", sums: _Sums) -> dict[int, list[FunctionSize]]:
    from wherry.golang.names import generic_package

    program = attribution.program
    found: dict[int, list[FunctionSize]] = {}
    rows = zip(
        program.functions.names, program.function_owners.tolist(), sums.functions.tolist(),
        program.functions.sizes.tolist(), strict=True,
    )  # fmt: skip
    for name, owner, size, code in rows:
        found.setdefault(owner, []).append(
            FunctionSize(name=name, bytes=size, code=code, generic_from=generic_package(name))
        )
    return found


def _sections(found: ObjectFile) -> Iterator[SectionSize]:
    """Count every byte of the file once; what is in no section comes last, as one."""
    outside = 0
    for part in found.sections:
        if part.name or part.kind != "headers":
            yield SectionSize(name=part.name, kind=part.kind, bytes=part.size)
        else:
            outside += part.size
    if outside:
        yield SectionSize(name="", kind="headers", bytes=outside)


def _kinds(sections: tuple[SectionSize, ...]) -> tuple[KindSize, ...]:
    sums: dict[str, int] = {}
    for section in sections:
        sums[section.kind] = sums.get(section.kind, 0) + section.bytes
    return tuple(KindSize(kind=kind, bytes=size) for kind, size in sorted(sums.items(), key=lambda pair: -pair[1]))
