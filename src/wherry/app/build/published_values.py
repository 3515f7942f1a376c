"""Which values of `-X` may be published: those that a template makes of what is public anyway.

A label of the image has the commit, the tag and the dates. What a variable of the environment or a literal text puts
into a program may be a secret, so neither counts as public, whatever it looks like.
"""

import re

from wherry.golang.ldflags import x_values
from wherry.settings.template import names

_ACTION = re.compile(r"\{\{\s*(\.[\w.]+)\s*\}\}")
_BETWEEN = re.compile(r"[v.+\-_/: ]*")
"""What may stand around a public value: no letters that somebody could have chosen."""


def public_variables(ldflags: str, where: str) -> frozenset[str]:
    """Name the variables of `-ldflags` whose values may be written into an image.

    Args:
        ldflags: as the user wrote them, templates and all.
        where: what the reader knows the text by.

    Raises:
        InvalidUsage: a template is wrong.
    """
    pairs = x_values(_ACTION.sub(r"{{\1}}", ldflags))
    private = {name for name, value in pairs if not _public(value, where)}
    return frozenset(name for name, _ in pairs) - private


def _public(template: str, where: str) -> bool:
    asked = names(template, where)
    if not asked or any(name.startswith("Env.") for name in asked):
        return False
    return bool(_BETWEEN.fullmatch(_ACTION.sub("", template)))
