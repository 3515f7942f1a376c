"""Read `.ko.yaml`, ko's build settings of a repository.

Source: ko v0.18, docs/configuration.md and pkg/build/config.go (as of 2026).
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from wherry.errors import InvalidSettings

FILE = ".ko.yaml"
_TOP = {
    "defaultBaseImage", "baseImageOverrides", "builds", "defaultPlatforms", "defaultEnv", "defaultFlags",
    "defaultLdflags",
}  # fmt: skip
_BUILD = {"id", "dir", "main", "env", "flags", "ldflags", "linux_capabilities"}
_NOT_OURS = {
    "linux_capabilities": "files in wherry's layers have no capabilities; grant them in the pod's securityContext"
}


@dataclass(frozen=True, slots=True)
class KoBuild:
    """One of `builds`."""

    folder: str
    """`dir` and `main` put together, below the file."""
    env: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KoConfig:
    """A `.ko.yaml`, read and checked."""

    base: str = ""
    bases: Mapping[str, str] = field(default_factory=dict)
    """By import path."""
    platforms: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = ()
    builds: tuple[KoBuild, ...] = ()

    @classmethod
    def parse(cls, text: str, name: str = FILE) -> Self:
        """Read a file.

        Raises:
            InvalidSettings: it is no YAML, a key is unknown, or a value does not fit; line and key are named.
        """
        top = _Place(_root(text, name), name, "")
        entries = top.mapping(_TOP)
        overrides = entries["baseImageOverrides"].mapping(None) if "baseImageOverrides" in entries else {}
        return cls(
            base=entries["defaultBaseImage"].text() if "defaultBaseImage" in entries else "",
            bases={key: place.text() for key, place in overrides.items()},
            platforms=_texts(entries, "defaultPlatforms"),
            env=_texts(entries, "defaultEnv"),
            flags=_texts(entries, "defaultFlags"),
            ldflags=_texts(entries, "defaultLdflags"),
            builds=tuple(map(_build, entries["builds"].items())) if "builds" in entries else (),
        )

    def build_of(self, folder: str) -> KoBuild:
        """Give what is said of a package's folder, below what holds for all: an own list replaces the common one."""
        own = next((build for build in self.builds if build.folder == folder), KoBuild(folder))
        return KoBuild(folder, own.env or self.env, own.flags or self.flags, own.ldflags or self.ldflags)


@dataclass(frozen=True, slots=True)
class _Place:
    """A node of the document, and how to get there."""

    node: Any
    name: str
    path: str

    def mapping(self, known: set[str] | None) -> dict[str, "_Place"]:
        import yaml

        if self._is_null():
            return {}
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("must be a mapping")
        found = {}
        for key, value in self.node.value:
            word = str(key.value)
            place = _Place(value, self.name, f"{self.path}.{word}" if self.path else word)
            if known is not None and word not in known:
                near = difflib.get_close_matches(word, known, n=1)
                raise place.wrong(
                    "is unknown", f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
                )
            if word in _NOT_OURS:
                raise place.wrong("is not supported", _NOT_OURS[word])
            found[word] = place
        return found

    def items(self) -> Iterator["_Place"]:
        import yaml

        if self._is_null():
            return
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong("must be a list")
        for number, node in enumerate(self.node.value):
            yield _Place(node, self.name, f"{self.path}[{number}]")

    def text(self) -> str:
        import yaml

        if not isinstance(self.node, yaml.ScalarNode):
            raise self.wrong("must be a string")
        return "" if self._is_null() else str(self.node.value)

    def wrong(self, problem: str, hint: str = "") -> InvalidSettings:
        line = self.node.start_mark.line + 1
        return InvalidSettings(
            f"{self.name}: line {line}: {self.path or 'the file'} {problem}",
            hint=hint or "write it as described in ko's documentation",
        )

    def _is_null(self) -> bool:
        return str(self.node.tag).endswith(":null")


def _root(text: str, name: str) -> Any:
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidSettings(f"{name}: line {line}: {error.problem}", hint="fix the YAML there") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidSettings(f"{name}: invalid YAML", hint="fix it; ko can't read it either") from error
    return node if node is not None else yaml.MappingNode("tag:yaml.org,2002:map", [])


def _build(place: _Place) -> KoBuild:
    entries = place.mapping(_BUILD)
    words = [entries[key].text() for key in ("dir", "main") if key in entries]
    return KoBuild(_folder(words), _texts(entries, "env"), _texts(entries, "flags"), _texts(entries, "ldflags"))


def _folder(words: Sequence[str]) -> str:
    import posixpath

    folder = posixpath.normpath(posixpath.join("", *(word.removeprefix("/") for word in words if word)) or ".")
    return posixpath.dirname(folder) or "." if folder.endswith(".go") else folder


def _texts(entries: Mapping[str, _Place], key: str) -> tuple[str, ...]:
    """Read a list of texts; one text alone is a list of its words, as ko takes it."""
    import yaml

    if key not in entries:
        return ()
    place = entries[key]
    if isinstance(place.node, yaml.ScalarNode):
        return tuple(place.text().split())
    return tuple(item.text() for item in place.items())
