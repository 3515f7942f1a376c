"""Judge manifests as the webhook would, without a cluster."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wherry.app.admission.credentials import CredentialsOfPods, server_session
from wherry.app.admission.judge import ImageJudge
from wherry.app.admission.review import Reviewed, Reviewer
from wherry.app.admission.state import AdmissionSource, load_state
from wherry.app.session import Session
from wherry.cluster.admission import AdmissionRequest, created
from wherry.errors import InvalidDocument, NotFound, WherryError
from wherry.store.files import read_regular

_LARGEST = 16 << 20
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class TriedObject:
    """An object of a manifest, and what the webhook would answer."""

    file: str
    request: AdmissionRequest
    reviewed: Reviewed
    pinned: Mapping[str, str]
    """What the mutating hook would write, by JSON pointer."""


def try_manifests(
    session: Session, source: AdmissionSource, texts: Mapping[str, str | None], *, namespace: str, timeout: float
) -> tuple[TriedObject, ...]:
    """Judge the objects of manifests, as if each was created now.

    Args:
        session: where files and registries are.
        source: configuration and policies.
        texts: manifests by name; None: the name is a file.
        namespace: of objects that name none.
        timeout: seconds to wait for registries.

    Raises:
        NotFound: a file is not there.
        InvalidDocument: one is no manifest.
        WherryError: the configuration is wrong.
    """
    asked = [(name, one) for name, text in texts.items() for one in _requests(session, name, text, namespace)]
    state = load_state(session, source)
    own, _ = server_session(session)

    def complain(what: str, error: WherryError) -> None:
        session.note(f"{what}: {error.message}")

    async def judged() -> list[TriedObject]:
        judge = ImageJudge(lambda _: None, session.clock, state.settings.databases, state.settings.offline)
        reviewer = Reviewer(state, judge, CredentialsOfPods(own, session, state.settings.pull_secrets, complain))
        deadline = asyncio.get_running_loop().time() + timeout
        try:
            return [await _tried(reviewer, name, request, deadline) for name, request in asked]
        finally:
            judge.close()

    return tuple(asyncio.run(judged()))


async def _tried(reviewer: Reviewer, name: str, request: AdmissionRequest, deadline: float) -> TriedObject:
    mutated = await reviewer.mutate(request, deadline)
    pinned = mutated.answer.images
    return TriedObject(name, request, await reviewer.validate(_patched(request, pinned), deadline), pinned)


def _patched(request: AdmissionRequest, images: Mapping[str, str]) -> AdmissionRequest:
    """Give the request with images replaced, as the API server has it after a mutating hook."""
    from copy import deepcopy
    from dataclasses import replace

    document: Any = deepcopy(dict(request.document))
    for path, image in images.items():
        *way, last = path.strip("/").split("/")
        row = document
        for key in way:
            row = row[int(key)] if isinstance(row, list) else row[key]
        row[last] = image
    return replace(request, document=document)


def _requests(session: Session, name: str, text: str | None, namespace: str) -> Iterator[AdmissionRequest]:
    import yaml

    if text is None:
        content = read_regular((session.cwd / name).resolve(), _LARGEST)
        if content is None:
            raise NotFound(f"{name}: not found", hint="give a manifest, or - for stdin")
        text = content.decode(errors="replace")
    try:
        documents = list(yaml.safe_load_all(text))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidDocument(name, f"not YAML: {error}".splitlines()[0], hint="give a Kubernetes manifest") from error
    for document in _flat(documents):
        if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
            raise InvalidDocument(name, "a document without a kind", hint="give a Kubernetes manifest")
        yield created(document, namespace)


def _flat(documents: list[object]) -> Iterator[object]:
    """Yield objects, those of lists one by one."""
    for number, document in enumerate(documents):
        items = document.get("items") if isinstance(document, dict) and document.get("kind") == "List" else None
        if isinstance(items, list):
            yield from items[:_MOST]
        elif document is not None and number < _MOST:
            yield document
