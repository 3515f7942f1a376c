"""What a build is about to publish and should not: secrets in `-X`, build arguments, environment and labels.

Anyone who can pull an image can read all of these. A known form of a token, or a name that secrets have, is an
error; a value that merely looks random is a warning, since commits and public keys look random too.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from wherry.analysis.secrets import RULES, chance_of, named_like_a_secret, token_in
from wherry.finding import Finding, Severity
from wherry.golang.ldflags import with_values_hidden

_RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{24,}")
_LEAST_CHANCE = 3.7
"""Bits a character (Shannon): above words and names, at or below what base64 of random bytes has."""
_BY_CONTEXT = frozenset(rule.what for rule in RULES if rule.name in ("secret-url", "secret-password"))
"""Kinds that are known by what stands around them, not by their own form: a default for development looks the same."""
_HEX = re.compile(r"[0-9a-f]{7,64}")


AT_START = "pass it to the container at startup, as a file or an environment variable (a Secret in Kubernetes)"
_IN_A_STEP = "pass it to the step with RUN --mount=type=secret, which stores nothing in the image"


def judge_x_values(pairs: Sequence[tuple[str, str]], public: Collection[str]) -> Iterator[Finding]:
    """Judge the values that -X puts into a program.

    Args:
        pairs: variables and values.
        public: variables set from version control; they are not judged.
    """
    remedy = "read it at run time, from a file or an environment variable (a Secret in Kubernetes)"
    for name, value in pairs:
        if name not in public:
            yield from _judged("x", f"-X {name}", name, value, remedy, by_name=Severity.ERROR)


def judge_arguments(arguments: Mapping[str, str], where: str, remedy: str = _IN_A_STEP) -> Iterator[Finding]:
    """Judge build arguments, variables or labels of a Dockerfile's image.

    Args:
        arguments: values by name.
        where: such as `--build-arg` or `ENV`.
        remedy: what to do in place of it.
    """
    for name, value in arguments.items():
        yield from _judged("build", f"{where} {name}", name, value, remedy, by_name=Severity.WARNING)


def judge_text(text: str, place: str) -> Iterator[Finding]:
    """Judge a line of history: only a known form of a secret is looked for."""
    if what := token_in(text):
        said = f"contains {what}, which every user of the image could read"
        severity = Severity.WARNING if what in _BY_CONTEXT else Severity.ERROR
        yield Finding("build-token", severity, place, said, (), _IN_A_STEP)


def shown_flags(flags: str) -> str:
    """Hide the values of -X in a recipe's flags: one of version 1 has all of them, secrets among them."""
    if "-X" not in flags:
        return flags
    before, linker, text = flags.partition("-ldflags=")
    return f"{before}{linker}{with_values_hidden(text)}"


def _judged(kind: str, place: str, name: str, value: str, remedy: str, *, by_name: Severity) -> Iterator[Finding]:
    if what := token_in(value):
        text = f"contains {what}, which every user of the image could read"
        severity = by_name if what in _BY_CONTEXT else Severity.ERROR
        yield Finding(f"{kind}-token", severity, place, text, (), remedy)
    elif value and named_like_a_secret(name):
        text = "has the name of a secret, and every user of the image could read it"
        yield Finding(f"{kind}-secret", by_name, place, text, (), remedy)
    elif _looks_random(value):
        text = f"looks random ({len(value)} characters); if it is a secret, every user of the image can read it"
        yield Finding(f"{kind}-random", Severity.WARNING, place, text, (), remedy)


def _looks_random(value: str) -> bool:
    if not _RANDOM.fullmatch(value) or _HEX.fullmatch(value):
        return False
    return chance_of(value.encode()) >= _LEAST_CHANCE
