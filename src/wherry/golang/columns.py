"""Columns of whole numbers, and lists that are stored one after the other in them.

Imported late: it needs numpy.
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def members(counts: Ints) -> tuple[Ints, Ints]:
    """Number the members of lists: for each, its list and its place therein.

    Args:
        counts: how many members each list has.
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
