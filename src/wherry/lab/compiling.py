"""A program compiled in another way, and weighed: on disk, and as the layer that would be pulled.

Sources: Go 1.26, `go help build`; OCI image-spec v1.1.1, layer.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wherry.build.compile import CompileFailed
from wherry.digest import Digest
from wherry.host.process import Runner
from wherry.host.toolchain import Toolchain
from wherry.layer.compress import Encoding, pack
from wherry.layer.entry import Entry, EntryKind, FileContent
from wherry.oci.descriptor import Descriptor
from wherry.source.module import MainPackage

_MOST_LINES = 8
"""Lines of what a compiler says that are shown: the first ones name the error, usage may follow."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a program is compiled."""

    package: MainPackage
    flags: tuple[str, ...]
    """Arguments of `go build`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """GOOS, GOARCH, CGO_ENABLED and the like."""

    @property
    def argument(self) -> str:
        """What `go build` is asked for: where there is no program in the folder, its import path."""
        return self.package.argument if self.package.name != "measured" else self.package.import_path


@dataclass(frozen=True, slots=True)
class Compiler:
    """A Go that compiles recipes into a folder."""

    runner: Runner
    toolchain: Toolchain
    folder: Path

    def compile(self, recipe: Recipe, name: str) -> tuple[Path, str]:
        """Compile a program.

        Returns:
            Where it is, and what Go said.

        Raises:
            CompileFailed: Go said no; the message has its words.
        """
        program = self.folder / name
        words = ("build", "-buildvcs=false", *recipe.flags, "-o", str(program), recipe.argument)
        done = self.runner.run(self.toolchain.command(recipe.package.folder, *words, extra=recipe.environment))
        said = done.stderr.decode(errors="replace")
        if done.returncode:
            raise CompileFailed(
                f"{recipe.package.import_path}: go {' '.join(words[:-3])}:\n{_first(said)}",
                hint="run that `go build` yourself",
            )
        return program, said


def _first(said: str) -> str:
    lines = [line for line in said.strip().splitlines() if not line.startswith("# ")]
    return "\n".join(lines[:_MOST_LINES])


@dataclass(frozen=True, slots=True)
class Weight:
    """What a program weighs."""

    unpacked: int
    """Bytes of the file."""
    pulled: Mapping[str, int]
    """Bytes of a layer that has the file alone, by how it is compressed, such as `gzip 5`."""


def weigh(program: Path, encodings: Sequence[Encoding], threads: int = 2) -> Weight:
    """Weigh a program.

    Cost: as `layer.compress.pack`, once for each encoding; nothing is kept.
    """
    size = program.stat().st_size
    pulled = {}
    for encoding in encodings:
        entry = Entry(
            path=f"app/{program.name}", kind=EntryKind.FILE, mode=0o755, size=size, content=FileContent(program)
        )
        pulled[f"{encoding.algorithm} {encoding.level}"] = pack([entry], encoding, _Scales(), threads=threads).blob.size
    return Weight(size, pulled)


class _Scales:
    """A sink that counts and forgets."""

    def has(self, blob: Descriptor) -> bool:  # noqa: ARG002 - a sink's promise
        return False

    def write(self, blob: Descriptor, chunks: object) -> None:
        """Take nothing: only drafts are weighed."""

    @contextmanager
    def draft(self) -> "Iterator[_Draft]":
        yield _Draft()


class _Draft:
    def __init__(self) -> None:
        self._hash, self._size = Digest.of(b"").hasher(), 0

    def write(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self._size += len(chunk)

    def commit(self, media_type: str) -> Descriptor:
        return Descriptor(media_type=media_type, digest=Digest.from_hash(self._hash), size=self._size)
