"""Numbers of things in messages: `1 file`, `2 files`."""

_HISSING = ("s", "x", "ch", "sh")


def counted(number: int, noun: str) -> str:
    """Write how many there are of something.

    Args:
        number: how many.
        noun: of one of them, such as `file` or `blob of the store`; its first word gets the plural.
    """
    if number == 1:
        return f"1 {noun}"
    word, space, rest = noun.partition(" ")
    return f"{number} {_plural(word)}{space}{rest}"


def _plural(word: str) -> str:
    if word.endswith(_HISSING):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"
