"""A build of Go modules, as the pipeline is asked for it: the caller's options over wherry.toml and .ko.yaml."""

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from wherry.app.budget_gate import Budgeted, counted_from
from wherry.app.build.attached import attached_of
from wherry.app.build.base_choice import BaseChooser
from wherry.app.build.call import Call
from wherry.app.build.deliver import Delivery, check_names, check_platforms
from wherry.app.build.encoding import EVERYWHERE, encoding_of_level, policy_of
from wherry.app.build.go_request import request_of
from wherry.app.build.go_work import GoRequest, GoRequests
from wherry.app.build.ko import DATA, KoNaming, naming_of
from wherry.app.build.options import GoBuild
from wherry.app.build.programs import ChosenProgram, chosen_of, door_of
from wherry.app.build.prove import Proof, trace_options
from wherry.app.extras import need_explain
from wherry.app.session import Session
from wherry.errors import InvalidUsage
from wherry.oci.reference import Reference, names_registry
from wherry.pipeline import ImageRequest
from wherry.platform import Platform
from wherry.settings.budgets import Budgets
from wherry.settings.outputs import encoding_of

_DEBUGGABLE = "all=-N -l"
"""Compiler flags for a debugger, as ko and Delve have them."""


def go_call(session: Session, wanted: GoBuild) -> Call:
    """Read what a build asks for, and the files that say more of it.

    Raises:
        InvalidUsage, InvalidSettings, NotFound: with what to write instead.
    """
    if wanted.size_record:
        need_explain("--size-record")
    naming = naming_of(session, wanted)
    above = wanted.settings()
    if naming:
        above = replace(above, tags=None)
    if wanted.disable_optimizations:
        gcflags = f"{above.gcflags or ''} {_DEBUGGABLE}".strip()
        above = replace(above, gcflags=gcflags, strip=bool(above.strip))
    compression, level = encoding_of(wanted.outputs, above.compression, above.compression_level)
    above = replace(above, compression=compression, compression_level=level)
    chosen = tuple(chosen_of(session, wanted.packages, offline=wanted.offline, profile=wanted.profile))
    if len(chosen) > 1 and (above.tags or above.debug_info or wanted.iidfile):
        raise InvalidUsage(
            f"-t, --debug-info and --iidfile need a single image, but {len(chosen)} are built",
            hint="build them one by one, or set them in wherry.toml",
        )
    platforms = _here() if above.platforms is None else above.platforms
    bases = BaseChooser(session, offline=wanted.offline)
    make = partial(
        request_of, bases, above, platforms,
        stamp=not wanted.no_vcs, outputs=wanted.outputs, settled=wanted.settled,
    )  # fmt: skip
    requests = tuple(make(one) for one in chosen)
    if wanted.allow_secret_ldflags:
        requests = tuple(replace(one, flags=replace(one.flags, secrets_allowed=True)) for one in requests)
    delivery = Delivery.of(session.cwd, wanted)
    if naming:
        requests, delivery = _named(requests, chosen, naming, wanted, delivery)
    for request in requests:
        check_platforms(request.platforms, wanted.outputs)
    check_names(session, [name for request in requests for name in request.names], delivery, insecure=wanted.insecure)
    if wanted.insecure:
        remote = [request.base for request in requests if names_registry(request.base)]
        session.insecure |= {Reference.parse(base.removeprefix("docker://")).registry for base in remote}
    pushed = delivery.push or any(output.push for output in wanted.outputs)
    budgeted = (_budgeted(*pair, budgets=wanted.budgets) for pair in zip(chosen, requests, strict=True))
    pairs = zip(chosen, requests, strict=True)
    proofs = tuple(Proof(one.prove, one.folder, bool(made.profile)) for one, made in pairs) if wanted.prove else ()
    for proof in proofs:
        trace_options(proof)  # so that what is malformed is refused before anything is compiled
    releases = any(one.release for one in requests)
    return Call(
        request=GoRequests(requests),
        fallback=GoRequests(tuple(map(_readable_everywhere, requests))) if releases else None,
        why=door_of(session, chosen[0], asked=wanted.go) + _ko_words(requests, naming, wanted),
        delivery=delivery,
        use_cache=not wanted.no_cache,
        encodings=frozenset(encoding_of_level(request.algorithm, request.level) for request in requests),
        strict_encoder=wanted.strict_encoder,
        size_record=wanted.size_record,
        jobs=wanted.jobs,
        policy=replace(
            policy_of(session, wanted, session.cwd, chosen[0].package.folder),
            lazy=pushed and not delivery.load and not proofs and all(output.push for output in wanted.outputs),
        ),
        budgeted=counted_from(budgeted, wanted.against, session.cwd),
        proofs=proofs,
        modules=tuple((one.package.module, one.modules) for one in chosen if one.modules and not one.package.release),
        attached=attached_of(wanted),
    )


def joined_calls(calls: Iterable[Call]) -> Call:
    """Join builds of single images to one; each program is built once, as the last call asks for it."""
    found = list(calls)
    kept = {one.images[0].package.import_path: (one, call) for call in found for one in [_requests(call.request)]}
    fallbacks = [_requests(call.fallback or call.request) for _, call in kept.values()]
    some = any(call.fallback for _, call in kept.values())
    return replace(
        found[0],
        request=GoRequests(tuple(image for one, _ in kept.values() for image in one.images)),
        fallback=GoRequests(tuple(image for one in fallbacks for image in one.images)) if some else None,
        encodings=frozenset().union(*(call.encodings for call in found)),
        budgeted=tuple(budget for _, call in kept.values() for budget in call.budgeted),
        proofs=tuple(proof for _, call in kept.values() for proof in call.proofs),
        modules=tuple(one for _, call in kept.values() for one in call.modules),
    )


def _requests(request: ImageRequest) -> GoRequests:
    assert isinstance(request, GoRequests)  # noqa: S101 - calls of this module have no other
    return request


def _readable_everywhere(request: GoRequest) -> GoRequest:
    return replace(request, algorithm=EVERYWHERE[0], level=EVERYWHERE[1]) if request.release else request


def _budgeted(chosen: ChosenProgram, request: GoRequest, *, budgets: bool) -> Budgeted:
    return Budgeted(chosen.service or request.names[0], chosen.budgets if budgets else Budgets(), chosen.folder)


def _named(
    requests: tuple[GoRequest, ...],
    chosen: tuple[ChosenProgram, ...],
    naming: KoNaming,
    wanted: GoBuild,
    delivery: Delivery,
) -> tuple[tuple[GoRequest, ...], Delivery]:
    """Give images the names that a repository makes; without --repo, those that wherry.toml names keep theirs."""
    said = wanted.repo or wanted.local
    named = tuple(
        request if one.options.tags and not said else replace(request, names=naming.names(request.package.import_path))
        for request, one in zip(requests, chosen, strict=True)
    )
    if named == requests:
        return requests, delivery
    return named, replace(delivery, load=True) if naming.local else replace(delivery, push=wanted.push is not False)


def _ko_words(requests: tuple[GoRequest, ...], naming: KoNaming | None, wanted: GoBuild) -> str:
    """Say what was done for ko's sake without an option that asks for it."""
    words = ""
    if naming and not (wanted.repo or wanted.local):
        words += f"; KO_DOCKER_REPO is set: {'loaded' if naming.local else 'pushed'} as ko does, -t NAME only stores it"
    if any(file.path.startswith(f"{DATA}/") for request in requests for file in request.added):
        words += f"; kodata/ is copied to {DATA}"
    return words


def _here() -> tuple[Platform, ...]:
    return (Platform.of("linux", os.uname().machine),)
