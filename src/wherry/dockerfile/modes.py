"""Modes as chmod takes them, to the bits they give.

Source: POSIX.1-2017, chmod, "Extended Description"; the umask counts as 0, as in a Dockerfile.
"""

_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_ANY_EXECUTE = 0o111


def changed_mode(mode: int, change: str, *, folder: bool) -> int:
    """Give the mode after a change.

    Args:
        mode: as it is, without the file's kind.
        change: octal (`0755`), symbolic (`u+x,go=rX`), or empty.
        folder: whether it is a folder's, for `X`.

    Raises:
        ValueError: it is neither.
    """
    if not change:
        return mode
    if change.isdecimal():
        return int(change, 8)
    for clause in change.split(","):
        mode = _clause(mode, clause, folder=folder)
    return mode


def _clause(mode: int, clause: str, *, folder: bool) -> int:
    at = 0
    while at < len(clause) and clause[at] in _WHO:
        at += 1
    who = clause[:at] or "a"
    if at == len(clause):
        raise ValueError(clause)
    while at < len(clause):
        operation = clause[at]
        if operation not in "+-=":
            raise ValueError(clause)
        end = at + 1
        while end < len(clause) and clause[end] not in "+-=":
            end += 1
        mode = _apply(mode, who, operation, clause[at + 1 : end], folder=folder)
        at = end
    return mode


def _apply(mode: int, who: str, operation: str, letters: str, *, folder: bool) -> int:
    mask = 0
    for letter in who:
        mask |= _WHO[letter]
    bits = 0
    for letter in letters:
        bits |= _bits(mode, letter, folder=folder)
    bits &= mask
    match operation:
        case "+":
            return mode | bits
        case "-":
            return mode & ~bits
        case _:
            return mode & ~(mask & (0o777 if not folder else 0o7777)) | bits


def _bits(mode: int, letter: str, *, folder: bool) -> int:
    if letter in _BITS:
        return _BITS[letter]
    if letter in _SHIFTS:
        return (mode >> _SHIFTS[letter] & 7) * 0o111
    match letter:
        case "X":
            return _ANY_EXECUTE if folder or mode & _ANY_EXECUTE else 0
        case "s":
            return 0o6000
        case "t":
            return 0o1000
        case _:
            raise ValueError(letter)
