"""A transparency log: hashes of its tree, proofs of inclusion and of consistency, its head and records as text.

Sources: RFC 6962, section 2.1; golang.org/x/mod v0.30, sumdb/tlog.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wherry.errors import InvalidDocument

HASH = 32
"""Bytes of a hash."""
HashAt = Callable[[int, int], bytes]
"""Gives the hash of a complete subtree by its level (0: a leaf) and its number from the left."""
_HEAD = "go.sum database tree\n"
_HEAD_LINES = 3
_LONGEST_HEAD = 1_000_000
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_WRONG_TEXT = re.compile(r"[\x00-\x09\x0b-\x1f]|\n\n|^\n")


class InvalidProof(InvalidDocument):
    """A proof is not one of what it is said to prove."""


@dataclass(frozen=True, slots=True)
class TreeHead:
    """What a log was at a time: how many records, and the hash of all."""

    size: int
    hash: bytes


def record_hash(record: bytes) -> bytes:
    """Hash a record: a leaf of the tree."""
    return hashlib.sha256(b"\0" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash what two subtrees make."""
    return hashlib.sha256(b"\1" + left + right).digest()


def _split(width: int) -> int:
    """Give the largest power of two below a width: how many leaves the left subtree has."""
    return 1 << (width - 1).bit_length() - 1


def subtree_hash(low: int, high: int, hash_at: HashAt) -> bytes:
    """Hash the leaves from `low` to before `high`, which is a subtree of some tree."""
    width = high - low
    if width == 1 << width.bit_length() - 1:
        level = width.bit_length() - 1
        return hash_at(level, low >> level)
    middle = low + _split(width)
    return node_hash(subtree_hash(low, middle, hash_at), subtree_hash(middle, high, hash_at))


def tree_hash(size: int, hash_at: HashAt) -> bytes:
    """Hash a whole tree; one without records has the hash of nothing."""
    return subtree_hash(0, size, hash_at) if size else hashlib.sha256(b"").digest()


def prove_record(size: int, number: int, hash_at: HashAt) -> list[bytes]:
    """Make the proof that a tree of `size` records has one with this number.

    Raises:
        InvalidProof: the tree has not so many.
    """
    if not 0 <= number < size:
        raise InvalidProof(f"record {number}", f"the tree has {size}")
    proof: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if number < middle:
            proof.append(subtree_hash(middle, high, hash_at))
            high = middle
        else:
            proof.append(subtree_hash(low, middle, hash_at))
            low = middle
    return proof[::-1]


def check_record(proof: Sequence[bytes], head: TreeHead, number: int, leaf: bytes) -> None:
    """Check that a tree has a record.

    Args:
        proof: as `prove_record` makes it.
        head: of the tree.
        number: of the record, from 0.
        leaf: the record's hash.

    Raises:
        InvalidProof: the proof does not show that.
    """
    wrong = InvalidProof(f"record {number}", f"the proof does not match the tree of {head.size} records")
    if not 0 <= number < head.size:
        raise wrong
    turns = _turns(head.size, number)
    if len(turns) != len(proof):
        raise wrong
    found = leaf
    for sibling, right in zip(proof, reversed(turns), strict=True):
        found = node_hash(sibling, found) if right else node_hash(found, sibling)
    if found != head.hash:
        raise wrong


def _turns(size: int, number: int) -> list[bool]:
    """Tell for each step from the root to a leaf whether it goes to the right."""
    turns = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        turns.append(number >= middle)
        low, high = (middle, high) if number >= middle else (low, middle)
    return turns


def prove_tree(size: int, older: int, hash_at: HashAt) -> list[bytes]:
    """Make the proof that a tree of `size` records goes on from one of `older`.

    Raises:
        InvalidProof: the older one is empty or bigger.
    """
    if not 1 <= older <= size:
        raise InvalidProof(f"tree of {size} records", f"it does not go on from one of {older}")
    proof: list[bytes] = []
    low, high = 0, size
    while older != high:
        middle = low + _split(high - low)
        if older <= middle:
            proof.append(subtree_hash(middle, high, hash_at))
            high = middle
        else:
            proof.append(subtree_hash(low, middle, hash_at))
            low = middle
    if low:
        proof.append(subtree_hash(low, high, hash_at))
    return proof[::-1]


def check_tree(proof: Sequence[bytes], head: TreeHead, older: TreeHead) -> None:
    """Check that a tree goes on from an older one, with nothing changed.

    Raises:
        InvalidProof: the proof does not show that.
    """
    wrong = InvalidProof(f"tree of {head.size} records", f"it does not go on from the tree of {older.size}")
    if not 1 <= older.size <= head.size:
        raise wrong
    steps: list[bool] = []
    low, high = 0, head.size
    while older.size != high:
        middle = low + _split(high - low)
        steps.append(older.size > middle)
        low, high = (middle, high) if older.size > middle else (low, middle)
    if len(proof) != len(steps) + bool(low):
        raise wrong
    rest = list(proof)
    old = new = rest.pop(0) if low else older.hash
    for sibling, right in zip(rest, reversed(steps), strict=True):
        old = node_hash(sibling, old) if right else old
        new = node_hash(sibling, new) if right else node_hash(new, sibling)
    if old != older.hash or new != head.hash:
        raise wrong


def parse_head(text: str) -> TreeHead:
    """Read the text of a signed tree head; lines behind the third are passed over.

    Raises:
        InvalidDocument: it is none.
    """
    lines = text.split("\n", _HEAD_LINES)
    if not text.startswith(_HEAD) or text.count("\n") < _HEAD_LINES or len(text) > _LONGEST_HEAD:
        raise InvalidDocument("tree head", "malformed")
    digest = _decoded(lines[2])
    if not _NUMBER.fullmatch(lines[1]) or len(digest) != HASH:
        raise InvalidDocument("tree head", "malformed size or hash")
    return TreeHead(int(lines[1]), digest)


def head_text(head: TreeHead) -> str:
    """Write the text of a tree head."""
    return f"{_HEAD}{head.size}\n{base64.b64encode(head.hash).decode()}\n"


def parse_record(message: bytes) -> tuple[int, bytes, bytes]:
    """Read the answer to a lookup: the record's number, its text, and what comes behind (a signed tree head).

    Raises:
        InvalidDocument: it is none.
    """
    first, _, rest = message.partition(b"\n")
    text, blank, behind = rest.partition(b"\n\n")
    text += b"\n"
    try:
        number, decoded = first.decode("ascii"), text.decode()
    except UnicodeDecodeError:
        raise InvalidDocument("record", "malformed") from None
    if not _NUMBER.fullmatch(number) or not blank or _WRONG_TEXT.search(decoded):
        raise InvalidDocument("record", "malformed")
    return int(number), text, behind


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
