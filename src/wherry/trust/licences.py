"""Which licence a module has, by the texts in its zip: known texts are named, every other one is not guessed.

Source: SPDX License List 3.27 (texts and identifiers); `go mod vendor`'s list of file names (modcmd/vendor.go).
"""

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping

from wherry.trust.bill import Licence
from wherry.trust.module_zip import ModuleZip, ZipEntry

_FILE = re.compile(r"(?:.*[-_.])?(?:licen[cs]e|copying|unlicense)(?:[-_.].*)?", re.IGNORECASE)
_CODE = re.compile(r"\.(go|s|c|h|py|js|json|ya?ml|tmpl|tpl|html|sh|spdx)$", re.IGNORECASE)
_LARGEST_TEXT = 256 << 10
"""Bytes of a text that is compared; the longest known licence has 36,000."""
_MOST_FILES = 64

_MIT = (
    "permission is hereby granted free of charge to any person obtaining a copy of this software and associated "
    "documentation files"
)
_KNOWN: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("Apache-2.0", ("apache license version 2 0 january 2004",), ()),
    (
        "MIT",
        (
            _MIT,
            "the above copyright notice and this permission notice shall be included in all copies",
            "the software is provided as is without warranty of any kind",
        ),
        (),
    ),
    (
        "BSD-3-Clause",
        ("redistribution and use in source and binary forms", "to endorse or promote products derived from this"),
        ("all advertising materials", "no express or implied licenses to any party s patent rights"),
    ),
    (
        "BSD-2-Clause",
        ("redistribution and use in source and binary forms", "redistributions in binary form must reproduce"),
        ("endorse or promote", "all advertising materials", "patent"),
    ),
    ("MPL-2.0", ("mozilla public license version 2 0", "covered software"), ()),
    (
        "ISC",
        (
            "distribute this software for any purpose with or without fee is hereby granted",
            "provided that the above copyright notice and this permission notice appear in all copies",
        ),
        (),
    ),
    ("Unlicense", ("this is free and unencumbered software released into the public domain",), ()),
    ("CC0-1.0", ("creative commons", "cc0 1 0 universal", "the person who associated a work with this deed"), ()),
)
"""Identifiers with phrases that a text must have, and those that it must not."""
_TRAPS = ("commons clause", "good not evil", "business source license", "elastic license", "server side public license")
"""What is added to a known text and makes it another licence."""


def licence_of(opened: ModuleZip, prefix: str, folders: Iterable[str] = ()) -> Licence:
    """Read the licences of a module: those in its root, and those of folders with linked packages.

    Args:
        opened: its zip.
        prefix: what its names begin with, `MODULE@VERSION/`.
        folders: of linked packages, relative to its root.

    Raises:
        InvalidDocument: the zip is damaged.
    """
    wanted = {""} | {up for folder in folders for up in _ups(folder)}
    found: dict[str, None] = {}
    unknown: list[str] = []
    for name, entry in _files(opened, prefix, wanted):
        content = opened.read(entry)
        names = known_licences(content) if entry.size <= _LARGEST_TEXT else ()
        found.update(dict.fromkeys(names))
        if not names:
            unknown.append(f"{name} sha256:{hashlib.sha256(content).hexdigest()}")
    return Licence("" if unknown else " AND ".join(sorted(found)), tuple(unknown))


def known_licences(content: bytes) -> tuple[str, ...]:
    """Name the licences of a text; empty where it is not known, or has more than a known text."""
    text = re.sub(r"[^a-z0-9]+", " ", content.decode(errors="replace").lower())
    if any(trap in text for trap in _TRAPS):
        return ()
    return tuple(
        name
        for name, has, lacks in _KNOWN
        if all(phrase in text for phrase in has) and not any(phrase in text for phrase in lacks)
    )


def as_plain(licence: Licence) -> Mapping[str, object]:
    """Give what is kept of a licence."""
    return {"expression": licence.expression, "unknown": list(licence.unknown)}


def _files(opened: ModuleZip, prefix: str, folders: set[str]) -> Iterator[tuple[str, ZipEntry]]:
    """Give the licence files of some folders, the first `_MOST_FILES` by name."""
    found = []
    for entry in opened.entries:
        name = entry.name.removeprefix(prefix)
        folder, base = posixpath.split(name)
        if folder in folders and _FILE.fullmatch(base) and not _CODE.search(base):
            found.append((name, entry))
    return iter(sorted(found, key=lambda pair: pair[0])[:_MOST_FILES])


def _ups(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = posixpath.dirname(folder)
