"""A build plan: a frozen graph of steps.

A step's *definition key* names all that can change its outcome and is known before anything ran; its *content key*
adds what it really reads, known once its inputs are. Both are kept field by field, so that "why did this miss" is a
comparison of two mappings.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from wherry.golang.ldflags import with_values_hidden, x_values
from wherry.oci.config import RuntimeConfig
from wherry.plan.ops import CopyOp, LayerOp, MkdirOp, RunOp, StageImageOp
from wherry.platform import Platform


@dataclass(frozen=True, slots=True)
class CompileOp:
    """Make a program of a Go package, on this machine, for a platform."""

    op: ClassVar[str] = "compile"

    package: str
    """Folder of the package, absolute."""
    platform: Platform
    flags: tuple[str, ...]
    """Arguments of `go build`, the stamp and the output left out."""
    environment: Mapping[str, str]
    """What the user's environment says to Go: GO…, CGO_…, and the target's GOOS, GOARCH and similar."""
    go: str
    """The `go` command, and a version if one is pinned."""
    stamp: bool
    """Whether the program may record the state of version control, where it reads it."""
    public: tuple[str, ...] = ()
    """Variables with values of `-X` that the recipe may have."""
    secrets_allowed: bool = False
    """Whether `-X` may set what looks like a secret."""
    published: bool = False
    """Whether the folder is one that `source/published.py` keeps, and the package another module's."""
    dependency: tuple[str, str, str, str] | None = None
    """Of a package of a module that the folder's requires: import path, module, version, folder of its sources."""
    static_pie: int = 0
    """Version of what makes a PIE start without a dynamic linker (`elf/static_pie.py`); 0: nothing does."""
    cgo: str = ""
    """`musl`: C is compiled by zig and linked with musl, statically; empty: as the environment says."""
    no_inline: tuple[str, ...] = ()
    """Patterns of packages that are compiled without inlining."""


@dataclass(frozen=True, slots=True)
class AddedFile:
    """A file from the user's disk, and its entry in the image."""

    source: str
    path: str
    mode: int | None
    """None: as on disk, group and others without write."""
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class FilesLayerOp:
    """Make a layer: of the program of a compile step, or of files."""

    op: ClassVar[str] = "layer of files"

    files: tuple[AddedFile, ...]
    """A source of "" stands for the program."""
    mtime: int
    """Seconds since the epoch, of every entry."""
    algorithm: str
    level: int
    encoder: str
    """Name and version of the compressor."""
    created_by: str


DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class BaseOp:
    """Have a base image of one platform in the store."""

    op: ClassVar[str] = "base"

    base: str
    platform: Platform
    content: Mapping[str, str]
    """What decides its bytes: versions for an embedded base, for another its `DIGEST`: then its name is in no key."""


@dataclass(frozen=True, slots=True)
class ProgramImageOp:
    """Make a config and a manifest of a base and layers."""

    op: ClassVar[str] = "image of a program"

    platform: Platform
    changes: RuntimeConfig
    """What is set; an empty field leaves the base's."""
    created: str
    """RFC 3339."""
    annotations: Mapping[str, str]
    recipe: Mapping[str, str]
    """What the plan knows of the recipe; the compile step's result has the rest."""


Action = CompileOp | FilesLayerOp | BaseOp | ProgramImageOp | CopyOp | MkdirOp | RunOp | LayerOp | StageImageOp


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, under a name that is unique in its plan, after the steps it needs."""

    name: str
    action: Action
    """Its class has a name, `op`, that stands in every key: it stays when the class is renamed."""
    needs: tuple[str, ...] = ()

    def definition(self) -> Mapping[str, str]:
        """Name everything known beforehand that can change the outcome; `--explain` may print all but `VALUES`."""
        fields = {"op": self.action.op, **dict(_fields("", self.action))}
        if isinstance(self.action, BaseOp) and DIGEST in self.action.content:
            del fields["base"]
        return _without_values(fields) if isinstance(self.action, CompileOp) else fields


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in an order in which they could be done one by one."""

    steps: tuple[Step, ...]
    cache_scope: str
    """What is being built, so that a miss is compared with the last build of the same thing."""
    by_name: Mapping[str, Step] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Check that each step comes once and after what it needs."""
        seen: dict[str, Step] = {}
        for step in self.steps:
            missing = [need for need in step.needs if need not in seen]
            if step.name in seen or missing:
                raise ValueError(f"step {step.name!r} is duplicated, or comes before {missing}")
            seen[step.name] = step
        object.__setattr__(self, "by_name", seen)


def key_of(fields: Mapping[str, str]) -> str:
    """Hash fields to a key: order does not matter, and no two mappings share a text."""
    state = hashlib.sha256()
    for name in sorted(fields):
        for word in (name, fields[name]):
            encoded = word.encode(errors="surrogateescape")
            state.update(len(encoded).to_bytes(8, "big") + encoded)
    return state.hexdigest()


VALUES = "values of -X"
"""The field of a definition that stands for values which may be secrets; it changes where one of them does."""
WHOLE = "flags with -X"
"""The field that stands for the text of flags that set such values: shown without them, two texts may look the same."""


def _without_values(fields: dict[str, str]) -> dict[str, str]:
    """Hide what -X sets in the flags and GOFLAGS of a compile step."""
    texts = {name: text for name, text in fields.items() if name.startswith(("flags.", "environment.GOFLAGS"))}
    hidden = {name: _hidden(text) for name, text in texts.items() if "-X" in text}
    if not hidden:
        return fields
    whole = {name: texts[name] for name in hidden}
    values = {name: _values(text) for name, text in whole.items()}
    return {**fields, **hidden, VALUES: key_of(values), WHOLE: key_of(whole)}


def _values(flags: str) -> str:
    """Give what -X sets in a flag; all of GOFLAGS, which quotes in its own way."""
    option, _, text = flags.partition("=")
    return repr(x_values(text)) if option.lstrip("-") == "ldflags" else flags


def _hidden(flags: str) -> str:
    option, equals, text = flags.partition("=")
    if option.lstrip("-") != "ldflags":
        return "…"  # GOFLAGS, which quotes in its own way
    return f"{option}{equals}{with_values_hidden(text)}"


def _fields(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case Mapping() if not value:
            yield prefix, "{}"  # else a port of `exposed_ports`, which is mapped to nothing, would be in no key
        case Mapping():
            for name, inner in value.items():
                yield from _fields(f"{prefix}.{name}" if prefix else str(name), inner)
        case Platform() | str() | int() | None:
            yield prefix, str(value)
        case tuple():
            yield f"{prefix}.count", str(len(value))
            for place, inner in enumerate(value):
                yield from _fields(f"{prefix}.{place}", inner)
        case _:
            names: tuple[str, ...] = getattr(value, "__struct_fields__", getattr(value, "__slots__", ()))
            if not names:
                raise TypeError(f"{prefix}: {type(value).__name__} cannot be part of a key")
            for name in names:
                yield from _fields(f"{prefix}.{name}" if prefix else name, getattr(value, name))
