"""Kubernetes manifests: references to programs of ours found and replaced, all else unchanged to the byte.

A file is read by a YAML parser, which says where each string stands; then its text is edited there. So comments,
quotes, the order of keys, and what separates documents stay.

Sources: YAML 1.2.2, chapter 5 to 9; ko, docs "Kubernetes integration" (`ko://` in any string).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wherry.errors import InvalidDocument, InvalidUsage

SCHEMES = ("wherry://", "ko://")
_BOM = "\ufeff"
_REQUIREMENT = re.compile(r"(?P<not>!?)(?P<key>[A-Za-z0-9._/-]+)(?:(?P<is>==|!=|=)(?P<value>[A-Za-z0-9._-]*))?")


@dataclass(frozen=True, slots=True)
class Found:
    """A string that names a program."""

    text: str
    """Such as `wherry://./cmd/api`."""
    start: int
    """Characters from the file's beginning, quotes included."""
    end: int
    line: int
    """From 1 on."""
    column: int
    """From 1 on."""


def references(manifest: str, name: str) -> tuple[Found, ...]:
    """Find every string value that begins with one of our schemes, in a file's order.

    Args:
        manifest: one or several YAML or JSON documents.
        name: what the reader knows the file by; it starts the message.

    Raises:
        InvalidDocument: it is not YAML; line and column are named.
    """
    offset = len(_BOM) if manifest.startswith(_BOM) else 0
    found = {}
    for event, is_value in _scalars(manifest[offset:], name):
        text = event.value.strip()
        if is_value and text.startswith(SCHEMES):
            start, end = event.start_mark, event.end_mark
            if "\0" in text:
                raise InvalidDocument(name, f"line {start.line + 1}: a reference with a null byte", hint="remove it")
            found[start.index] = Found(text, start.index + offset, end.index + offset, start.line + 1, start.column + 1)
    return tuple(found[place] for place in sorted(found))


def replaced(manifest: str, found: Sequence[Found], images: Mapping[str, str]) -> str:
    """Put images in the place of references.

    Args:
        manifest: the text that the references were found in.
        found: what `references` gave for it.
        images: an image for the text of each.
    """
    parts, at = [], 0
    for one in found:
        written = manifest[one.start : one.end]
        before, known, after = written.partition(one.text)
        # A string with escapes differs from its source text; it is rewritten then.
        parts += [manifest[at : one.start], f"{before}{images[one.text]}{after}" if known else f'"{images[one.text]}"']
        at = one.end
    return "".join((*parts, manifest[at:]))


def selected(manifest: str, selector: str, name: str) -> str:
    """Keep only the documents with labels that match a selector, unchanged.

    Args:
        manifest: YAML documents.
        selector: as kubectl has it, without sets: `app=api,tier!=test,!old`.
        name: what the reader knows the file by.

    Raises:
        InvalidUsage: it is no such selector.
        InvalidDocument: the manifest is not YAML.
    """
    wanted = _requirements(selector)
    kept = [text for text, labels in _documents(manifest, name) if all(fits(labels) for fits in wanted)]
    return "---\n".join(text if text.endswith("\n") else text + "\n" for text in kept)


def joined(manifests: Sequence[str]) -> str:
    """Put several files into one stream of documents; one file is unchanged."""
    parts: list[str] = []
    for manifest in manifests:
        if parts and not manifest.startswith(("---", "%")):
            parts.append("---\n")
        parts.append(manifest if manifest.endswith("\n") or len(manifests) == 1 else manifest + "\n")
    return "".join(parts)


def _scalars(text: str, name: str) -> Iterator[tuple[Any, bool]]:
    """Yield each scalar's event, and whether it is a value and no key."""
    import yaml

    inside: list[bool | None] = []
    """Of each open collection, outermost first: whether a mapping's next node is a value; None for a sequence."""
    for event in _events(text, name):
        if isinstance(event, yaml.CollectionEndEvent):
            inside.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        is_value = not inside or inside[-1] is not False
        if inside and inside[-1] is not None:
            inside[-1] = not inside[-1]
        if isinstance(event, yaml.ScalarEvent):
            yield event, is_value
        elif isinstance(event, yaml.MappingStartEvent):
            inside.append(False)
        elif isinstance(event, yaml.SequenceStartEvent):
            inside.append(None)


def _events(text: str, name: str) -> Iterator[Any]:
    import yaml

    try:
        yield from yaml.parse(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InvalidDocument(name, f"{where}{error.problem or error}", hint="fix the YAML there") from error
    except yaml.YAMLError as error:
        raise InvalidDocument(
            name, f"invalid YAML: {error}".splitlines()[0], hint="give a Kubernetes manifest"
        ) from error
    except RecursionError as error:
        raise InvalidDocument(name, "nested too deeply", hint="give a Kubernetes manifest") from error


def _documents(manifest: str, name: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield each document's text, without what separates it, and its labels."""
    import yaml

    starts: list[int] = []
    ends: list[int] = []
    for event in _events(manifest, name):
        assert event.start_mark is not None  # noqa: S101 - events of a parser have both
        assert event.end_mark is not None  # noqa: S101 - as above
        if isinstance(event, yaml.DocumentStartEvent):
            starts.append(event.end_mark.index)
        elif isinstance(event, yaml.DocumentEndEvent):
            ends.append(event.start_mark.index)
    for start, end in zip(starts, ends, strict=True):
        text = manifest[start:end].removeprefix("\n")
        try:
            document = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError) as error:
            raise InvalidDocument(name, f"not a manifest: {error}".splitlines()[0]) from error
        yield text, _labels(document)


def _labels(document: object) -> Mapping[str, str]:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}


def _requirements(selector: str) -> list[Any]:
    return [_requirement(word.strip(), selector) for word in selector.split(",") if word.strip()]


def _requirement(word: str, selector: str) -> Any:
    match = _REQUIREMENT.fullmatch(word)
    if not match or (match["not"] and match["is"]):
        raise InvalidUsage(
            f"--selector {selector!r}: invalid requirement {word!r}", hint="write KEY=VALUE, KEY!=VALUE, KEY or !KEY"
        )
    key, value = match["key"], match["value"]
    if match["is"] is None:
        return lambda labels: (key in labels) != bool(match["not"])
    if match["is"] == "!=":
        return lambda labels: labels.get(key) != value
    return lambda labels: labels.get(key) == value
