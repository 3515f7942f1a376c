"""Pages of the documentation, as a terminal and as man(1) show them."""

import subprocess
from pathlib import Path

import pytest

from needs import need
from wherry.report.markdown import BlockKind, blocks_of, columns, manual_page, plain, terminal_page

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
PAGE = """# Title

What it is,
on two lines. More.

- one `--code`
- two

  ```console
  $ wherry build | tee x
  ```

| key | means | since |
|---|---|---|
| `a\\|b` | [exit codes](../reference/exit-codes.md#x) | 1 |
| c | it says **no** to a word that is longer than the room it has | 2 |
"""


def test_blocks_are_told_apart():
    """Lines are joined, code is kept, a fence inside an item is its own block at the item's depth."""
    found = blocks_of(PAGE)

    kinds = [block.kind for block in found]
    assert kinds == [
        BlockKind.HEADING, BlockKind.PARAGRAPH, BlockKind.ITEM, BlockKind.ITEM, BlockKind.CODE, BlockKind.TABLE,
    ]  # fmt: skip
    assert found[1].text == "What it is, on two lines. More."
    assert found[4].text == "$ wherry build | tee x"
    assert found[5].rows[1] == ("`a|b`", "[exit codes](../reference/exit-codes.md#x)", "1")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see [exit codes](exit-codes.md)", "see exit codes (wherry help exit-codes)"),
        ("see [a file](../../examples/hello/README.md)", "see a file"),
        ("see [there](#keys)", "see there"),
        ("**loud** and *soft*, `**kept**`", "loud and soft, `**kept**`"),
        ("KO_DOCKER_REPO and 2 * 3 * 4", "KO_DOCKER_REPO and 2 * 3 * 4"),
    ],
)
def test_links_and_emphasis(text, shown):
    """A link to a page says how it is read here; names with underscores stay."""
    assert plain(text) == shown


@pytest.mark.parametrize("width", [40, 80, 100])
def test_tables_fit(width):
    """No line of a table is wider than the terminal where its words are not, and no word is broken."""
    rows = [[plain(cell) for cell in row] for row in blocks_of(PAGE)[-1].rows]

    lines = list(columns(rows, width))

    assert all(len(line) <= width for line in lines)
    assert {word for row in rows for cell in row for word in cell.split()} == {
        word for line in lines for word in line.split()
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_is_shown(page):
    """No text of a page gets lost: each word outside of links and marks is shown."""
    shown = "\n".join(terminal_page(page.read_text(), 80))

    assert shown
    for block in blocks_of(page.read_text()):
        for row in block.rows:
            assert all(plain(word) in shown for cell in row for word in plain(cell).split())
        if block.kind is BlockKind.CODE:
            assert all(line.strip() in shown for line in block.text.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_is_good_roff(page):
    """Groff has nothing to complain of, and shows the words."""
    text = manual_page(page.read_text(), name="wherry-x", section=1, version="1.0")

    done = subprocess.run(
        [need("groff"), "-man", "-Tutf8", "-ww"], input=text.encode(), capture_output=True, check=True, timeout=60
    )

    assert done.stderr == b""
    assert b"WHERRY" in done.stdout


def test_roff_obeys_no_text():
    """A line that starts as a request does, backslashes, and quotes are shown and not obeyed."""
    text = manual_page("# T\n\nIt is.\n\n    .so /etc/passwd\n    'x\n    a\\nb\n", name="t", section=1, version="1")

    done = subprocess.run(
        [need("groff"), "-man", "-Tascii"], input=text.encode(), capture_output=True, check=True, timeout=60
    )

    assert b".so /etc/passwd" in done.stdout
    assert b"'x" in done.stdout
    assert b"a\\nb" in done.stdout
