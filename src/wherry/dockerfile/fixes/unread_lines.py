"""Lines for an ignore file: what steps rarely read, and patterns that leave out what they do not."""

from collections import Counter
from collections.abc import Iterable, Iterator

from wherry.dockerfile.advice.stages import Advised
from wherry.dockerfile.ignore import BadPattern, Patterns, read_ignore_file

DOCUMENTS = (".github", ".gitlab-ci.yml", "docs", "**/*.md", "**/.editorconfig", "**/.gitignore")
"""What no program is made of; a program that embeds files may read them."""
TESTS = ("**/*_test.go", "**/testdata")
"""What only tests read."""
_LEGAL = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT")
_SUFFIXES = ("_test.go", ".md", ".txt", ".yml", ".yaml", ".sh", ".png", ".jpg", ".svg", ".proto", ".json", ".toml")
"""Ends of names that make one pattern of many files; longest first where one ends another."""
_FEW = 2
"""Files from which on a pattern for an end is shorter than their names."""


def is_legal(path: str) -> bool:
    """Report whether a file has a licence's name: who ships the program may have to ship it too."""
    return path.rpartition("/")[2].upper().startswith(_LEGAL)


def runs_tests(file: Advised) -> bool:
    """Report whether a step may run tests: it says so, or starts something that decides itself what it reads."""
    for stage in file.stages:
        for step in stage.steps:
            for one in step.commands:
                words = " ".join(one.words)
                if (
                    "test" in words
                    or "vet" in words
                    or "lint" in words
                    or one.program in ("make", "task", "mage", "just")
                ):
                    return True
    return False


def escaped(path: str) -> str:
    """Write a path so that an ignore file means it alone."""
    return "".join(
        f"\\{letter}" if letter in "*?[\\" or (letter in "!#" and not at) else letter for at, letter in enumerate(path)
    )


def leaves_out(line: str, paths: Iterable[str]) -> bool:
    """Report whether an ignore file with a line leaves out all of some paths, by the matcher of builds."""
    try:
        patterns = Patterns(read_ignore_file(f"{line}\n"))
    except BadPattern:
        return False
    return all(map(patterns.fit, paths))


def folded(unread: Iterable[str], kept: Iterable[str], *, ends: bool = True) -> Iterator[tuple[str, list[str]]]:
    """Fold paths to few patterns that leave out none of what is kept.

    Args:
        unread: what is left out.
        kept: all else of the context.
        ends: whether files of one end of name become one pattern, which means later ones too.

    Returns:
        Patterns, each with the paths that it stands for: topmost folders that hold nothing else, ends of names, and
        then single files.
    """
    stays = list(kept)
    above = {path[:end] for path in stays for end in _ends(path)}
    folds: dict[str, list[str]] = {}
    single: list[str] = []
    for path in unread:
        fold = next((path[:end] for end in _ends(path) if path[:end] not in above), "")
        if fold:
            folds.setdefault(fold, []).append(path)
        else:
            single.append(path)
    yield from ((escaped(fold), inside) for fold, inside in folds.items())
    counts = Counter(suffix for path in single for suffix in _SUFFIXES if path.endswith(suffix))
    for suffix in _SUFFIXES if ends else ():
        ending = [path for path in single if path.endswith(suffix)]
        if counts[suffix] >= _FEW and len(ending) >= _FEW and not any(path.endswith(suffix) for path in stays):
            yield f"**/*{suffix}", ending
            gone = set(ending)
            single = [path for path in single if path not in gone]
    yield from ((escaped(path), [path]) for path in single)


def _ends(path: str) -> list[int]:
    return [number for number, letter in enumerate(path) if letter == "/"]
