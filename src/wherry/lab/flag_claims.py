"""What is said of flags and does not hold, each tried here and now by the user's own toolchain.

Sources: System V gABI, "Section Header", SHF_COMPRESSED ("applies only to non-allocable sections"); Go 1.26,
cmd/link/internal/ld/dwarf.go (what `-compressdwarf` compresses); `go help build` (`-a`, `-installsuffix`).
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wherry.analysis.mapped import map_elf
from wherry.elf.reader import SHF_ALLOC
from wherry.errors import WherryError
from wherry.lab.compiling import Compiler, Recipe, weigh
from wherry.lab.variants import Variant
from wherry.layer.compress import Encoding

Said = Callable[[str], None]
_COMPRESSED = 0x800
"""SHF_COMPRESSED."""
_RELEASE = Encoding("zstd", 19)


@dataclass(frozen=True, slots=True)
class FlagClaim:
    """A claim, whether it held here, and what was seen."""

    claim: str
    holds: bool
    evidence: str


def believed(compiler: Compiler, recipe: Recipe, say: Said, *, deep: bool) -> tuple[FlagClaim, ...]:
    """Try each claim; those that compile every package again only where that is wanted."""
    found: list[FlagClaim] = []
    for name, judge in claims_of(deep=deep).items():
        say(f"trying: {name}")
        try:
            found += judge(compiler, recipe)
        except WherryError as error:
            found.append(FlagClaim(name, holds=False, evidence=f"could not be tested: {error.message}"))
    return tuple(found)


def claims_of(*, deep: bool) -> "dict[str, Callable[[Compiler, Recipe], Iterator[FlagClaim]]]":
    """Name the claims that are tried, each with what tries it."""
    return {**_JUDGES, **(_DEEP if deep else {})}


def _size(compiler: Compiler, recipe: Recipe, variant: Variant) -> int:
    program, _ = compiler.compile(variant.of(recipe), "believed")
    size = program.stat().st_size
    program.unlink()
    return size


def _z(compiler: Compiler, recipe: Recipe) -> Iterator[FlagClaim]:
    """The linker has no -z, and loaded sections can't be compressed."""
    claim = "-ldflags=-z compresses code and constants by zstd"
    try:
        compiler.compile(Variant("-z", ldflags="-s -z").of(recipe), "believed")
    except WherryError as error:
        lines = error.message.splitlines()
        said = next((line for line in lines if "not defined" in line), lines[-1]).rpartition(": flag")[2]
        program, _ = compiler.compile(Variant("plain", ldflags="").of(recipe), "believed")
        elf = map_elf(program)
        loaded = sum(bool(one.flags & SHF_ALLOC) for one in elf.sections)
        packed = [one.name for one in elf.sections if one.flags & _COMPRESSED]
        wrong = [one.name for one in elf.sections if one.flags & _COMPRESSED and one.flags & SHF_ALLOC]
        program.unlink()
        yield FlagClaim(
            claim,
            holds=False,
            evidence=f"linker: flag{said}. Neither kernel nor runtime decompresses sections: {len(wrong)} of {loaded} "
            f"loaded sections are compressed, and {len(packed)} others (DWARF)",
        )
    else:
        yield FlagClaim(claim, holds=True, evidence="this linker accepts -z")


def _s_and_w(compiler: Compiler, recipe: Recipe) -> Iterator[FlagClaim]:
    both, alone = (_size(compiler, recipe, Variant("", ldflags=words)) for words in ("-s -w", "-s"))
    yield FlagClaim(
        "-w saves bytes in addition to -s", holds=both < alone, evidence=f"-s gives {alone} bytes, -s -w gives {both}"
    )


def _buildid(compiler: Compiler, recipe: Recipe) -> Iterator[FlagClaim]:
    plain, _ = compiler.compile(Variant("", ldflags="-s").of(recipe), "believed")
    size, identified = plain.stat().st_size, map_elf(plain).section(".note.gnu.build-id") is not None
    plain.unlink()
    without = _size(compiler, recipe, Variant("", ldflags="-s -buildid="))
    notes = "the notes that profilers and symbol servers use" if identified else "the Go build id"
    saved = size - without
    yield FlagClaim(
        "-buildid= makes a program smaller",
        holds=saved * 1000 > size,
        evidence=f"saves {saved} of {size} bytes, and removes {notes}",
    )


def _static(compiler: Compiler, recipe: Recipe) -> Iterator[FlagClaim]:
    if recipe.environment.get("CGO_ENABLED", "0") != "0":
        return
    plain = _size(compiler, recipe, Variant("", ldflags="-s"))
    for claim, variant in (
        ("-extldflags -static makes it static", Variant("", ldflags="-s -extldflags -static")),
        ("-tags netgo,osusergo makes it static", Variant("", ldflags="-s", more=("-tags=netgo,osusergo",))),
        ("-installsuffix cgo changes something", Variant("", ldflags="-s", more=("-installsuffix=cgo",))),
    ):
        if variant.more[:1] == ("-tags=netgo,osusergo",) and any(flag.startswith("-tags=") for flag in recipe.flags):
            continue
        size = _size(compiler, recipe, variant)
        yield FlagClaim(
            claim,
            holds=abs(size - plain) > _NAMES,
            evidence=f"without cgo it is already static: {plain} bytes before, {size} after",
        )


_NAMES = 256
"""Bytes that a flag's own text may take in build info."""


def _pie(compiler: Compiler, recipe: Recipe) -> Iterator[FlagClaim]:
    program, _ = compiler.compile(Variant("", more=("-buildmode=pie",)).of(recipe), "believed")
    interpreter = map_elf(program).interpreter
    program.unlink()
    seen = f"it needs {interpreter}, which a static base does not have" if interpreter else "it needs no dynamic linker"
    yield FlagClaim("-buildmode=pie starts on a static base", holds=not interpreter, evidence=seen)


def _compressed_dwarf(compiler: Compiler, recipe: Recipe) -> Iterator[FlagClaim]:
    pulled = []
    for words in ("", "-compressdwarf=false"):
        program, _ = compiler.compile(Variant("", ldflags=words).of(recipe), "believed")
        weight = weigh(program, [_RELEASE])
        pulled.append((weight.unpacked, next(iter(weight.pulled.values()))))
        program.unlink()
    (packed, packed_pulled), (plain, plain_pulled) = pulled
    yield FlagClaim(
        "compressed DWARF makes a zstd layer smaller",
        holds=packed_pulled < plain_pulled,
        evidence=f"compressed: {packed} bytes, {packed_pulled} pulled; uncompressed: {plain}, {plain_pulled} pulled",
    )


def _again(compiler: Compiler, recipe: Recipe) -> Iterator[FlagClaim]:
    digests = []
    for more in ((), ("-a",)):
        program, _ = compiler.compile(Variant("", more=more).of(recipe), "believed")
        with program.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        program.unlink()
    same = digests[0] == digests[1]
    seen = "the output is identical, and every package was recompiled" if same else "the output differs"
    yield FlagClaim("-a makes a cleaner program", holds=not same, evidence=seen)


_JUDGES: dict[str, Callable[[Compiler, Recipe], Iterator[FlagClaim]]] = {
    "-ldflags=-z": _z,
    "-w in addition to -s": _s_and_w,
    "-buildid=": _buildid,
    "static by flags": _static,
    "-buildmode=pie": _pie,
    "compressed DWARF": _compressed_dwarf,
}
_DEEP: dict[str, Callable[[Compiler, Recipe], Iterator[FlagClaim]]] = {"-a": _again}
