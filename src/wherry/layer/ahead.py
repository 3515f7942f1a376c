"""Chunks made ahead: one thread reads and decompresses while another uses what it made."""

from collections import deque
from collections.abc import Iterator
from threading import Condition, Thread

_MOST = 1 << 20
"""Bytes that wait to be used, after which no more are made until half of them are gone."""
_LEAST = 1 << 18
"""Bytes to wait for where there are none: threads that take turns for every chunk lose more than they win."""


class ReadAhead(Iterator[bytes]):
    """An iterator of chunks that another thread runs; what is raised there is raised here."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        """Start the thread; it ends with the chunks, or with `close`."""
        self._chunks = chunks
        self._made: deque[bytes] = deque()
        self._bytes = 0
        self._changed = Condition()
        self._full = self._ended = False
        self._error: BaseException | None = None
        Thread(target=self._make, name="read-ahead", daemon=True).start()

    def __next__(self) -> bytes:
        """Give the next chunk; what was raised in making it comes after all that was made before.

        Raises:
            BaseException: as the chunks.
        """
        with self._changed:
            if not self._made:
                self._changed.wait_for(lambda: self._ended or self._bytes >= _LEAST)
            if not self._made:
                if self._error:
                    raise self._error
                raise StopIteration
            chunk = self._made.popleft()
            self._bytes -= len(chunk)
            if self._full and self._bytes <= _MOST // 2:
                self._full = False
                self._changed.notify_all()
        return chunk

    def close(self) -> None:
        """Make no more; the thread ends at its next chunk."""
        with self._changed:
            self._ended = True
            self._made.clear()
            self._changed.notify_all()

    def _make(self) -> None:
        try:
            for chunk in self._chunks:
                with self._changed:
                    if self._full:
                        self._changed.wait_for(lambda: self._ended or not self._full)
                    if self._ended:
                        return
                    self._made.append(chunk)
                    before, self._bytes = self._bytes, self._bytes + len(chunk)
                    self._full = self._bytes >= _MOST
                    if before < _LEAST <= self._bytes:
                        self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - it is raised where the chunks are used
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
