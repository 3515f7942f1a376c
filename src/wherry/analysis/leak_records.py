"""What a build wrote down of itself: flags, -X values, replaced modules, the revision.

Sources: Go 1.26, cmd/go/internal/load/pkg.go (`setBuildInfo`: with -trimpath neither -ldflags nor CGO_* are recorded),
cmd/link -X.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from wherry.analysis.leak_paths import is_local, listed, short
from wherry.analysis.secrets import named_like_a_secret
from wherry.finding import Finding, Severity
from wherry.golang.buildinfo import BuildInfo
from wherry.golang.ldflags import with_values_hidden, x_values

PLACE = "build info"
_FLAGS = (
    "-ldflags", "-gcflags", "-asmflags", "-gccgoflags", "-tags", "-pgo", "-overlay", "CGO_CFLAGS", "CGO_CPPFLAGS",
    "CGO_CXXFLAGS", "CGO_FFLAGS", "CGO_LDFLAGS",
)  # fmt: skip
_KEPT = frozenset(("-gcflags", "-asmflags", "-gccgoflags", "-tags"))
"""Those that are recorded with -trimpath too."""
_PATH = re.compile(r"(?:(?<![\w.$})/-])|(?<=-[ILF]))(?:(?:/[\w.@+~-]+){2,}|[A-Za-z]:\\[\w.\\-]+)")


def recorded(info: BuildInfo) -> Iterator[Finding]:
    """Judge the build info of a binary."""
    yield from _flags(info.settings)
    yield from values(x_values(info.settings.get("-ldflags", "")), f"{PLACE}, -ldflags")
    yield from _replaced(info)
    yield from _revision(info)


def values(pairs: Sequence[tuple[str, str]], place: str) -> Iterator[Finding]:
    """Judge what -X put into variables."""
    secret = [(name, value) for name, value in pairs if value and named_like_a_secret(name)]
    if secret:
        yield Finding(
            "x-secret",
            Severity.ERROR,
            place,
            "-X set a variable with the name of a secret",
            tuple(f"{name}=…({len(value)} characters)" for name, value in secret),
            "change that secret, because anyone with the binary has it; read it from a file or the "
            "environment at startup",
        )
    plain = [(name, value) for name, value in pairs if (name, value) not in secret]
    if plain:
        paths = any(_PATH.search(value) for _, value in plain)
        yield Finding(
            "x-values",
            Severity.WARNING if paths else Severity.NOTE,
            place,
            f"-X set {', '.join(name for name, _ in plain[:4])}{'…' * (len(plain) > 4)}",  # noqa: PLR2004 - as before
            tuple(f"{name}={short(value)}" for name, value in plain),
            "fine if the values are public; -trimpath keeps them in the data"
            + (", a path among them" if paths else ""),
        )


def _flags(settings: Mapping[str, str]) -> Iterator[Finding]:
    texts = {name: _without_values(settings[name]) for name in _FLAGS if settings.get(name)}
    found = {name: _PATH.findall(text) for name, text in texts.items()}
    told = [(name, text) for name, text in texts.items() if found[name]]
    if told:
        trimmed = [name for name, _ in told if name not in _KEPT]
        yield Finding(
            "flag-paths",
            Severity.WARNING,
            PLACE,
            f"the text of {', '.join(name for name, _ in told)} contains directories of the build machine",
            listed(told),
            "write paths relative to the module"
            + (f"; -trimpath removes {' and '.join(trimmed)}" if trimmed else "; -trimpath does not change it"),
        )
    rest = [(name, text) for name, text in texts.items() if not found[name] and text]
    if rest:
        yield Finding(
            "flag-text",
            Severity.NOTE,
            PLACE,
            f"the text of {', '.join(name for name, _ in rest)} is recorded",
            listed(rest),
            "fine if it is public; -trimpath removes -ldflags and CGO_*, and keeps -tags, -gcflags and -asmflags",
        )


def _without_values(text: str) -> str:
    """Leave out what -X sets: that is judged by its names."""
    return (with_values_hidden(text) or "(unbalanced quotes)") if "-X" in text else text


def _replaced(info: BuildInfo) -> Iterator[Finding]:
    modules = (*((info.main,) if info.main else ()), *info.modules)
    for module in modules:
        if module.replace and is_local(module):
            folder = module.replace.path
            absolute = not folder.startswith(".")
            yield Finding(
                "replaced-by-folder",
                Severity.WARNING if absolute else Severity.NOTE,
                f"{PLACE}, {module.path}",
                f"{module.path} was replaced by a directory whose path is recorded; -trimpath keeps it",
                (f"{module.path} => {short(folder)}",),
                "require a published version; to work on both, use a go.work file, which records no path",
            )


def _revision(info: BuildInfo) -> Iterator[Finding]:
    told = [(name, value) for name, value in info.settings.items() if name.startswith("vcs")]
    if told:
        changed = info.settings.get("vcs.modified") == "true"
        yield Finding(
            "revision",
            Severity.NOTE,
            PLACE,
            "the revision it was built from is recorded" + (", and that files were modified" if changed else ""),
            tuple(f"{name}={short(value)}" for name, value in told),
            "fine if it is public, and useful to trace the binary; -buildvcs=false removes it",
        )
