"""What both front ends ask of encodings and of registries: `--release`, `--pull` and `--offline`."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.build.options import CommonOptions
from wherry.app.session import Session
from wherry.errors import HostUnable
from wherry.layer.compress import Encoding
from wherry.remote import Policy
from wherry.settings.options import BuildOptions
from wherry.settings.outputs import Output, OutputType

if TYPE_CHECKING:
    from wherry.base.deb.bases import DebPins

SMALLEST = ("zstd", 19)
EVERYWHERE = ("gzip", 9)


def encoding_for(options: BuildOptions, outputs: Sequence[Output]) -> tuple[str, int | None]:
    """Choose algorithm and level of an image's own layers; None is the algorithm's default."""
    if not options.release:
        return options.compression or "gzip", options.compression_level
    return EVERYWHERE if why_not_zstd(outputs) else SMALLEST


def why_not_zstd(outputs: Sequence[Output]) -> str:
    """Say which output keeps a release from zstd; empty where none does."""
    if any(output.type is OutputType.DOCKER and not output.loads for output in outputs):
        return "Docker before 23 can't load zstd from type=docker"
    return ""


def release_line(outputs: Sequence[Output]) -> str:
    """Say which encoding a release has, and why."""
    reason = why_not_zstd(outputs)
    if reason:
        return f"release: {' '.join(map(str, EVERYWHERE))}, because {reason}"
    return f"release: {' '.join(map(str, SMALLEST))}, which Docker before 23 and containerd before 1.5 can't unpack"


def encoding_of_level(algorithm: str, level: int | None) -> Encoding:
    """Give an encoding; without a level, it has the algorithm's default."""
    return Encoding.default(algorithm) if level is None else Encoding(algorithm, level)


def check_encoders(encodings: Collection[Encoding], *, strict: bool, warn: Callable[[str], None]) -> None:
    """Warn of an installed encoder that gives other digests than this release gives elsewhere.

    Its version is compared; if strict, also what it makes of a sample at the level in use.

    Raises:
        HostUnable: it does, and `strict` is on.
    """
    for encoding in sorted(encodings, key=lambda one: (one.algorithm, one.level)):
        differs = encoding.differs
        if strict:
            _refuse_other(encoding, differs)
        elif differs:
            warn(f"{differs}: digests will differ from those of other machines")


def _refuse_other(encoding: Encoding, differs: str) -> None:
    from wherry.layer.encoder_sample import compresses_as_released

    if differs:
        raise HostUnable(differs, hint="install that version, or remove --strict-encoder")
    if not compresses_as_released(encoding):
        raise HostUnable(
            f"{encoding.library}, level {encoding.level}: this build of it compresses differently",
            hint="install zlib-ng and zstandard as published wheels, or remove --strict-encoder",
        )


def policy_of(session: Session, wanted: CommonOptions, *folders: Path) -> Policy:
    """Give how fresh bases have to be, with the digests of the wherry.lock that counts for each folder.

    Bases have to be signed as the wherry.toml of each folder requires.
    """
    from wherry.app.lockfile import lock_file, read_lock_file
    from wherry.app.required import base_verifier

    locked: dict[str, str] = {}
    debs: DebPins = {}
    for folder in folders:
        found = read_lock_file(lock_file(folder))
        locked |= found.digests
        debs = {**debs, **found.debs}
    verify = base_verifier(session, folders, offline=wanted.offline)
    return Policy(offline=wanted.offline, pull=wanted.pull, locked=locked, debs=debs, verify=verify)
