"""Gatekeeper's external data: a provider is asked for keys, and answers each with a value or an error.

Source: Gatekeeper 3.11 on, "External Data" (externaldata.gatekeeper.sh/v1beta1, ProviderRequest and ProviderResponse).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from wherry.errors import InvalidDocument
from wherry.typed import from_json

MOST_KEYS = 1000
_API = "externaldata.gatekeeper.sh/v1beta1"


class _Keys(msgspec.Struct, frozen=True):
    keys: tuple[str, ...] = ()


class _ProviderRequest(msgspec.Struct, frozen=True, rename={"api_version": "apiVersion"}):
    request: _Keys
    api_version: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """One key: an image, and with a namespace in front (`NAMESPACE IMAGE`) where it is used."""

    text: str
    image: str
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class ProviderItem:
    """The answer to one key."""

    key: str
    value: str = ""
    error: str = ""


def parse_provider_request(body: bytes) -> tuple[ProviderKey, ...]:
    """Read the keys that are asked for, each once.

    Raises:
        InvalidDocument: it is no ProviderRequest of this version, or has too many keys.
    """
    try:
        asked = from_json(body, _ProviderRequest)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidDocument("ProviderRequest", str(error)[:300] or type(error).__name__) from error
    if asked.api_version != _API or asked.kind != "ProviderRequest":
        raise InvalidDocument("ProviderRequest", f"is not {_API}: apiVersion {asked.api_version[:80]!r}")
    if len(asked.request.keys) > MOST_KEYS:
        raise InvalidDocument("ProviderRequest", f"{len(asked.request.keys)} keys; at most {MOST_KEYS} are answered")
    return tuple(map(_key, dict.fromkeys(asked.request.keys)))


def provider_response(items: Sequence[ProviderItem], error: str = "") -> bytes:
    """Write the answer; with an error, of the whole request."""
    rows = [
        {"key": one.key, **({"error": one.error} if one.error else {"value": one.value})} for one in items
    ]  # fmt: skip
    response = {"idempotent": True, "items": rows, **({"systemError": error} if error else {})}
    return json.dumps({"apiVersion": _API, "kind": "ProviderResponse", "response": response}).encode()


def _key(text: str) -> ProviderKey:
    namespace, space, image = text.partition(" ")
    return ProviderKey(text, image, namespace) if space else ProviderKey(text, text)
