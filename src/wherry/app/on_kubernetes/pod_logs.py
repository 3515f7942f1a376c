"""The logs of pods that run, line by line; a stream that breaks is opened again where it broke."""

import threading
from collections.abc import Callable
from typing import Final

from wherry.app.clusters import Cluster
from wherry.cluster.build_job import CONTAINER
from wherry.cluster.kube_errors import KubeRefused
from wherry.cluster.kube_http import KubeStream

_MOST: Final = 32
"""Logs that are followed at a time."""
_TRIES: Final = 20
_PAUSE: Final = 0.5
_LAST: Final = 2.0
"""Seconds for the last lines of a pod that has ended."""
_LONGEST: Final = 4096


class PodLogs:
    """Follows logs in threads of their own."""

    def __init__(self, cluster: Cluster, printed: Callable[[int, str], None]) -> None:
        """Take where, and who hears each line with its completion index."""
        self._cluster, self._printed = cluster, printed
        self._closed = threading.Event()
        self._turn = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._streams: set[KubeStream] = set()

    def follow(self, index: int, pod: str, uid: str) -> None:
        """Begin to follow a pod, unless it is followed."""
        with self._turn:
            running = sum(thread.is_alive() for thread in self._threads.values())
            if uid in self._threads or running >= _MOST or self._closed.is_set():
                return
            thread = threading.Thread(target=self._read, args=(index, pod), name=f"log {pod}", daemon=True)
            self._threads[uid] = thread
        thread.start()

    def drain(self, uid: str) -> None:
        """Wait a moment for the last lines of a pod that has ended."""
        thread = self._threads.get(uid)
        if thread is not None:
            thread.join(_LAST)

    def close(self) -> None:
        """End all of it."""
        self._closed.set()
        with self._turn:
            streams = list(self._streams)
        for stream in streams:
            stream.close()

    def _read(self, index: int, pod: str) -> None:
        last = ""
        for _ in range(_TRIES):
            if self._closed.is_set():
                return
            try:
                stream = self._cluster.server.logs(self._cluster.namespace, pod, CONTAINER, since=last, timestamps=True)
            except KubeRefused as error:
                if not error.passing:
                    return  # the pod is gone, or has not started
                self._closed.wait(_PAUSE)
                continue
            with self._turn:
                self._streams.add(stream)
            before = last
            for line in stream.lines():
                moment, _, text = line.decode(errors="replace").rstrip("\n").partition(" ")
                if moment > before:  # lines of the second that it was asked for again come twice
                    last = moment
                    self._printed(index, text.strip()[:_LONGEST])
            with self._turn:
                self._streams.discard(stream)
            if stream.ended:
                return
            self._closed.wait(_PAUSE)
