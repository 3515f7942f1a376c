"""Text of others in comments that code hosts show: Markdown, HTML and the host itself obey none of it.

Names of images, modules and steps, and messages that quote them, may be anyone's: no link, picture, table cell, tag,
mention of a person or reference to an issue comes of them.

Sources: GitHub Flavored Markdown 0.29, "Tables" (a backslash before a pipe keeps it in its cell, in code too),
"Autolinks (extension)"; GitHub Docs, "Basic writing and formatting syntax"; SARIF 2.1.0, 3.11.6 (embedded links).
"""

import re
from typing import Final

from wherry.report.terminal import printable

_IN_CODE: Final = str.maketrans("`\\", "'/")
_MARKUP: Final = str.maketrans(
    {letter: f"\\{letter}" for letter in "\\`*_~[]|"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)
_LINK: Final = re.compile(r"(?<=:)//|(?<=\bwww)\.", re.IGNORECASE)
"""What makes a link of an address without any brackets."""
_SUMMONS: Final = re.compile(r"(?<![\w/])(@|#|!|GH-)(?=\w)", re.IGNORECASE)
"""What calls a person, an issue or a merge request, where a word follows."""


def in_code(text: str) -> str:
    """Write a name as code that is shown unchanged; characters that no name has are replaced."""
    return f"`{printable(text).translate(_IN_CODE)}`".replace("|", "\\|") if text else ""


def in_text(text: str) -> str:
    """Take from a text what Markdown, HTML and code hosts would obey."""
    shown = _LINK.sub(lambda found: f"\\{found[0]}", printable(text).translate(_MARKUP))
    return _SUMMONS.sub(lambda found: f"{found[1]}&#8203;", shown)


def in_message(text: str) -> str:
    """Take links from a message of SARIF, which readers show as text."""
    return text.replace("](", "] (")
