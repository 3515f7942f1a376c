"""Images judged by a policy: the evidence that it asks for is gathered, and nothing else."""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wherry.app.policy_file import PolicyCase, read_cases, read_policy
from wherry.app.session import Session
from wherry.errors import WherryError
from wherry.trust.evidence import HoleEvidence, ImageEvidence, PlatformEvidence, SignatureEvidence
from wherry.trust.policy import ConditionKind, ImagePolicy, PolicyCondition, PolicyVerdict, judge_image

if TYPE_CHECKING:
    from wherry.digest import Digest
    from wherry.oci.image import Image
    from wherry.store.contract import BlobSource
    from wherry.trust.signature import SignerNames, WantedSigner

_SHELLS = re.compile(rb"(?:.*/)?(?:sh|bash|dash|ash|zsh|ksh|mksh|fish|csh|tcsh|busybox|toybox)")
_MOVED = "the name resolved to another image in the meantime"
_TOO_MANY = 429
_AT_ONCE = 4
"""Questions about the signatures of one image that are asked at the same time."""
_PREFIX = "org.opencontainers.image."
_FILES = frozenset({ConditionKind.NO_SHELL, ConditionKind.UNPACKED})


@dataclass(frozen=True, slots=True)
class JudgedImage:
    """An image, what is known of it, and what a policy says."""

    name: str
    evidence: ImageEvidence
    verdict: PolicyVerdict


@dataclass(frozen=True, slots=True)
class JudgedCase:
    """A case of a policy's tests, and what came of it."""

    case: PolicyCase
    verdict: PolicyVerdict

    @property
    def ok(self) -> bool:
        """Whether the policy says what the case expects."""
        failed = {rule.rule.name for rule in self.verdict.rules if not rule.holds}
        return self.verdict.allowed is self.case.allowed and set(self.case.fails) <= failed


def check_policy(
    session: Session,
    name: str,
    policy: str,
    *,
    databases: Sequence[str] = (),
    offline: bool = False,
    source: str | None = None,
) -> JudgedImage:
    """Judge an image by a policy file.

    Args:
        session: where.
        name: an image as `inspect` takes it; a tag is resolved once, and all is about that digest.
        policy: the file; keys in it are relative to its directory.
        databases: OSV data, as for `scan`.
        offline: whether no database may be fetched.
        source: a directory with the source, for `reproduced`.

    Raises:
        NotFound: there is no such image or policy.
        InvalidSettings: the policy is wrong; its line is named.
        WherryError: a key cannot be read, or a layer is damaged.
    """
    file = session.cwd / policy
    asked = read_policy(file, policy)
    evidence = gather(session, name, asked, file.parent, databases=databases, offline=offline, source=source)
    return JudgedImage(name, evidence, judge_image(asked, evidence))


def check_cases(session: Session, policy: str, cases: str) -> tuple[JudgedCase, ...]:
    """Test a policy against cases.

    Raises:
        NotFound: a file does not exist.
        InvalidSettings: one is wrong; its line is named.
    """
    asked = read_policy(session.cwd / policy, policy)
    known = {rule.name for rule in asked.rules}
    judged = []
    for case in read_cases(session.cwd / cases, cases):
        for rule in case.fails:
            if rule not in known:
                from wherry.errors import InvalidSettings

                raise InvalidSettings(
                    f"{cases}: line {case.line}: {policy} has no rule {rule!r}",
                    hint=f"it has {', '.join(sorted(known))}",
                )
        judged.append(JudgedCase(case, judge_image(asked, case.evidence)))
    return tuple(judged)


def gather(  # noqa: PLR0913 - what evidence is taken from, each by its name
    session: Session,
    name: str,
    policy: ImagePolicy,
    folder: Path,
    *,
    databases: Sequence[str] = (),
    offline: bool = False,
    source: str | None = None,
    signers: "Mapping[SignerNames, WantedSigner] | None" = None,
) -> ImageEvidence:
    """Gather what a policy asks of an image.

    Args:
        session: where.
        name: the image.
        policy: what is asked.
        folder: where relative paths of keys start.
        databases: OSV data, as for `scan`.
        offline: whether no database may be fetched.
        source: a directory with the source, for `reproduced`.
        signers: the signers of the policy, where they are read already.
    """
    from wherry.app.subjects import images_named

    conditions = policy.conditions()
    kinds = {one.kind for one in conditions}
    located, images = images_named(session, name, None)
    pinned = _pinned(name, str(located.root.digest))
    files = bool(kinds & _FILES)
    evidence = ImageEvidence(
        image=name,
        digest=str(located.root.digest),
        now=session.clock(),
        platforms=tuple(_platform(session, located.source, image, files=files) for image in images),
        signatures=tuple(_signatures(session, pinned, located.root.digest, conditions, folder, signers or {})),
    )
    if ConditionKind.HOLES in kinds:
        evidence = _with_holes(session, pinned, evidence, databases, offline=offline)
    if ConditionKind.REPRODUCED in kinds:
        evidence = _with_rebuild(session, pinned, evidence, source)
    return evidence


def gather_signatures(
    session: Session, name: str, policy: ImagePolicy, folder: Path, signers: "Mapping[SignerNames, WantedSigner]"
) -> ImageEvidence:
    """Gather signatures and attestations alone, for a policy that asks nothing else: no image is read.

    Args:
        session: where.
        name: the image, by its digest.
        policy: what is asked.
        folder: where relative paths of keys start.
        signers: the signers of the policy.
    """
    from wherry.digest import Digest

    digest = Digest.parse(name.rpartition("@")[2])
    return ImageEvidence(
        image=name,
        digest=str(digest),
        now=session.clock(),
        signatures=tuple(_signatures(session, name, digest, policy.conditions(), folder, signers)),
    )


def cause_of(error: WherryError) -> str:
    """Say in a word for machines why a place would not say."""
    from wherry.registry.errors import AccessDenied, RegistryBusy

    if isinstance(error, RegistryBusy):
        return "throttled" if error.status == _TOO_MANY else "unreachable"
    return "denied" if isinstance(error, AccessDenied) else "unreachable"


def _pinned(name: str, digest: str) -> str:
    """Name an image by its digest where that can be, so that a tag that moves changes nothing on the way."""
    from wherry.oci.reference import names_registry

    plain = name.removeprefix("docker://")
    if name.startswith("docker://") or (names_registry(plain) and not plain.startswith((".", "/"))):
        head, _, last = plain.partition("@")[0].rpartition("/")
        return f"docker://{head}/{last.partition(':')[0]}@{digest}"
    return name


def _signatures(
    session: Session,
    name: str,
    digest: "Digest",
    conditions: Sequence[PolicyCondition],
    folder: Path,
    signers: "Mapping[SignerNames, WantedSigner]",
) -> Iterator[SignatureEvidence]:
    """Ask all questions about signatures side by side; they wait for the same registry."""
    asked = dict.fromkeys(
        (one.signers, one.type) for one in conditions if one.kind in {ConditionKind.SIGNED_BY, ConditionKind.ATTESTED}
    )

    def answer(question: "tuple[SignerNames, str]") -> SignatureEvidence:
        return _signature(session, name, digest, question, folder, signers)

    if len(asked) < 2:  # noqa: PLR2004 - there is nothing to do side by side
        yield from map(answer, asked)
        return
    with ThreadPoolExecutor(min(len(asked), _AT_ONCE)) as pool:
        yield from pool.map(answer, asked)


def _signature(
    session: Session,
    name: str,
    digest: "Digest",
    question: "tuple[SignerNames, str]",
    folder: Path,
    signers: "Mapping[SignerNames, WantedSigner]",
) -> SignatureEvidence:
    from wherry.app.extras import trusting
    from wherry.app.signers import wanted_signer
    from wherry.app.verifying import verify, verify_attestation

    names, kind = question
    with trusting("a signature that the policy asks for"):
        wanted = signers.get(names) or wanted_signer(session, names, folder)
        (found,) = verify_attestation(session, name, wanted, kind=kind) if kind else verify(session, name, wanted)
    answer, detail, signer = found.answer.value, "", found.good[0].signer if found.good else ""
    cause = ""
    if found.digest != digest and answer != "could-not-ask":
        answer, detail, signer = "could-not-ask", _MOVED, ""
    elif not signer:
        problems = [one.message for one in found.failures] + [one.problem for one in found.signatures]
        detail = next(filter(None, problems), "")
        if answer == "could-not-ask":
            causes = [cause_of(one) for one in found.failures]
            cause = "throttled" if "throttled" in causes else next(iter(causes), "unreachable")
    return SignatureEvidence(
        keys=names.keys,
        identity=names.identity,
        identity_regexp=names.pattern,
        issuer=names.issuer,
        trusted_root=names.trusted_root,
        type=kind,
        answer=answer,
        signer=signer,
        detail=detail,
        cause=cause,
    )


def _platform(session: Session, source: "BlobSource", image: "Image", *, files: bool) -> PlatformEvidence:
    labels = {**(image.config.runtime.labels or {}), **(image.manifest.annotations or {})}
    base, digest = _base(image, labels)
    found = PlatformEvidence(
        platform=str(image.platform),
        digest=str(image.descriptor.digest),
        user=image.config.runtime.user,
        uid=_uid(session, source, image),
        pulled=image.manifest.config.size + sum(blob.size for blob in image.manifest.stack),
        created=_created(image),
        base=base,
        base_digest=digest,
        source=labels.get(f"{_PREFIX}source", ""),
        revision=labels.get(f"{_PREFIX}revision", ""),
    )
    if not files:
        return found
    from wherry.analysis.image.union import Union
    from wherry.analysis.image.waste import Sizes
    from wherry.app.layer_indexes import LayerIndexes

    union = Union(LayerIndexes.of(session).of_image(source, image))
    sizes = Sizes.of(union)
    shells = sorted(path.decode(errors="replace") for path, _, _ in union.walk() if _SHELLS.fullmatch(path))
    unpacked = sum(sizes.unpacked(number) for number in range(len(image.manifest.stack)))
    return msgspec.structs.replace(found, shells=tuple(f"/{path.lstrip('/')}" for path in shells), unpacked=unpacked)


def _base(image: "Image", labels: dict[str, str]) -> tuple[str, str]:
    from wherry.app.images import recipe_of

    named, digest = labels.get(f"{_PREFIX}base.name", ""), labels.get(f"{_PREFIX}base.digest", "")
    if named:
        return named, digest
    base = recipe_of(image).get("base")
    if isinstance(base, dict):
        return str(base.get("name", "")), str(base.get("digest", ""))
    return (base, "") if isinstance(base, str) else ("", "")


def _uid(session: Session, source: "BlobSource", image: "Image") -> int | None:
    user = image.config.runtime.user.partition(":")[0]
    if user in {"", "root"}:
        return 0
    if user.isascii() and user.isdigit():
        return int(user[:18])
    from wherry.app.scan_images import contents_of

    accounts = contents_of(session, source, image).files.get("etc/passwd", b"").decode(errors="replace")
    for line in accounts.splitlines():
        match line.split(":"):
            case [name, _, number, *_] if name == user and number.isascii() and number.isdigit():
                return int(number[:18])
    return None


def _created(image: "Image") -> float | None:
    with suppress(ValueError):
        return datetime.fromisoformat(image.config.created or "").timestamp()
    return None


def _with_holes(
    session: Session, name: str, evidence: ImageEvidence, databases: Sequence[str], *, offline: bool
) -> ImageEvidence:
    from wherry.app.scan import scan
    from wherry.app.vulnerability_data import NoDatabase

    try:
        found = scan(session, name, databases=databases, offline=offline)
    except NoDatabase as error:
        return msgspec.structs.replace(evidence, unknown={**evidence.unknown, ConditionKind.HOLES.value: error.message})
    judged = {one.digest for one in evidence.platforms}
    if any(one.image.rpartition("@")[2] not in judged for one in found.subjects):
        return msgspec.structs.replace(evidence, unknown={**evidence.unknown, ConditionKind.HOLES.value: _MOVED})
    holes = tuple(
        HoleEvidence(
            id=hole.id,
            level=hole.level.value,
            severity=hole.severity.level,
            reviewed=hole.reviewed,
            subject=subject.name,
        )
        for subject, hole in found.holes()
    )
    unscanned = tuple(f"{one.name}: {one.reason}" for one in found.unscanned)
    return msgspec.structs.replace(evidence, holes=holes, unscanned=unscanned)


def _with_rebuild(session: Session, name: str, evidence: ImageEvidence, source: str | None) -> ImageEvidence:
    """Rebuild the image; what stops that is a reason why it is not known whether it can be reproduced."""
    from wherry.app.rebuild import RebuildOptions, rebuild

    try:
        rebuilt = rebuild(session, name, RebuildOptions(source=source))
    except WherryError as error:
        why = {**evidence.unknown, ConditionKind.REPRODUCED.value: error.message}
        return msgspec.structs.replace(evidence, unknown=why)
    detail = f"compared with {rebuilt.after}"
    return msgspec.structs.replace(evidence, reproduced=rebuilt.identical, reproduced_detail=detail)
