"""YAML documents whose values know where they are written.

Source: YAML 1.2.2, chapters 3 and 7; merge keys as in YAML 1.1 (`<<`).
"""

import gc
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from wherry.errors import InvalidDocument

_DEEPEST = 64
_MERGE = "tag:yaml.org,2002:merge"
_BOM = "\ufeff"
_RENDER = "render it first: helm template CHART > FILE"


@dataclass(frozen=True, slots=True)
class PlacedNode:
    """A node of a document."""

    file: str
    node: Any
    shift: int = 0
    """Characters that precede the first document, such as a byte order mark."""

    @property
    def line(self) -> int:
        """From 1 on."""
        return int(self.node.start_mark.line) + 1

    @property
    def place(self) -> str:
        """Such as `deploy.yaml:31`."""
        return f"{self.file}:{self.line}"

    @property
    def start(self) -> int:
        """Characters from the file's beginning."""
        return int(self.node.start_mark.index) + self.shift

    @property
    def end(self) -> int:
        """Where it ends, in characters."""
        return int(self.node.end_mark.index) + self.shift

    @property
    def column(self) -> int:
        """Characters from the line's beginning."""
        return int(self.node.start_mark.column)

    @property
    def is_mapping(self) -> bool:
        """Whether it has keys."""
        return bool(self.node.id == "mapping")

    @property
    def in_flow(self) -> bool:
        """Whether it is written in braces, as JSON is."""
        return bool(self.node.flow_style)

    @property
    def text(self) -> str | None:
        """A scalar's text; None for anything else."""
        return self.node.value if self.node.id == "scalar" else None

    def get(self, *path: str) -> "PlacedNode | None":
        """Go down by keys; None where one is not there."""
        found: PlacedNode | None = self
        for key in path:
            found = next((value for name, value in found.pairs() if name == key), None) if found else None
        return found

    def pairs(self, depth: int = 0) -> Iterator[tuple[str, "PlacedNode"]]:
        """Yield a mapping's keys and values; own keys go before merged ones."""
        if not self.is_mapping or depth > _DEEPEST:
            return
        merged: list[PlacedNode] = []
        for key, value in self.node.value:
            if key.tag == _MERGE:
                merged += [self._at(one) for one in (value.value if value.id == "sequence" else [value])]
            elif key.id == "scalar":
                yield key.value, self._at(value)
        for one in merged:
            yield from one.pairs(depth + 1)

    def each(self) -> Iterator["PlacedNode"]:
        """Yield the nodes of a sequence."""
        if self.node.id == "sequence":
            yield from map(self._at, self.node.value)

    def number(self) -> float | None:
        """Read a scalar as a number; None where it is none."""
        try:
            found = float(self.text) if self.text is not None else None
        except ValueError:
            return None
        return found if found is not None and abs(found) < 1e12 else None  # noqa: PLR2004 - rules out inf and nan

    def mappings(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], "PlacedNode"]]:
        """Yield this mapping and all below it, each once and with its path."""
        seen: set[int] = set()
        todo = [(path, self)]
        while todo:
            where, found = todo.pop()
            if id(found.node) in seen or len(where) > _DEEPEST:
                continue
            seen.add(id(found.node))
            if found.is_mapping:
                yield where, found
            inner = [((*where, key), value) for key, value in found.pairs()]
            inner += [((*where, str(number)), value) for number, value in enumerate(found.each())]
            todo += reversed(inner)

    def named(self, keys: Collection[str]) -> Iterator[tuple[str, "PlacedNode"]]:
        """Yield the values below this node that have one of these keys, each once, in the order of the file.

        It makes no `PlacedNode` of the others: a file may have a million.
        """
        seen: set[int] = set()
        todo = [self.node]
        while todo:
            node = todo.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if node.id == "mapping":
                for key, value in node.value:
                    if key.id == "scalar" and key.value in keys:
                        yield key.value, self._at(value)
                todo += [value for _, value in reversed(node.value) if value.id != "scalar"]
            elif node.id == "sequence":
                todo += [one for one in reversed(node.value) if one.id != "scalar"]

    def _at(self, node: Any) -> "PlacedNode":
        return PlacedNode(self.file, node, self.shift)


def placed_documents(text: str, file: str) -> tuple[PlacedNode, ...]:
    """Read the documents of a file.

    Args:
        text: YAML or JSON.
        file: what the reader knows it by; it starts every place and the message.

    Raises:
        InvalidDocument: it is not YAML, or a Helm template; line and column are named.
    """
    import yaml

    shift = len(_BOM) if text.startswith(_BOM) else 0
    try:
        with _no_collection():
            nodes = list(yaml.compose_all(text[shift:], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        if isinstance(error, yaml.reader.ReaderError):
            line = text.count("\n", 0, error.position + shift) + 1
            raise InvalidDocument(
                file, f"line {line}: a control character that YAML does not allow", hint="remove it"
            ) from error
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        if "{{" in text:
            raise InvalidDocument(file, f"{where}this is a Helm template, not a manifest", hint=_RENDER) from error
        words = getattr(error, "problem", None) or "nested too deeply, or not YAML"
        raise InvalidDocument(file, f"{where}{words}", hint="fix the YAML there") from error
    documents = tuple(PlacedNode(file, node, shift) for node in nodes if node is not None)
    if "{{" in text:
        _refuse_template(documents)
    return documents


@contextmanager
def _no_collection() -> Iterator[None]:
    """Look for no garbage meanwhile: none of it is, and looking takes as long as reading."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _refuse_template(documents: tuple[PlacedNode, ...]) -> None:
    """Refuse `{{ … }}` outside quotes: to YAML it is a mapping whose key is a mapping."""
    for document in documents:
        for _, found in document.mappings():
            key = next((key for key, _ in found.node.value if key.id == "mapping"), None)
            if key is not None:
                line, column = key.start_mark.line + 1, key.start_mark.column
                raise InvalidDocument(
                    document.file,
                    f"line {line}, column {column}: this is a Helm template, not a manifest",
                    hint=_RENDER,
                )
