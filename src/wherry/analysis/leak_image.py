"""What an image's documents publish: labels, annotations, environment, history, commands; and the recipe in them.

Sources: OCI image-spec v1.1.1, config.md and manifest.md; BuildKit writes the build arguments of a RUN into its history
as `|N NAME=VALUE … COMMAND` (Docker's classic builder began it).
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from wherry.analysis import leak_records
from wherry.analysis.leak_paths import short
from wherry.analysis.secrets import masked, named_like_a_secret, token_in
from wherry.finding import Finding, Severity
from wherry.golang.ldflags import x_values
from wherry.oci.image import Image
from wherry.typed import from_json

RULES = ("image-token", "image-secret")
_RECIPE = "dev.wherry.recipe"
_ARGUMENTS = re.compile(r"\|(\d{1,3}) ")
_PLACEHOLDER = re.compile(r"(?i)|true|false|\d{1,6}|\$\{?\w+\}?|/[\w./-]*")
"""Values that hide nothing: none, a switch, a number, another variable, a path."""


def published(image: Image) -> Iterator[Finding]:
    """Judge what one image of one platform publishes in addition to its files."""
    runtime = image.config.runtime
    yield from _pairs("config, Env", runtime.environment)
    yield from _pairs("config, Labels", _plain(runtime.labels))
    yield from _pairs("manifest, annotations", _plain(image.manifest.annotations))
    words = {"Entrypoint": runtime.entrypoint, "Cmd": runtime.cmd, "OnBuild": runtime.on_build, "Shell": runtime.shell}
    for name, texts in words.items():
        yield from _tokens(f"config, {name}", " ".join(texts or ()))
    if runtime.healthcheck:
        yield from _tokens("config, Healthcheck", " ".join(runtime.healthcheck.test or ()))
    for number, step in enumerate(image.config.history or (), start=1):
        place = f"config, history {number}"
        yield from _tokens(place, f"{step.created_by} {step.comment} {step.author}")
        yield from _named(place, _arguments(step.created_by))
    yield from _recipe((runtime.labels or {}).get(_RECIPE) or (image.manifest.annotations or {}).get(_RECIPE) or "")


def _plain(labels: Mapping[str, str] | None) -> dict[str, str]:
    return {name: value for name, value in (labels or {}).items() if name != _RECIPE}


def _pairs(place: str, pairs: Mapping[str, str]) -> Iterator[Finding]:
    for name, value in pairs.items():
        yield from _tokens(f"{place}, {name}", value)
    yield from _named(place, pairs)


def _tokens(place: str, text: str) -> Iterator[Finding]:
    if what := token_in(text):
        yield Finding(
            "image-token",
            Severity.ERROR,
            place,
            f"{what} is in the image's documents, readable by anyone who can pull it",
            (short(masked(text)),),
            "revoke it; pass it to the step with RUN --mount=type=secret, or to the container at startup",
        )


def _named(place: str, pairs: Mapping[str, str]) -> Iterator[Finding]:
    found = [
        (name, value)
        for name, value in pairs.items()
        if named_like_a_secret(name) and not _PLACEHOLDER.fullmatch(value) and not token_in(value)
    ]
    if found:
        yield Finding(
            "image-secret",
            Severity.WARNING,
            place,
            "a value has the name of a secret, and anyone who can pull the image can read it",
            tuple(f"{name}=…({len(value)} characters)" for name, value in found),
            "if it is a secret, change it, and pass it to the container at startup",
        )


def _arguments(created_by: str) -> dict[str, str]:
    """Read the build arguments that a step was run with; a value that has spaces is cut at the first."""
    counted = _ARGUMENTS.search(created_by)
    if not counted:
        return {}
    words = created_by[counted.end() :].split(" ")[: int(counted[1])]
    return {name: value for name, equals, value in (word.partition("=") for word in words) if equals}


def published_elsewhere(document: bytes, name: str) -> Iterator[Finding]:
    """Judge what a document has where `published` does not look: an index, a builder's own keys, annotations of blobs.

    Args:
        document: an index, a manifest or a config, as stored.
        name: what the reader knows it by, such as `index`.
    """
    try:
        read = msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError):
        return
    for path, text in _texts("", read):
        if not path.startswith(_JUDGED[name]):
            yield from _tokens(f"{name}, {path}", text)
            if ".Env." in f".{path}":
                variable, _, value = text.partition("=")
                yield from _named(f"{name}, {path}", {variable: value})


_JUDGED = {"index": (), "manifest": ("annotations.",), "config": ("config.", "history.")}
"""Where `published` looks."""
_DEEPEST = 64


def _texts(path: str, value: object, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Give every text of a document with its path."""
    inner: Iterable[tuple[object, object]] = ()
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    if depth < _DEEPEST:
        for key, one in inner:
            yield from _texts(f"{path}.{key}" if path else str(key), one, depth + 1)


class _Go(msgspec.Struct):
    flags: str = ""
    withheld: str = ""


class _Recipe(msgspec.Struct):
    version: int = 1
    go: _Go = msgspec.field(default_factory=_Go)


def _recipe(text: str) -> Iterator[Finding]:
    """Judge the values of -X in a recipe: one of version 1 has all of them, a later one names those it left out."""
    try:
        recipe = from_json(text, _Recipe) if text else _Recipe()
    except (msgspec.DecodeError, RecursionError):
        return
    yield from leak_records.values(x_values(_linker_flags(recipe)), "recipe, -ldflags")
    names = recipe.go.withheld.split()
    if secret := tuple(filter(named_like_a_secret, names)):
        yield Finding(
            "x-secret",
            Severity.ERROR,
            "recipe, withheld",
            "-X set a variable with the name of a secret; the recipe omits the value, the program has it",
            secret,
            "change that secret, and read it from a file or the environment at startup",
        )
    if rest := tuple(name for name in names if name not in secret):
        yield Finding(
            "x-values",
            Severity.NOTE,
            "recipe, withheld",
            f"-X set {', '.join(rest)}; the program has the values, the recipe does not",
            rest,
            "fine if the values are public",
        )


_NEXT_FLAG = re.compile(r" -(?:gcflags|asmflags|tags|mod|buildmode|pgo|overlay|modfile|race|trimpath)\b")


def _linker_flags(recipe: _Recipe) -> str:
    """Give the linker's flags: version 1 joins all flags by spaces, a later one quotes as a shell does."""
    flags = recipe.go.flags
    if recipe.version > 1:
        try:
            words = shlex.split(flags)
        except ValueError:
            return ""
        return next((word.removeprefix("-ldflags=") for word in words if word.startswith("-ldflags=")), "")
    _, found, text = flags.partition("-ldflags=")
    return _NEXT_FLAG.split(text, maxsplit=1)[0] if found else ""
