"""A unified diff of a user's file, for people and for `patch`."""

from collections.abc import Iterator

from wherry.report.plain import plain


def patch_lines(diff: str) -> Iterator[str]:
    """Give its lines without what a terminal would obey; tabs stay, since `patch` compares them."""
    for line in diff.removesuffix("\n").split("\n") if diff else ():
        yield "\t".join(map(plain, line.removesuffix("\r").split("\t")))
