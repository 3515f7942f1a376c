"""`--output`: what form an image leaves in, and to where; buildx's grammar.

An output is a line of CSV with one `key=value` a field, or a folder alone (`-o out` is `type=local,dest=out`),
or `-` (a tar of the root file system on stdout). Keys that ask for what wherry does anyway are taken; those
that ask for what it does not do are refused with the reason, never passed over.

Sources: docker/buildx, docs "docker buildx build --output" and util/buildflags/export.go; moby/buildkit,
README "Output" (both as of 2026).
"""

import csv
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from wherry.errors import InvalidUsage
from wherry.settings.values import COMPRESSIONS

STDOUT = "-"


class OutputType(StrEnum):
    """The forms an image can leave in."""

    OCI = "oci"
    DOCKER = "docker"
    TAR = "tar"
    LOCAL = "local"
    IMAGE = "image"
    """In the local store, and pushed where it says so; `type=registry` is read as this with `push=true`, `cacheonly` as
    this alone."""


_IMAGE_KEYS = (
    "name", "tar", "compression", "compression-level", "force-compression", "oci-mediatypes", "rewrite-timestamp",
)  # fmt: skip
KEYS = {
    OutputType.OCI: ("dest", *_IMAGE_KEYS),
    OutputType.DOCKER: ("dest", *_IMAGE_KEYS),
    OutputType.TAR: ("dest", "platform-split"),
    OutputType.LOCAL: ("dest", "platform-split"),
    OutputType.IMAGE: (*_IMAGE_KEYS[:1], *_IMAGE_KEYS[2:], "push", "registry.insecure", "store", "unpack"),
}
"""Keys allowed with each type."""
_NOT_OURS = {
    "push": "only type=image and type=registry are pushed",
    "push-by-digest": "images are pushed by name; `wherry push` prints the digest",
    "store": "-t stores the image",
    "unpack": "images are unpacked when they run",
    "context": "set DOCKER_CONTEXT or DOCKER_HOST to choose the daemon",
    "buildinfo": "the recipe label records how the image was built",
}
_FIRST_WORDS = frozenset({"type", *(key for keys in KEYS.values() for key in keys)})
"""What a lone field may not start with to be a folder's name; buildx would make a folder called `dest=out`."""
PUSHED = "registry"
"""The type that is `image` with `push=true`."""
KEPT = "cacheonly"
"""The type that is `image`: nothing leaves, all is in the cache and the local store."""
_LEVEL = re.compile(r"[0-9]{1,2}")
_TRUE = {"1", "t", "true"}
_FALSE = {"0", "f", "false"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One `--output`."""

    type: OutputType
    dest: str
    """A path as the user gave it, or `-` for stdout."""
    tar: bool = True
    """Whether `oci` is an archive or a folder (an OCI layout); `local` is always a folder, the others never."""
    names: tuple[str, ...] = ()
    """References for `oci` and `docker`; empty: those of `-t`."""
    compression: str | None = None
    """Compression of the image's own layers; an output never recompresses them."""
    compression_level: int | None = None
    platform_split: bool | None = None
    """For `local`: one folder a platform (True), all into one (False), or split where there are several (None)."""
    push: bool = False
    """For `image`: whether its names are pushed."""
    insecure: bool = False
    """For `image`: whether its registry may speak plain HTTP."""
    rewrite_timestamp: bool = False
    """Whether no time in the layers of a Dockerfile may be after SOURCE_DATE_EPOCH; those of Go programs never are."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one `--output`.

        Raises:
            InvalidUsage: the type or a key is unknown (the hint has the nearest), a value does not fit, `dest`
                is missing, or it is one of buildx's types that this version does not have.
        """
        fields = _fields(text)
        if fields == [text] and text.partition("=")[0] not in _FIRST_WORDS:
            if text == STDOUT:
                return cls(type=OutputType.TAR, dest=STDOUT)
            return cls(type=OutputType.LOCAL, dest=text, tar=False)
        values = _values(text, fields)
        name = values.pop("type", "")
        if name == PUSHED:
            values.setdefault("push", "true")
        kind = _type(text, OutputType.IMAGE if name in (PUSHED, KEPT) else name)
        _check_keys(text, kind, values)
        tar = _boolean(text, values, "tar", default=True)
        dest = _dest(text, kind, values.get("dest", ""), tar=tar)
        return cls(
            type=kind,
            dest=dest,
            tar=tar and kind is not OutputType.LOCAL,
            names=tuple(name.strip() for name in values.get("name", "").split(",") if name.strip()),
            compression=_compression(text, values),
            compression_level=_level(text, values),
            push=_boolean(text, values, "push", default=False),
            insecure=_boolean(text, values, "registry.insecure", default=False),
            rewrite_timestamp=_boolean(text, values, "rewrite-timestamp", default=False),
            platform_split=_boolean(text, values, "platform-split", default=True)
            if "platform-split" in values
            else None,
        )

    @property
    def loads(self) -> bool:
        """Whether it goes to a daemon: `docker` without `dest`, as in buildx."""
        return self.type is OutputType.DOCKER and not self.dest

    @property
    def stdout(self) -> bool:
        """Whether it goes to stdout, where nothing else may be printed then."""
        return self.dest == STDOUT and self.type is not OutputType.IMAGE


def parse_outputs(texts: Sequence[str]) -> tuple[Output, ...]:
    """Read every `--output` of a command line.

    Raises:
        InvalidUsage: as `Output.parse`; also where two go to the same place.
    """
    outputs = tuple(Output.parse(text) for text in texts)
    for place, output in enumerate(outputs):
        if output.dest and output.dest in {other.dest for other in outputs[:place]}:
            where = "stdout" if output.stdout else output.dest
            raise InvalidUsage(f"two outputs write to {where}", hint="give each --output its own dest")
    return outputs


def encoding_of(outputs: Sequence[Output], compression: str | None, level: int | None) -> tuple[str | None, int | None]:
    """Find the one encoding that the options and all outputs of a command line ask for; None if neither sets it.

    Args:
        outputs: every `--output`.
        compression: `--compression`.
        level: `--compression-level`.

    Raises:
        InvalidUsage: they ask for two; an image has one, or its digest would not be one either.
    """
    for output in outputs:
        for asked, said in ((output.compression, compression), (output.compression_level, level)):
            if asked is not None and said is not None and asked != said:
                raise InvalidUsage(
                    f"--output type={output.type},dest={output.dest}: compression {asked} conflicts with {said}",
                    hint="use --compression and --compression-level instead of output keys",
                )
        compression = output.compression if compression is None else compression
        level = output.compression_level if level is None else level
    return compression, level


def _fields(text: str) -> list[str]:
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise InvalidUsage(
            f"--output {text!r}: {error}", hint="quote a field that contains a comma: '\"name=a,b\"'"
        ) from error
    if not text or "\n" in text or len(rows) != 1:
        raise InvalidUsage(
            f"--output {text!r} is not one line of key=value fields", hint="write it as type=oci,dest=FILE"
        )
    return rows[0]


def _values(text: str, fields: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if not equals or not key:
            raise InvalidUsage(f"--output {text!r}: {field!r} is not key=value", hint="write it as type=oci,dest=FILE")
        if key in values:
            raise InvalidUsage(f"--output {text!r}: {key} is given twice", hint=f"keep one {key}=")
        values[key] = value
    return values


def _type(text: str, name: str) -> OutputType:
    types = [str(kind) for kind in OutputType]
    if name in types:
        return OutputType(name)
    near = difflib.get_close_matches(name, types, n=2)
    problem = f"type={name} is unknown" if name else "type is missing"
    hint = (
        f"did you mean {' or '.join(f'type={one}' for one in near)}?" if near else "the types are " + ", ".join(types)
    )
    raise InvalidUsage(f"--output {text!r}: {problem}", hint=hint)


def _check_keys(text: str, kind: OutputType, values: dict[str, str]) -> None:
    known = KEYS[kind]
    for key in values:
        if key in known:
            continue
        if key.startswith("annotation"):
            raise InvalidUsage(
                f"--output {text!r}: {key} is not supported for a single output",
                hint="set it for the whole image: --annotation KEY=VALUE",
            )
        if key in _NOT_OURS:
            raise InvalidUsage(f"--output {text!r}: {key} is not needed: {_NOT_OURS[key]}", hint=f"remove {key}=")
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]}=?" if near else f"the keys of type={kind} are " + ", ".join(known)
        raise InvalidUsage(f"--output {text!r}: type={kind} has no key {key!r}", hint=hint)
    for key in ("oci-mediatypes", "force-compression"):
        if not _boolean(text, values, key, default=True):
            raise InvalidUsage(
                f"--output {text!r}: {key}=false is not supported: layers and documents are written as stored",
                hint=f"remove {key}=",
            )


def _dest(text: str, kind: OutputType, dest: str, *, tar: bool) -> str:
    if kind is OutputType.IMAGE:
        return ""
    if kind is OutputType.DOCKER and not tar:
        raise InvalidUsage(
            f"--output {text!r}: a docker archive is always a tar", hint="use type=oci,tar=false for a directory"
        )
    folder = kind is OutputType.LOCAL or not tar
    if folder and dest in {"", STDOUT}:
        problem = "cannot write a directory to stdout" if dest else "dest is missing"
        raise InvalidUsage(f"--output {text!r}: {problem}", hint=f"give the directory: type={kind},dest=DIR")
    return dest if kind is OutputType.DOCKER else dest or STDOUT


def _compression(text: str, values: dict[str, str]) -> str | None:
    name = values.get("compression")
    name = "none" if name == "uncompressed" else name
    if name is None or name in COMPRESSIONS:
        return name
    raise InvalidUsage(f"--output {text!r}: unsupported compression {name}", hint="use " + ", ".join(COMPRESSIONS))


def _level(text: str, values: dict[str, str]) -> int | None:
    level = values.get("compression-level")
    if level is None:
        return None
    if not _LEVEL.fullmatch(level):
        raise InvalidUsage(
            f"--output {text!r}: compression-level={level} is not a number from 0 to 99", hint="use a level such as 6"
        )
    return int(level)


def _boolean(text: str, values: dict[str, str], key: str, *, default: bool) -> bool:
    value = values.get(key)
    if value is None or value.lower() in _TRUE:
        return default if value is None else True
    if value.lower() in _FALSE:
        return False
    raise InvalidUsage(
        f"--output {text!r}: {key}={value} must be true or false", hint=f"write {key}=true or {key}=false"
    )
