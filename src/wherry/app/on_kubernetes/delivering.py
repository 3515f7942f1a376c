"""What happens to images of a cluster here: budgets, proofs, documents; then their names, files and signatures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

from wherry.app.budget_gate import Budgeted, BudgetsBroken, Gate
from wherry.app.build.attached import AttachedWords, ImageDocuments
from wherry.app.build.deliver import Delivery, deliver
from wherry.app.build.options import DockerfileBuild, GoBuild
from wherry.app.build.prove import Proof
from wherry.app.build.result import BuildResult, BuiltImage
from wherry.app.build.trusted import VerifiedModules
from wherry.app.on_kubernetes.ending import BuiltRun, names_of, patiently, pull_here
from wherry.app.session import Session
from wherry.errors import InvalidUsage
from wherry.oci.reference import Reference

if TYPE_CHECKING:
    from wherry.app.on_kubernetes.planning import PlannedImage
    from wherry.trust.keys import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalWork:
    """What a call asks for of its images, beside their names."""

    delivery: Delivery
    budgeted: tuple[Budgeted, ...] = ()
    proofs: tuple[Proof, ...] = ()
    attached: AttachedWords | None = None

    @property
    def needs_images(self) -> bool:
        """Whether the images have to come to this machine."""
        given = self.delivery.load or any(not output.push for output in self.delivery.outputs)
        return bool(given or self.proofs or self.attached or any(one.budgets for one in self.budgeted))


def local_work(wanted: GoBuild | DockerfileBuild, images: "Sequence[PlannedImage]") -> LocalWork:
    """Read what a call asks for."""
    calls = [one.call for one in images]
    return LocalWork(
        delivery=calls[0].delivery,
        budgeted=tuple(budget for call in calls for budget in call.budgeted) if wanted.budgets else (),
        proofs=tuple(proof for call in calls for proof in call.proofs),
        attached=calls[0].attached,
    )


def deliver_run(
    session: Session, built: BuiltRun, result: BuildResult, work: LocalWork, signer: "Signer | None"
) -> BuildResult:
    """Check images, change their names in registries, and sign them; the names come last.

    Raises:
        BudgetsBroken, NotProven: no name in a registry was changed.
        AccessDenied, RegistryError: a registry refuses.
    """
    if not work.needs_images:
        patiently(session, lambda: _sign(session, built.images, signer))  # before a name leads to them
        patiently(session, lambda: _push(session, built))
        deliver(session, replace(work.delivery, push=False, outputs=()), result.images, session.progress, _no_stdout)
        return result
    pull_here(session, built)
    result = _judged(session, result, work)
    documents = ImageDocuments(session, work.attached, VerifiedModules()) if work.attached else None
    if documents:
        result = replace(result, images=tuple(map(documents.in_index, result.images)))
    deliver(session, work.delivery, result.images, session.progress, _no_stdout)
    if documents:
        for image in result.images:
            session.progress.line(documents.refer(image, work.delivery))
    _sign(session, result.images, signer)
    return result


def _judged(session: Session, result: BuildResult, work: LocalWork) -> BuildResult:
    """Check budgets, and start images where that is asked for."""
    checks = tuple(Gate.of(session, work.budgeted).judge(result.images, session.progress)) if work.budgeted else ()
    result = replace(result, budgets=checks)
    broken = [one for one in checks if not one.ok]
    if broken:
        raise BudgetsBroken(broken, [name for image in result.images for name in image.names])
    if work.proofs:
        from wherry.app.build.prove import prove

        prove(session, work.proofs, result.images, session.progress)
    return result


def _push(session: Session, built: BuiltRun) -> None:
    """Give the images their names; those that are for other repositories go there by way of this machine."""
    from wherry.app.transfer import push_roots

    for image, source in zip(built.images, built.sources, strict=True):
        push_roots(session, source, names_of([image]), session.progress)


def _sign(session: Session, images: Sequence[BuiltImage], signer: "Signer | None") -> None:
    """Sign images where they were built, by their digests."""
    if signer is None:
        return
    from wherry.app.signing import sign

    for image in images:
        repository = Reference.parse(image.names[0]).name
        sign(session, f"docker://{repository}@{image.root.digest}", signer)
        session.progress.line(f"signed {repository}@{image.root.digest}")


def _no_stdout() -> IO[bytes]:
    raise InvalidUsage("an output goes to stdout", hint="add dest=PATH")
