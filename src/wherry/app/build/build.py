"""The one build: what is asked for → the line of `pipeline.py` → budgets → proof → delivery."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wherry import pipeline
from wherry.app.budget_gate import BudgetsBroken, Gate
from wherry.app.build.call import Call, Streams
from wherry.app.build.deliver import deliver
from wherry.app.build.encoding import EVERYWHERE, check_encoders
from wherry.app.build.options import DockerfileBuild, GoBuild, check_conflicts
from wherry.app.build.progress import BuildProgress
from wherry.app.build.result import BuildResult
from wherry.app.published import OFFLINE
from wherry.app.session import Session
from wherry.layer.compress import Encoding
from wherry.registry.errors import NotTaken

if TYPE_CHECKING:
    from wherry.analysis.size import BudgetCheck
    from wherry.app.build.attached import ImageDocuments
    from wherry.app.build.sources import Source
    from wherry.app.build.trusted import VerifiedModules
    from wherry.base.deb.bases import DebBases

Listening = Callable[[Call], BuildProgress]
"""Makes what hears of a build, once it is known what is built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedBuild:
    """A build that is done, with all that it depends on."""

    result: BuildResult
    built: pipeline.LineResult
    call: Call
    gate: Gate
    source: "Source | None" = None
    """Of a Dockerfile."""
    images: frozenset[str] = frozenset()
    """Images that named contexts of a Dockerfile are."""
    started: float | None = None
    """Seconds until the image listened or answered, where it was proven."""
    warned: tuple[str, ...] = ()
    """Lines that were shown after it: a replay shows them too."""


class OverBudget(BudgetsBroken):
    """An image weighs more than it may; it is stored under its names."""

    def __init__(self, broken: "Sequence[BudgetCheck]", result: BuildResult) -> None:
        """Take the budgets that do not hold, and what was built."""
        super().__init__(broken, [name for image in result.images for name in image.names])
        self.result = result


def build(session: Session, wanted: GoBuild | DockerfileBuild, *, streams: Streams | None = None) -> BuildResult:
    """Build images, check their budgets, and deliver them.

    Args:
        session: where, and where progress is reported.
        wanted: what; everything it does not say is read from wherry.toml, or has a default.
        streams: what `-` stands for; None: it is refused.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: with what to write instead.
        OverBudget: everything is stored and named, and nothing was delivered.
        NotProven: the same, where an image does not start or answer.
        WherryError: whatever else stopped it; nothing was named.
    """
    return finish(session, wanted, streams or Streams(), lambda _: BuildProgress(session.progress)).result


def finish(
    session: Session, wanted: GoBuild | DockerfileBuild, streams: Streams, listening: Listening
) -> FinishedBuild:
    """Do the same, and give what it depends on too, so that it can be replayed."""
    check_conflicts(wanted)
    session.keep_cache_private()
    if isinstance(wanted, GoBuild):
        from wherry.app.build.go import go_call

        return carry_out(session, go_call(session, wanted), streams, listening)
    from wherry.app.build.dockerfile import dockerfile_call
    from wherry.app.build.sources import open_source
    from wherry.app.lint import refuse, warn_at_the_end

    with open_source(session, wanted.context, wanted.file, streams.stdin) as source, ExitStack() as stack:
        refuse(session, source, wanted)
        found = stack.enter_context(dockerfile_call(session, wanted, source, streams, session.progress))
        done = carry_out(session, found.call, streams, listening, source)
        warned = warn_at_the_end(session, source, wanted, getattr(done.built.trace, "copied_nothing", ()))
        return replace(done, source=source, images=frozenset(found.images.values()), warned=warned)


def carry_out(
    session: Session, call: Call, streams: Streams, listening: Listening, source: "Source | None" = None
) -> FinishedBuild:
    """Build what a call asks for; once more in another encoding, where a registry refuses the first.

    Args:
        session: where.
        call: what.
        streams: what `-` stands for.
        listening: makes what hears of it.
        source: of a Dockerfile, which its provenance names.

    Raises:
        OverBudget: everything is stored and named, and nothing was delivered.
    """
    gate = Gate.of(session, call.budgeted)
    done = _once(session, call, streams, gate, listening, source)
    if done is None:
        assert call.fallback is not None  # noqa: S101 - only then it is given up
        gzip = frozenset([Encoding(*EVERYWHERE)])
        again = replace(call, request=call.fallback, fallback=None, encodings=gzip)
        done = _once(session, again, streams, gate, listening, source)
        assert done is not None  # noqa: S101 - as above
    return done


def _once(
    session: Session, call: Call, streams: Streams, gate: Gate, listening: Listening, source: "Source | None"
) -> FinishedBuild | None:
    """Build, check and deliver; None where a registry refuses the encoding and there is another to try."""
    with _heard(listening(call)) as heard:
        call = _with_bases(session, call, heard)
        check_encoders(call.encodings, strict=call.strict_encoder, warn=heard.warn)
        verified = _verified(session, call, heard)
        built = pipeline.build(_line(session, call, heard), call.request)
        heard.ended(built.result)
        if call.size_record:
            from wherry.app.owners import keep_records

            size = keep_records(session, [image.reference for image in built.result.images])
            heard.progress.line(f"symbol data kept for `wherry size`: {size:,} bytes")
        checks = tuple(gate.judge(built.result.images, heard.progress))
        result = replace(built.result, budgets=checks)
        broken = [one for one in checks if not one.ok]
        if broken:
            raise OverBudget(broken, result)
        started = None
        if call.proofs:
            from wherry.app.build.prove import prove

            started = prove(session, call.proofs, result.images, heard.progress)
        documents = _documents(session, call, verified, built.trace, source) if call.attached else None
        if documents:
            result = replace(result, images=tuple(map(documents.in_index, result.images)))
        try:
            deliver(session, call.delivery, result.images, heard.progress, streams.stdout)
        except NotTaken as error:
            if call.fallback is None:
                raise
            heard.warn(f"{error.message}; encoded with {' '.join(map(str, EVERYWHERE))} instead of zstd")
            return None
        if documents:
            for image in result.images:
                heard.progress.line(documents.refer(image, call.delivery))
    return FinishedBuild(result=result, built=built, call=call, gate=gate, started=started)


def _documents(
    session: Session, call: Call, verified: "VerifiedModules", trace: object, source: "Source | None"
) -> "ImageDocuments":
    from wherry.app.build.attached import AttachedWords, ImageDocuments

    words = call.attached or AttachedWords()
    if source is None or not words.provenance:
        return ImageDocuments(session, words, verified)
    from wherry.app.build.dockerfile_work import Trace
    from wherry.app.build.materials import materials_of

    assert isinstance(trace, Trace)  # noqa: S101 - a Dockerfile's build has no other
    return ImageDocuments(session, words, verified, materials_of(session, trace, source))


def _verified(session: Session, call: Call, heard: BuildProgress) -> "VerifiedModules":
    from wherry.app.build.go_work import GoRequests
    from wherry.app.build.trusted import VerifiedModules, require_modules, vendored_sums

    if not call.modules:
        if not call.attached or not isinstance(call.request, GoRequests):
            return VerifiedModules()
        folders = [one.package.module for one in call.request.images if not one.package.release]
        return vendored_sums(session, folders, heard.progress)
    return require_modules(session, call.modules, heard.progress, offline=call.policy.offline)


def _with_bases(session: Session, call: Call, heard: BuildProgress) -> Call:
    from wherry.app.build.go_work import AUTO, GoRequests

    if not isinstance(call.request, GoRequests) or all(one.base != AUTO for one in call.request.images):
        return call
    from wherry.app.build.auto_base import with_chosen_bases

    return with_chosen_bases(session, call, _line(session, call, heard))


@contextmanager
def _heard(heard: BuildProgress) -> Iterator[BuildProgress]:
    try:
        yield heard
    finally:
        heard.close()


def _line(session: Session, call: Call, heard: BuildProgress) -> pipeline.BuildSetup:
    def debs() -> "DebBases":
        from wherry.app.debian import deb_bases

        return deb_bases(session, call.policy, heard.warn, lambda text: heard.detail("base", text))

    return pipeline.BuildSetup(
        store=session.store,
        cache=session.cache_folder,
        environment={**session.environment, **(OFFLINE if call.policy.offline else {})},
        runner=session.runner,
        registries=lambda: session.registries,
        debs=debs,
        policy=call.policy,
        clock=session.clock,
        use_cache=call.use_cache,
        listener=heard,
        cwd=session.cwd,
        **({"threads": call.jobs} if call.jobs else {}),
    )
