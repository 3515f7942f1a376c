"""Values as a person at a prompt reads them: sizes in decimal units, tables in columns."""

from collections.abc import Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_STEP = 1000


def size(count: int) -> str:
    """Write bytes as registries and `docker images` do: decimal units, one digit after the point from 1 MB on."""
    value, unit = float(count), 0
    while round(value) >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    digits = 1 if unit > 1 else 0
    return f"{value:.{digits}f} {_UNITS[unit]}"


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Lay rows out in columns, two spaces apart; no row is wider than it must be.

    Args:
        rows: cells as text; rows may be of different length.
        right: columns that are set to the right, such as sizes.
    """
    widths: dict[int, int] = {}
    for row in rows:
        for column, cell in enumerate(row):
            widths[column] = max(widths.get(column, 0), len(cell))
    return [
        "  ".join(
            cell.rjust(widths[column]) if column in right else cell.ljust(widths[column])
            for column, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]


def printable(text: str) -> str:
    """Escape control characters and broken bytes of untrusted text for the terminal."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    """Write a byte that is not UTF-8, which Python keeps as a surrogate (PEP 383), as that byte."""
    return f"\\x{ord(char) - 0xDC00:02x}" if "\udc80" <= char <= "\udcff" else ascii(char)[1:-1]
