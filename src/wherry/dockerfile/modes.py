"""Modes as chmod takes them, to the bits they give; the umask counts as 0.

Source: POSIX.1-2017, chmod, "Extended Description"; where that leaves something open, and in some corners where it does
not, what BSD's setmode(3) does, since BuildKit has its rules: `=` leaves the sticky bit alone, and `t` without a class
before it means that bit only.
"""

from collections.abc import Iterator

_READ, _WRITE, _EXECUTE = 0o444, 0o222, 0o111
_SET_ID, _STICKY = 0o6000, 0o1000
_CLASSES = {"u": 0o4700, "g": 0o2070, "o": 0o0007, "a": 0o6777}
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_OTHERS = 0o7
_SIMPLE = {"r": _READ, "w": _WRITE, "x": _EXECUTE}


def changed_mode(mode: int, change: str, *, folder: bool) -> int:
    """Give the mode after a change.

    Args:
        mode: unchanged, without the file's kind.
        change: octal (`0755`), symbolic (`u+x,go=rX`), or empty.
        folder: whether it is a folder's, for `X`.

    Raises:
        ValueError: it is neither.
    """
    if not change:
        return mode
    if change.isdecimal():
        return int(change, 8)
    executable = folder or bool(mode & _EXECUTE)
    for clause in change.split(","):
        who, rest = _who(clause)
        for operation, letters in _operations(rest):
            mode = _apply(mode, who, operation, letters, executable=executable)
    return mode


def _who(clause: str) -> tuple[int, str]:
    """Cut a clause: the bits of the classes it names (0: none), and what is done to them."""
    at = who = 0
    while at < len(clause) and clause[at] in _CLASSES:
        who |= _CLASSES[clause[at]]
        at += 1
    if at == len(clause):
        raise ValueError(clause)
    return who, clause[at:]


def _operations(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        if text[at] not in "+-=":
            raise ValueError(text)
        end = at + 1
        while end < len(text) and text[end] in "rwxXstugo":
            end += 1
        yield text[at], text[at + 1 : end]
        at = end


def _apply(mode: int, who: int, operation: str, letters: str, *, executable: bool) -> int:
    """Do one operation; letters that stand for a class copy its bits when their turn comes."""
    bits = conditional = 0
    cleared = False
    for letter in letters:
        if letter in _SHIFTS:
            if bits:
                mode = _set(mode, who, operation, bits)
            if conditional and executable:
                mode |= _of(who, conditional)
            mode = _copied(mode, who, operation, mode >> _SHIFTS[letter] & _OTHERS)
            bits = conditional = 0
            cleared = True
        elif letter == "X" and operation != "-":
            conditional = _EXECUTE
        elif letter in "st":
            if not who or who & ~_OTHERS:
                who |= _STICKY if letter == "t" else 0
                bits |= _STICKY if letter == "t" else _SET_ID
        else:
            bits |= _SIMPLE.get(letter, _EXECUTE)
    if bits or (operation == "=" and not cleared):
        mode = _set(mode, who, operation, bits)
    return mode | _of(who, conditional) if conditional and executable else mode


def _set(mode: int, who: int, operation: str, bits: int) -> int:
    match operation:
        case "+":
            return mode | _of(who, bits)
        case "-":
            return mode & ~_of(who, bits)
        case _:
            return mode & ~(who or _CLASSES["a"]) | _of(who, bits)


def _copied(mode: int, who: int, operation: str, value: int) -> int:
    """Give the classes the three bits of another, or take them away."""
    places = [shift for name, shift in _SHIFTS.items() if not who or who & _CLASSES[name] & 0o777]
    for shift in places:
        match operation:
            case "+":
                mode |= value << shift
            case "-":
                mode &= ~(value << shift)
            case _:
                mode = mode & ~(_OTHERS << shift) | value << shift
    return mode


def _of(who: int, bits: int) -> int:
    return bits & who if who else bits
