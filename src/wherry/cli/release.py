"""`--release`: the fewest bytes to pull that everybody concerned reads."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from wherry.settings.options import BuildOptions
from wherry.settings.outputs import Output, OutputType

if TYPE_CHECKING:
    from wherry.cli.requests import Asked

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
        return "a Docker older than 23 would not load it from type=docker"
    return ""


def readable_everywhere(asked: "Asked") -> "Asked":
    """Ask for the same in the encoding that every registry takes, where it is a release."""
    requests = tuple(
        replace(request, algorithm=EVERYWHERE[0], level=EVERYWHERE[1]) if released else request
        for request, released in zip(asked.requests, asked.releases, strict=True)
    )
    return replace(asked, requests=requests, releases=tuple(False for _ in requests))
