"""Entries of a history, made for tests."""

from wherry.history.entry import CallFigures, ImageFigures, LayerFigures, StepFigures

DAY = 86400.0
BEGAN = 1_780_000_000.0
"""A moment in 2026."""
HOSTILE = "</script><img src=x onerror=alert(1)>\"'`\u202e\x1b[31m=1+1"


def digest_of(number: int) -> str:
    """Give a digest."""
    return f"sha256:{number:064x}"


def built(  # noqa: PLR0913 - each is a figure
    number: int,
    *,
    at: float | None = None,
    pulled: int = 5_000_000,
    name: str = "api:dev",
    unchanged: bool = False,
    requires: dict[str, str] | None = None,
    go: str = "go1.26.8",
    revision: str = "",
    machine: str = "",
) -> CallFigures:
    """Give a build of one image."""
    layers = (
        LayerFigures(digest=digest_of(1), pulled=1_000_000, unpacked=2_000_000),
        LayerFigures(digest=digest_of(pulled), pulled=pulled - 1_000_000, unpacked=2 * pulled, own=True),
    )
    steps = (StepFigures(name="compile api", seconds=1.5, reasons=("main.go changed",)),)
    return CallFigures(
        id=f"{number:016x}",
        at=BEGAN + number * 3600.0 if at is None else at,
        command="build",
        machine=machine,
        seconds=0.05 if unchanged else 2.0 + number % 7 / 10,
        unchanged=unchanged,
        images=(
            ImageFigures(
                name=name, digest=digest_of(pulled), platform="linux/amd64", pulled=pulled,
                layers=() if unchanged else layers, program=pulled * 2,
            ),
        ),
        steps=() if unchanged else steps,
        hits=8 if unchanged else 7,
        misses=0 if unchanged else 1,
        cpu=1.0,
        memory=0 if unchanged else 60_000_000,
        compiler_memory=0 if unchanged else 300_000_000 + number,
        go=go,
        revision=revision,
        requires=requires or {},
    )  # fmt: skip
