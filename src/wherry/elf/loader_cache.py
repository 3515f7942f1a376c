"""/etc/ld.so.cache: where glibc's dynamic linker finds libraries without a search.

Source: glibc 2.41, sysdeps/generic/dl-cache.h (`struct cache_file`, `struct cache_file_new`) and elf/dl-cache.c.
"""

import struct
from typing import Final

from wherry.errors import InvalidDocument

PATH: Final = "/etc/ld.so.cache"

_OLD_MAGIC = b"ld.so-1.7.0"
_OLD_HEADER, _OLD_ENTRY = 16, 12
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = 48
_ENTRY = "iIIIQ"
_ALIGNMENT = 8
_LONGEST = 4096


def parse_cache(content: bytes, order: str, name: str = PATH) -> dict[str, tuple[str, ...]]:
    """Read which paths the cache has for each library.

    Those that only some processors use (glibc-hwcaps) are left out, since the others must be there too.

    Args:
        content: the file.
        order: `<` or `>`: the byte order of the machine that wrote it.
        name: what the reader knows it by.

    Returns:
        Paths by soname, the preferred one first.

    Raises:
        InvalidDocument: it is of another format, or cut short.
    """
    start = _new_format(content, order, name)
    if len(content) < start + _HEADER:
        raise InvalidDocument(name, "its header is cut short")
    (count,) = struct.unpack_from(f"{order}I", content, start + len(_MAGIC))
    row = struct.Struct(order + _ENTRY)
    if start + _HEADER + count * row.size > len(content):
        raise InvalidDocument(name, f"{count} entries do not fit its {len(content)} bytes")
    found: dict[str, list[str]] = {}
    for place in range(count):
        _, key, value, _, capabilities = row.unpack_from(content, start + _HEADER + place * row.size)
        if not capabilities:
            found.setdefault(_text(content, start + key, name), []).append(_text(content, start + value, name))
    return {library: tuple(paths) for library, paths in found.items()}


def _new_format(content: bytes, order: str, name: str) -> int:
    """Give where the format of glibc 2.2 and newer begins: at once, or behind the older one."""
    start = 0
    if content.startswith(_OLD_MAGIC) and len(content) >= _OLD_HEADER:
        (count,) = struct.unpack_from(f"{order}I", content, _OLD_HEADER - 4)
        start = -(-(_OLD_HEADER + count * _OLD_ENTRY) // _ALIGNMENT) * _ALIGNMENT
    if content[start : start + len(_MAGIC)] != _MAGIC:
        raise InvalidDocument(name, "not a cache of glibc's dynamic linker", hint="run ldconfig in the image again")
    return start


def _text(content: bytes, at: int, name: str) -> str:
    text, end, _ = content[at : at + _LONGEST].partition(b"\0")
    if not end:
        raise InvalidDocument(name, f"a text at {at} is outside the file")
    return text.decode(errors="surrogateescape")
