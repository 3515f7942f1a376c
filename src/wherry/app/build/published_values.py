"""What an image may publish: values of `-X` that a template makes of what is public anyway; no secrets of a Dockerfile.

A label of the image has the commit, the tag and the dates. What a variable of the environment or a literal text puts
into a program may be a secret, so neither counts as public, whatever it looks like.
"""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from wherry.analysis.build_secrets import judge_arguments, judge_text
from wherry.build.recipe import refuse_secrets
from wherry.finding import Finding
from wherry.golang.ldflags import x_values
from wherry.settings.template import as_fields, names

if TYPE_CHECKING:
    from wherry.plan.dockerfile_target import PlannedImages

ALLOWED = "published.secret"
"""What `--allow` says where a Dockerfile's image may hold what looks like a secret."""
_ACTION = re.compile(r"\{\{\s*(\.[\w.]+)\s*\}\}")
_QUERY = re.compile(r"[?&]([\w.-]+)=([^&#\s]+)")
_BETWEEN = re.compile(r"[v.+\-_/: ]*")
"""What may surround a public value: no letters that could be part of a secret."""


def public_variables(ldflags: str, where: str) -> frozenset[str]:
    """Name the variables of `-ldflags` whose values may be written into an image.

    Args:
        ldflags: as the user wrote them, templates and all.
        where: what the reader knows the text by.

    Raises:
        InvalidUsage: a template is wrong.
    """
    pairs = x_values(as_fields(ldflags))
    private = {name for name, value in pairs if not _public(value, where)}
    return frozenset(name for name, _ in pairs) - private


def _public(template: str, where: str) -> bool:
    asked = names(template, where)
    if not asked or any(name.startswith("Env.") for name in asked):
        return False
    return bool(_BETWEEN.fullmatch(_ACTION.sub("", template)))


def refuse_published(planned: "PlannedImages", *, allowed: bool, warn: Callable[[str], None]) -> None:
    """Judge arguments, variables, labels and history of a Dockerfile's images before a step is done.

    Args:
        planned: what will be done.
        allowed: whether a secret only warns.
        warn: hears what may be one.

    Raises:
        SecretPublished: a value has the form of a secret.
    """
    for warning in refuse_secrets(_judged(planned), allowed=allowed, way=f"--allow {ALLOWED}"):
        warn(warning)


def _judged(planned: "PlannedImages") -> Iterator[Finding]:
    reported = set()
    for word, name, value in planned.published:
        for finding in judge_arguments({name: value}, word):
            if (finding.place, finding.rule) not in reported:
                reported.add((finding.place, finding.rule))
                yield finding
    for line in planned.history:
        word = line.partition(" ")[0]
        if word not in ("ARG", "ENV", "LABEL"):
            yield from judge_text(line, word)
        if word == "ADD":  # a URL stays in the history whole, but for its user and password
            yield from judge_arguments(dict(_QUERY.findall(line)), "ADD, in a URL:")
