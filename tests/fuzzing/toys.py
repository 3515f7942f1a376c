"""Targets that show that the runner works: one crashes, one hangs, one takes memory without end, one is well.

Each does so on an input that begins with `!`, which the fuzzer has to find.
"""

from collections.abc import Callable


def crash(blob: bytes) -> None:
    """End with an error that is not ours."""
    if blob[:1] == b"!":
        raise ValueError("planted")


def hang(blob: bytes) -> None:
    """Never end."""
    while blob[:1] == b"!":
        pass


def grow(blob: bytes) -> None:
    """Take more memory than one input may."""
    if blob[:1] == b"!":
        bytearray(b"x" * (2 << 30))


def well(blob: bytes) -> None:
    """Take whatever comes."""
    blob.decode(errors="replace")


TARGETS: dict[str, Callable[[bytes], None]] = {"crash": crash, "hang": hang, "grow": grow, "well": well}
