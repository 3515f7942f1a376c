"""A checksum database of one's own: real notes, real tiles, and the ways in which one could lie."""

from collections.abc import Callable, Sequence

from wherry.trust.tlog import node_hash, record_hash


def hashes_of(records: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """Hash all complete subtrees of a log."""
    rows = [[record_hash(record) for record in records]]
    while len(rows[-1]) > 1:
        below = rows[-1]
        rows.append([node_hash(*below[at : at + 2]) for at in range(0, len(below) - 1, 2)])
    return lambda level, number: rows[level][number]
