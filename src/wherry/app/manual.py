"""The pages of the documentation: in the wheel, or in the clone that wherry runs from."""

from collections.abc import Mapping
from pathlib import Path

import wherry
from wherry.errors import NotFound

_GROUPS = {
    "how-to": "Get one thing done",
    "reference": "Look something up",
    "explanation": "Know why",
    "": "Begin",
}
"""Folders of the pages, and what they are for; the tutorial stands alone."""


def groups() -> Mapping[str, Mapping[str, Path]]:
    """Give the pages by what they are for, each by its topic: its name, with its folder where the name is taken."""
    folder = _folder()
    found: dict[str, dict[str, Path]] = {}
    taken: set[str] = set()
    for name in ("", "how-to", "reference", "explanation"):
        pages = [folder / "tutorial.md"] if not name else sorted((folder / name).glob("*.md"))
        mine = {f"{name}/{page.stem}" if page.stem in taken else page.stem: page for page in pages if page.is_file()}
        taken |= mine.keys()
        if mine:
            found[_GROUPS[name]] = mine
    return found


def title_of(page: Path) -> str:
    """Give the heading of a page."""
    with page.open(encoding="utf-8") as lines:
        return next((line.lstrip("# ").strip() for line in lines if line.startswith("# ")), page.stem)


def pages_of(topic: str) -> list[Path]:
    """Find the pages of a topic, such as `exit-codes`, `how-to/size` or `wherry.toml`."""
    wanted = topic.lower().removesuffix(".md").removeprefix("docs/").replace(".", "-")
    every = [page for pages in groups().values() for page in pages.values()]
    return [page for page in every if wanted in {page.stem, f"{page.parent.name}/{page.stem}"}]


def find_pages(topic: str) -> list[Path]:
    """Find the pages of a topic.

    Raises:
        NotFound: there is none; the hint has the nearest.
    """
    found = pages_of(topic)
    if found:
        return found
    import difflib

    topics = [name for pages in groups().values() for name in pages]
    near = difflib.get_close_matches(topic, topics, n=3, cutoff=0.5)
    raise NotFound(
        f"{topic}: no such command or topic",
        hint=f"did you mean {' or '.join(near)}?" if near else "`wherry help` lists the topics",
    )


def _folder() -> Path:
    package = Path(wherry.__file__).parent
    inside = package / "pages"
    return inside if inside.is_dir() else package.parents[1] / "docs"
