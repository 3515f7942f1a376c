"""Answer a request: each image it adds is judged side by side, and the worst verdict decides."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wherry.app.admission.configuration import AdmissionMode
from wherry.app.admission.judge import ImageJudge, RegistryCredentials
from wherry.app.admission.state import AdmissionState
from wherry.app.admission.verdicts import COULD_NOT_ASK, ImageVerdict, JudgedReference, VerdictReason
from wherry.cluster.admission import AdmissionAnswer, AdmissionRequest, ImageUse
from wherry.errors import InvalidDocument, WherryError
from wherry.oci.reference import Reference

MARGIN = 1.0
"""Seconds before the API server hangs up that it is answered, at most."""
_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Reviewed:
    """An answer, and what it comes from."""

    answer: AdmissionAnswer
    verdicts: tuple[ImageVerdict, ...] = ()
    pinned: int = 0
    credentials: str = ""
    """Whose registries were asked with; empty: the server's own."""

    @property
    def decision(self) -> str:
        """What follows, in a word: `admit`, `warn`, `audit`, `refuse`, `pin`, or `none`: there was nothing to do."""
        if self.pinned:
            return "pin"
        if not self.verdicts:
            return "none" if self.answer.allowed else "refuse"
        if not self.answer.allowed:
            return "refuse"
        bad = [one for one in self.verdicts if not one.accepted]
        if not bad:
            return "admit"
        return "warn" if any(one.mode is AdmissionMode.WARN for one in bad) else "audit"


def deadline_of(timeout: float, now: float) -> float:
    """Say until when to answer an API server that waits for some seconds."""
    return now + timeout - min(MARGIN, timeout / 5)


class Reviewer:
    """Answers requests by one state."""

    def __init__(
        self, state: AdmissionState, judge: ImageJudge, credentials: Callable[[AdmissionRequest], RegistryCredentials]
    ) -> None:
        """Take what verdicts come from.

        Args:
            state: configuration and policies.
            judge: finds out about images.
            credentials: says who asks registries for the images of a request.
        """
        self._state = state
        self._judge = judge
        self._credentials = credentials

    async def validate(self, request: AdmissionRequest, deadline: float) -> Reviewed:
        """Judge every image that a request adds."""
        try:
            uses = request.images()
        except InvalidDocument as error:
            return Reviewed(AdmissionAnswer(allowed=False, message=error.message, code=400))
        if not uses:
            return Reviewed(AdmissionAnswer(allowed=True))
        credentials = self._credentials(request)
        judging = (self._verdict(use, request, credentials, deadline) for use in uses)
        verdicts = tuple(await asyncio.gather(*judging))
        return Reviewed(_answer(verdicts), verdicts, credentials=credentials.name)

    async def mutate(self, request: AdmissionRequest, deadline: float) -> Reviewed:
        """Pin tags: those of a pod that is created, and of containers that are added to one.

        Templates stay as they are, or what applied them would find a difference. A tag that cannot be resolved stays
        too: the validating hook says why.
        """
        adds = request.operation == "CREATE" or request.subresource == "ephemeralcontainers"
        if not (request.is_pod and adds):
            return Reviewed(AdmissionAnswer(allowed=True))
        try:
            uses = request.images()
        except InvalidDocument:
            return Reviewed(AdmissionAnswer(allowed=True))
        credentials = self._credentials(request)
        pinned = await asyncio.gather(*(self._pinned(use, request, credentials, deadline) for use in uses))
        images = {use.path: image for use, image in zip(uses, pinned, strict=True) if image}
        return Reviewed(AdmissionAnswer(allowed=True, images=images), pinned=len(images), credentials=credentials.name)

    async def image(self, text: str, namespace: str, deadline: float) -> ImageVerdict:
        """Judge an image that no object names."""
        request = AdmissionRequest(uid="", operation="CREATE", kind="", namespace=namespace, name="")
        use = ImageUse("", text, "image")
        return await self._verdict(use, request, self._credentials(request), deadline)

    async def _pinned(
        self, use: ImageUse, request: AdmissionRequest, credentials: RegistryCredentials, deadline: float
    ) -> str:
        """Give a reference with its digest; empty where it stays as it is."""
        try:
            reference = Reference.parse(use.text)
            if reference.digest or not self._pins(request, reference):
                return ""
            digest = await self._judge.digest_of(reference, credentials, deadline)
        except WherryError:
            return ""
        return f"{reference.name}:{reference.tag}@{digest}"

    def _pins(self, request: AdmissionRequest, reference: Reference) -> bool:
        """Report whether a tag becomes a digest: a registry that no rule names is not asked, and `audit` only looks."""
        settings, name = self._state.settings, f"{reference.registry}/{reference.repository}"
        rule = settings.rule_for(request.namespace, name)
        audited = rule is None or rule.mode is AdmissionMode.AUDIT
        return settings.pin and not audited and settings.exemption_for(request.namespace, name) is None

    async def _verdict(
        self, use: ImageUse, request: AdmissionRequest, credentials: RegistryCredentials, deadline: float
    ) -> ImageVerdict:
        started, settings = time.monotonic(), self._state.settings
        try:
            reference = Reference.parse(use.text)
        except WherryError as error:
            return ImageVerdict(use=use, reference="", judged=JudgedReference(VerdictReason.INVALID, error.message))
        name = f"{reference.registry}/{reference.repository}"
        if exemption := settings.exemption_for(request.namespace, name):
            judged = JudgedReference(VerdictReason.EXEMPT, f"exempt: {exemption.reason}", str(reference.digest or ""))
            return ImageVerdict(use=use, reference=reference.canonical, judged=judged, policy=str(exemption.selector))
        rule = settings.rule_for(request.namespace, name)
        if rule is None:
            judged = JudgedReference(VerdictReason.NO_POLICY, f"no policy is for {name} in this namespace")
            return ImageVerdict(use=use, reference=reference.canonical, judged=judged)
        judged = await self._judge.judge(reference, self._state.policies[rule.policy], credentials, deadline)
        left = not reference.digest and request.is_pod and self._pins(request, reference)
        if judged.reason is VerdictReason.ACCEPTED and left:
            whole = f"{reference.name}:{reference.tag}@{judged.digest}"
            detail = f"its tag can move to another image; write {whole}, or have the mutating webhook pin it"
            judged = JudgedReference(VerdictReason.NOT_PINNED, detail, judged.digest, judged.cached)
        return ImageVerdict(
            use=use,
            reference=reference.canonical,
            judged=judged,
            policy=rule.policy,
            mode=rule.mode,
            seconds=time.monotonic() - started,
        )


def _answer(verdicts: Sequence[ImageVerdict]) -> AdmissionAnswer:
    refused = [one for one in verdicts if not one.accepted and one.mode is AdmissionMode.ENFORCE]
    warned = [one for one in verdicts if not one.accepted and one.mode is AdmissionMode.WARN]
    exempt = [one for one in verdicts if one.judged.reason is VerdictReason.EXEMPT]
    annotations = {
        "verdicts": ", ".join(sorted({one.judged.reason.value for one in verdicts})),
        **({"exempt": "; ".join(sorted({one.judged.detail for one in exempt}))[:500]} if exempt else {}),
    }
    warnings = tuple(f"wherry: {one.message}" for one in warned)
    if not refused:
        return AdmissionAnswer(allowed=True, warnings=warnings, annotations=annotations)
    unknown = all(one.judged.reason in COULD_NOT_ASK for one in refused)
    return AdmissionAnswer(
        allowed=False,
        message="; ".join(dict.fromkeys(one.message for one in refused)),
        code=_UNAVAILABLE if unknown else 403,
        warnings=warnings,
        annotations=annotations,
    )
