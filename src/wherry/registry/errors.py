"""What a registry said no to, in its own words.

Source: OCI distribution-spec v1.1.1, "Error Codes".
"""

import json
from collections.abc import Iterator

from wherry.errors import HostUnable, NotFound, NotPermitted

_SHOWN = 600
"""Characters of a registry's words that a message repeats."""
_NOT_FOUND = 404
_DENIED = frozenset({401, 403})
_NOT_TAKEN = frozenset({400, 406, 415, 422})
"""MANIFEST_INVALID and UNSUPPORTED come with one of these."""


class RegistryError(HostUnable):
    """A registry could not be reached, or would not do what it was asked for."""


class NotTaken(RegistryError):
    """A registry does not take a document of this kind, or one that names blobs of this kind."""


class RegistryBusy(RegistryError):
    """A registry said to come back later, more often than we asked."""

    def __init__(self, message: str, *, hint: str, retry_after: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        """As the last answer's header has it."""
        self.status = status
        """Of the last answer: 429 is a limit on requests, others are failures."""


class AccessDenied(NotPermitted):
    """A registry wants other credentials, or none would do."""


class LoggedOut(AccessDenied):
    """A registry wanted credentials that it has not been shown, and that we have by now: it may be asked again."""


class NotInRegistry(NotFound):
    """A registry has no such repository, tag or manifest."""

    codes: tuple[str, ...] = ()
    """The error codes of its answer, where that was one of the spec's documents; empty for any other 404."""


def refusal(what: str, status: int, body: bytes, *, registry: str, known: bool = False) -> Exception:
    """Make the error for an answer that ends the request.

    Args:
        what: what was asked for; it starts the message.
        status: of the answer.
        body: its first bytes.
        registry: its host.
        known: whether we sent credentials.
    """
    words = "; ".join(words_of(body)) or f"HTTP {status} without an explanation"
    message = f"{what}: {registry} answered {status}: {words}"
    if status in _DENIED:
        hint = (
            f"the credentials for {registry} do not allow it; log in as another user: wherry login {registry}"
            if known
            else f"log in: wherry login {registry}"
        )
        return AccessDenied(message, hint=hint)
    if status == _NOT_FOUND:
        missing = NotInRegistry(
            message, hint=f"check the name; a private repository looks the same without a login to {registry}"
        )
        missing.codes = tuple(_codes(body))
        return missing
    error = NotTaken if status in _NOT_TAKEN else RegistryError
    return error(message, hint=f"this message is from {registry}; contact its operator")


def words_of(body: bytes) -> Iterator[str]:
    """Read the errors of an answer: the spec's JSON, else its first line of text."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        text = body.decode(errors="replace").strip()
        if text and not text.startswith("<"):
            yield _shown(text.splitlines()[0])
        return
    if not isinstance(document, dict):
        return
    errors = document.get("errors")
    for error in errors[:3] if isinstance(errors, list) else ():
        if isinstance(error, dict):
            said = [error.get(key) for key in ("code", "message", "detail")]
            yield _shown(": ".join(_text(value) for value in said if value))
    if not errors and (word := document.get("details") or document.get("message")):
        yield _shown(_text(word))


def _codes(body: bytes) -> Iterator[str]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return
    errors = document.get("errors") if isinstance(document, dict) else None
    for error in errors[:3] if isinstance(errors, list) else ():
        if isinstance(error, dict) and isinstance(code := error.get("code"), str):
            yield code


def _text(value: object) -> str:
    """Give a member of an answer as the registry wrote it: text unquoted, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(text: str) -> str:
    """Cut a text, and take out what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:_SHOWN])
