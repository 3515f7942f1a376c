"""Judge images for many requests at once: each image is asked for once, in threads, and every caller has a deadline.

What was found out about a digest in a repository is kept by that and the policy's digest. Signatures do not expire, so
what is good stays good until the policy or a key changes; what is not good is kept for seconds, since somebody may sign
in the meantime. A copy in another repository is asked for on its own, so that an answer never depends on what was asked
before.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from wherry.app.admission.state import LoadedPolicy
from wherry.app.admission.verdicts import JudgedReference, VerdictReason, judged_by
from wherry.app.policy import cause_of, gather, gather_signatures
from wherry.app.session import Session
from wherry.errors import Cancelled, NotFound, NotPermitted, WherryError
from wherry.oci.reference import Reference
from wherry.trust.evidence import ImageEvidence
from wherry.trust.policy import ConditionKind, judge_image

if TYPE_CHECKING:
    from wherry.oci.descriptor import Descriptor

THREADS = 64
AT_ONE_REGISTRY = 16
"""Threads that one registry may keep waiting: another's images are judged all the same."""
_KEPT = 20_000
"""Images whose evidence is kept."""
_TAG_SECONDS = 1.0
_BAD_SECONDS, _ERROR_SECONDS = 5.0, 2.0
"""Seconds that a refusal and a failure are kept."""
_HOLES_SECONDS = 3600.0
"""Seconds that a scan counts."""
_TASK_SECONDS = 30.0
"""Seconds after which work that nobody waits for any more is stopped."""
_LONG_TASK_SECONDS = 300.0
"""The same where layers have to be read."""
_BY_SIGNATURE = frozenset({
    ConditionKind.SIGNED_BY, ConditionKind.ATTESTED, ConditionKind.ALL, ConditionKind.ANY, ConditionKind.NOT,
})  # fmt: skip
_LARGE = frozenset({ConditionKind.NO_SHELL, ConditionKind.UNPACKED, ConditionKind.HOLES, ConditionKind.NON_ROOT})
T = TypeVar("T")
Outcome = ImageEvidence | WherryError


class Expiring:
    """Values that are kept for a time, the most recently used ones of them."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rows: OrderedDict[tuple[str, ...], tuple[float, Any]] = OrderedDict()
        self._most = most
        self._clock = clock

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: tuple[str, ...]) -> Any:
        """Give a value; None: there is none, or it is too old."""
        row = self._rows.get(key)
        if row is None:
            return None
        if row[0] <= self._clock():
            del self._rows[key]
            return None
        self._rows.move_to_end(key)
        return row[1]

    def keep(self, key: tuple[str, ...], value: object, seconds: float) -> None:
        """Keep a value for some seconds."""
        self._rows[key] = (self._clock() + seconds, value)
        self._rows.move_to_end(key)
        while len(self._rows) > self._most:
            self._rows.popitem(last=False)


@dataclass(frozen=True, slots=True)
class RegistryCredentials:
    """Who asks registries."""

    open: Callable[[], Session]
    """Gives a session with these credentials; called in a thread, since it may have to read secrets."""
    name: str = ""
    """Empty: the server's own; else the namespace and the secrets."""


@dataclass(eq=False)
class ImageJudge:
    """Finds out about images. All of it but the work in threads happens in one event loop."""

    counted: Callable[[str], None]
    """Is given `hit`, `joined` or `miss` for each question."""
    clock: Callable[[], float] = time.time
    databases: tuple[str, ...] = ()
    offline: bool = False
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "admission"))
    _turns: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _flights: "dict[tuple[str, ...], asyncio.Task[Any]]" = field(default_factory=dict)
    _kept: Expiring = field(default_factory=lambda: Expiring(_KEPT))
    _tags: Expiring = field(default_factory=lambda: Expiring(_KEPT))

    @property
    def kept(self) -> int:
        """Count the images whose evidence is kept."""
        return len(self._kept)

    async def judge(
        self, reference: Reference, loaded: LoadedPolicy, credentials: RegistryCredentials, deadline: float
    ) -> JudgedReference:
        """Judge an image by a policy; there is an answer before the deadline, whatever registries do.

        Args:
            reference: the image.
            loaded: the policy.
            credentials: who asks.
            deadline: by the event loop's clock.
        """
        try:
            digest = str(reference.digest or "") or await self.digest_of(reference, credentials, deadline)
        except WherryError as error:
            return failure(error)
        name = f"docker://{reference.registry}/{reference.repository}@{digest}"
        good, bad = (name, loaded.digest), (name, loaded.digest, credentials.name)
        kept = self._kept.get(good) or self._kept.get(bad)
        if kept is None:
            joined = bad in self._flights
            self.counted("joined" if joined else "miss")
            try:
                kept = await self._once(bad, deadline, lambda: self._evidence(reference, name, loaded, credentials))
            except WherryError as error:
                return failure(error, digest)
            cached = joined
        else:
            self.counted("hit")
            cached = True
        if isinstance(kept, WherryError):
            return failure(kept, digest)
        now = self.clock()
        judged = judged_by(judge_image(loaded.policy, msgspec.structs.replace(kept, now=now)), kept)
        return JudgedReference(judged.reason, judged.detail, digest, cached)

    async def digest_of(self, reference: Reference, credentials: RegistryCredentials, deadline: float) -> str:
        """Resolve a tag; what was asked within the last second counts.

        Raises:
            WherryError: the registry has no such tag, or would not say before the deadline.
        """
        if reference.digest:
            return str(reference.digest)
        key = (reference.canonical, credentials.name)
        found = self._tags.get(key)
        if found is None:
            found = await self._once(("tag", *key), deadline, lambda: self._resolved(reference, credentials))
        if isinstance(found, WherryError):
            raise found
        return str(found)

    def close(self) -> None:
        """Let threads end; none is waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _once(self, key: tuple[str, ...], deadline: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Wait for the one task that does some work; past the deadline it goes on alone, for those who come later."""
        task = self._flights.get(key)
        if task is None:
            task = self._flights[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._landed(key, done))
        left = deadline - asyncio.get_running_loop().time()
        done, _ = await asyncio.wait((task,), timeout=max(left, 0))
        if not done:
            raise TooLate(key[-2] if key[0] == "tag" else key[0])
        result: T = task.result()
        return result

    def _landed(self, key: tuple[str, ...], done: "asyncio.Task[Any]") -> None:
        del self._flights[key]
        if not done.cancelled():
            done.exception()  # whoever still waits gets it too

    async def _evidence(
        self, reference: Reference, name: str, loaded: LoadedPolicy, credentials: RegistryCredentials
    ) -> Outcome:
        limit = _LONG_TASK_SECONDS if loaded.kinds & _LARGE else _TASK_SECONDS
        gathered = await self._threaded(
            reference.registry, limit, credentials, lambda session: self._gathered(session, name, loaded)
        )
        if isinstance(gathered, WherryError):
            self._kept.keep((name, loaded.digest, credentials.name), gathered, _ERROR_SECONDS)
        elif judge_image(loaded.policy, gathered).allowed:
            seconds = _HOLES_SECONDS if ConditionKind.HOLES in loaded.kinds else float("inf")
            self._kept.keep((name, loaded.digest), gathered, seconds)
        else:
            unknown = any(one.answer == "could-not-ask" for one in gathered.signatures)
            seconds = _ERROR_SECONDS if unknown else _BAD_SECONDS
            self._kept.keep((name, loaded.digest, credentials.name), gathered, seconds)
        return gathered

    def _gathered(self, session: Session, name: str, loaded: LoadedPolicy) -> ImageEvidence:
        if loaded.kinds <= _BY_SIGNATURE:
            return gather_signatures(session, name, loaded.policy, loaded.folder, loaded.signers)
        return gather(
            session,
            name,
            loaded.policy,
            loaded.folder,
            databases=self.databases,
            offline=self.offline,
            signers=loaded.signers,
        )

    async def _resolved(self, reference: Reference, credentials: RegistryCredentials) -> str | WherryError:
        def resolve(session: Session) -> "Descriptor":
            return session.registries.source(reference).resolve(reference.tag)

        found = await self._threaded(reference.registry, _TASK_SECONDS, credentials, resolve)
        digest = found if isinstance(found, WherryError) else str(found.digest)
        seconds = _ERROR_SECONDS if isinstance(digest, WherryError) else _TAG_SECONDS
        self._tags.keep((reference.canonical, credentials.name), digest, seconds)
        return digest

    async def _threaded(
        self, registry: str, seconds: float, credentials: RegistryCredentials, work: Callable[[Session], T]
    ) -> T | WherryError:
        """Do some work in a thread; what stops it is a value, so that it can be kept."""
        if len(self._turns) > _KEPT:
            self._turns = {host: turn for host, turn in self._turns.items() if turn.locked()}
        turn = self._turns.setdefault(registry, asyncio.Semaphore(AT_ONE_REGISTRY))
        async with turn:
            until = time.monotonic() + seconds

            def limited() -> T:
                return work(credentials.open().derived(cancelled=lambda: time.monotonic() > until))

            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, limited)
            except WherryError as error:
                return error
            except Exception as error:  # noqa: BLE001 - hostile data must not take the answer away
                return Unforeseen(error)


class TooLate(WherryError):
    """There was no answer before the deadline."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what.removeprefix('docker://')}: no answer in time")


class Unforeseen(WherryError):
    """A bug of ours, met while an image was judged."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"internal error: {type(error).__name__}: {error}"[:300])


_SAID = {
    VerdictReason.NOT_FOUND: "",
    VerdictReason.THROTTLED: "the registry limits requests, so nothing is known about the image; try again in a moment",
    VerdictReason.DENIED: "the webhook may not read it, so nothing is known about the image",
    VerdictReason.UNREACHABLE: "the registry does not answer, so nothing is known about the image",
    VerdictReason.LATE: "the registry did not answer in time, so nothing is known about the image; try again",
    VerdictReason.INTERNAL: "the webhook failed, so nothing is known about the image",
    VerdictReason.UNKNOWN: "it cannot be judged",
}


def failure(error: WherryError, digest: str = "") -> JudgedReference:
    """Say what an error means for an image."""
    match error:
        case NotFound():
            reason = VerdictReason.NOT_FOUND
        case TooLate() | Cancelled():
            reason = VerdictReason.LATE
        case Unforeseen():
            reason = VerdictReason.INTERNAL
        case _ if error.exit_code in {69, 77} or isinstance(error, NotPermitted):
            reason = VerdictReason(cause_of(error))
        case _:
            reason = VerdictReason.UNKNOWN
    said = _SAID[reason]
    return JudgedReference(reason, f"{error.message}{f': {said}' if said else ''}", digest)
