"""What a build of a Dockerfile was made of, as its provenance says it: contexts, bases and the file, by digest.

A context's digest is Go's directory hash of the files that the ignore file leaves in (`dirHash1`): anyone can compute
it. A link counts as a file that holds its target; modes and empty directories don't count.
Sources: in-toto attestation v1.1, spec/v1/digest_set.md (`dirHash1`, `gitCommit`); golang.org/x/mod, sumdb/dirhash.
"""

import base64
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.build.addresses import DOCKER, LAYOUT
from wherry.errors import InvalidDocument
from wherry.trust.provenance import BuildMaterial

if TYPE_CHECKING:
    from wherry.app.build.dockerfile_work import Trace
    from wherry.app.build.sources import Source
    from wherry.app.session import Session
    from wherry.build.context import LocalContext

_ADDED = "--add "
_CONTEXT, _DOCKERFILE = "urn:dev.wherry:context", "urn:dev.wherry:dockerfile"


def materials_of(session: "Session", trace: "Trace", source: "Source") -> tuple[BuildMaterial, ...]:
    """Name what the images of a Dockerfile were made of; nothing names a path of this machine.

    Args:
        session: where git is asked.
        trace: of the build.
        source: the Dockerfile and its context.

    Raises:
        WherryError: a context cannot be read any more.
    """
    found = [_file(source), *_bases(trace)]
    for name, context in sorted(trace.contexts.items()):
        if name.startswith(_ADDED):
            content = Path(name.removeprefix(_ADDED)).read_bytes()
            found.append(
                BuildMaterial(f"{_CONTEXT}:add", Path(name).name, {"sha256": hashlib.sha256(content).hexdigest()})
            )
            continue
        digest = context_hash(context)
        found.append(
            BuildMaterial(f"{_CONTEXT}:{name}" if name else _CONTEXT, name, {"dirHash1": digest} if digest else {})
        )
        commit = source.commit if not name else None
        found += [commit] if commit else _checked_out(session, name, context) if source.local or name else []
    return tuple(found)


def _file(source: "Source") -> BuildMaterial:
    content = source.text.encode("utf-8", "surrogateescape")
    return BuildMaterial(_DOCKERFILE, Path(source.name).name, {"sha256": hashlib.sha256(content).hexdigest()})


def _bases(trace: "Trace") -> Iterator[BuildMaterial]:
    from wherry.trust.bill import purl

    for name, roots in sorted(trace.used.items()):
        # A layout is a folder of this machine, so its path is left out.
        shown = Path(name.removeprefix(LAYOUT).partition("@")[0]).name if name.startswith(LAYOUT) else name
        plain = shown.removeprefix(DOCKER).partition("@")[0].rpartition("/")[2].partition(":")[0]
        for root in roots:
            digest = {root.digest.algorithm: root.digest.encoded}
            yield BuildMaterial(purl("oci", plain or "image", str(root.digest)), shown, digest)


def _checked_out(session: "Session", name: str, context: "LocalContext") -> list[BuildMaterial]:
    """Name the commit that a context is of, where it is in a git checkout."""
    from wherry.checkout import Checkout

    facts = Checkout(Path(os.path.realpath(context.folder)), session.runner, session.environment).facts()
    if not facts.revision:
        return []
    return [BuildMaterial.of_commit(facts.source, facts.revision, name)]


def folder_hash(folder: Path) -> str:
    """Hash a folder as the context that it would be, under its own ignore file."""
    from wherry.build.context import LocalContext
    from wherry.dockerfile.ignore import read_ignore_file

    ignore = folder / ".dockerignore"
    text = ignore.read_text("utf-8", "surrogateescape") if ignore.is_file() else ""
    return context_hash(LocalContext(folder, tuple(read_ignore_file(text))))


def context_hash(context: "LocalContext") -> str:
    """Hash the files of a context; empty where a name cannot be written into Go's list of them.

    Raises:
        NotFound: a directory cannot be read.
        OSError: a file changed meanwhile.
    """
    from wherry.app.context_files import walk_context
    from wherry.build.context import LocalContext
    from wherry.dockerfile.ignore import Patterns
    from wherry.trust.module_zip import h1_of

    opened = LocalContext(context.folder, context.patterns, context.memory)
    rows = []
    for path, _ in walk_context(str(context.folder), Patterns(context.patterns)):
        status = os.lstat(context.folder / path)
        if stat.S_ISREG(status.st_mode):
            (content,) = opened.contents([(path, path, status)])
        elif stat.S_ISLNK(status.st_mode):
            content = hashlib.sha256(os.fsencode((context.folder / path).readlink())).hexdigest()
        else:
            continue
        rows.append((path, content))
    opened.remember()
    try:
        return base64.b64decode(h1_of(rows).removeprefix("h1:")).hex()
    except (InvalidDocument, UnicodeEncodeError):
        return ""
