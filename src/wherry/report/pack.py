"""What packing a program saves and costs, as a table."""

from collections.abc import Iterator

from wherry.app.pack import PackingPrice
from wherry.report.terminal import printable, size, table


def lines_of_packed(found: PackingPrice) -> Iterator[str]:
    """Write a row a variant, then what the figures mean."""
    rows: list[tuple[str, ...]] = [("", "on disk", "pulled, zstd -19", "gzip -9", "modules seen", "start", "private")]
    for one in found.variants:
        if one.problem:
            continue
        started = (
            (f"{one.start.cpu * 1000:.0f} ms", size(one.start.private) if one.start.private else "-")
            if one.start
            else ("-", "-")
        )
        rows.append(
            (one.name, size(one.size), size(one.pulled["zstd"]), size(one.pulled["gzip"]), str(one.modules), *started)
        )
    yield from table(rows, right=(1, 2, 3, 4, 5, 6))
    yield from (printable(f"  {note}") for note in found.notes)
    if found.written:
        yield printable(f"wrote {found.written}")
