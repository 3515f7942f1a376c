"""Typed values from JSON, MessagePack and plain objects, safe in threads.

msgspec learns a type when it is first decoded, and lets other threads see what it knows before that is complete; a
second thread that decodes the same type at that moment crashes the interpreter (seen with msgspec 0.22.0). So each type
is learnt under a lock, by making its decoder.
"""

from _thread import allocate_lock
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
Hook = Callable[[type, Any], Any]

_turn = allocate_lock()
_json: "dict[tuple[object, Hook | None], msgspec.json.Decoder[Any]]" = {}
_msgpack: "dict[object, msgspec.msgpack.Decoder[Any]]" = {}


def json_decoder(shape: type[T], dec_hook: Hook | None = None) -> "msgspec.json.Decoder[T]":
    """Give the decoder of a type."""
    found = _json.get((shape, dec_hook))
    if found is None:
        with _turn:
            found = _json.setdefault((shape, dec_hook), msgspec.json.Decoder(shape, dec_hook=dec_hook))
    return found


def from_json(document: bytes | str, shape: type[T], dec_hook: Hook | None = None) -> T:
    """Decode a JSON document.

    Raises:
        msgspec.DecodeError: it is not such a document.
    """
    return json_decoder(shape, dec_hook).decode(document)


def from_msgpack(document: bytes, shape: type[T]) -> T:
    """Decode a MessagePack document.

    Raises:
        msgspec.DecodeError: it is not such a document.
    """
    found = _msgpack.get(shape)
    if found is None:
        with _turn:
            found = _msgpack.setdefault(shape, msgspec.msgpack.Decoder(shape))
    decoded: T = found.decode(document)
    return decoded


def from_plain(value: object, shape: type[T]) -> T:
    """Make a typed value of mappings, lists and texts.

    Raises:
        msgspec.ValidationError: it does not have that shape.
    """
    json_decoder(shape)  # the type is learnt by that
    return msgspec.convert(value, shape)
