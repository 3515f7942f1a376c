"""Read `.ko.yaml`, ko's build settings of a repository.

Source: ko v0.18, docs/configuration.md and pkg/build/config.go (as of 2026).
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    """`dir` and `main` put together."""
    main: str = ""
    """As written; empty: `dir` itself."""
    place: str = ""
    """The file, the line and the key, for messages."""
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
    unknown: tuple[str, ...] = ()
    """A line for each key that ko does not know; ko ignores them."""

    @classmethod
    def parse(cls, text: str, name: str = FILE) -> Self:
        """Read a file.

        Raises:
            InvalidSettings: it is not YAML, or a value does not fit; line and key are named.
        """
        unknown: list[str] = []
        top = _Place(_root(text, name), name, "", unknown)
        entries = top.mapping(_TOP)
        overrides = entries["baseImageOverrides"].mapping(None) if "baseImageOverrides" in entries else {}
        return cls(
            base=entries["defaultBaseImage"].text() if "defaultBaseImage" in entries else "",
            bases={key: place.text() for key, place in overrides.items()},
            platforms=_texts(entries, "defaultPlatforms"),
            env=_texts(entries, "defaultEnv"),
            flags=_texts(entries, "defaultFlags"),
            ldflags=_texts(entries, "defaultLdflags", whole=True),
            builds=tuple(map(_build, entries["builds"].items())) if "builds" in entries else (),
            unknown=tuple(unknown),
        )

    def build_of(self, folder: str, import_path: str) -> KoBuild:
        """Give what is said of a package, below what holds for all: an own list replaces the common one.

        Args:
            folder: the package's, as `dir` and `main` would name it.
            import_path: the package's; `main` may be one.
        """
        own = [build for build in self.builds if build.folder == folder or build.main == import_path]
        last = own[-1] if own else KoBuild(folder)  # ko keeps the last of several
        return replace(
            last, env=last.env or self.env, flags=last.flags or self.flags, ldflags=last.ldflags or self.ldflags
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """A node of the document, and how to get there."""

    node: Any
    name: str
    path: str
    unknown: list[str]
    """Collects lines on keys that nothing reads."""

    def mapping(self, known: set[str] | None) -> dict[str, "_Place"]:
        import yaml

        if self._is_null():
            return {}
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("must be a mapping")
        found = {}
        spelt = {word.lower(): word for word in known or ()}
        for key, value in self.node.value:
            written = str(key.value)
            word = spelt.get(written.lower(), written) if known else written  # ko does not tell case apart either
            place = _Place(value, self.name, f"{self.path}.{word}" if self.path else word, self.unknown)
            if known is not None and word not in known:
                near = difflib.get_close_matches(word, known, n=1)
                advice = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
                line = key.start_mark.line + 1
                self.unknown.append(f"{self.name}: line {line}: {place.path} is unknown and ignored; {advice}")
                continue
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
            yield _Place(node, self.name, f"{self.path}[{number}]", self.unknown)

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
    named = entries.get("main") or entries.get("dir") or place
    return KoBuild(
        folder=_folder(words),
        main=entries["main"].text() if "main" in entries else "",
        place=f"{place.name}: line {named.node.start_mark.line + 1}: {named.path}",
        env=_texts(entries, "env"),
        flags=_texts(entries, "flags"),
        ldflags=_texts(entries, "ldflags", whole=True),
    )


def _folder(words: Sequence[str]) -> str:
    import posixpath

    return posixpath.normpath(posixpath.join("", *(word.removeprefix("/") for word in words if word)) or ".")


def _texts(entries: Mapping[str, _Place], key: str, *, whole: bool = False) -> tuple[str, ...]:
    """Read a list of texts; one text alone is a list of its words, as ko takes it, or that text where it is `whole`."""
    import yaml

    if key not in entries:
        return ()
    place = entries[key]
    if isinstance(place.node, yaml.ScalarNode):
        return (place.text(),) if whole else tuple(place.text().split())
    return tuple(item.text() for item in place.items())
