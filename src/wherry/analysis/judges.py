"""What is questionable in an image of one platform: tables of judges, each a function that gives findings.

To add a judge: write the function, and add it to `JUDGES` (it reads the documents) or to `CONTENT_JUDGES` (it reads
what `wherry analyze` knows of layers and files).

Source: OCI image-spec v1.1.1, config.md (User).
"""

from collections.abc import Callable, Iterator

from wherry.analysis.image.document import AnalyzedPlatform, Edit, UnneededGroup, WasteGroup
from wherry.analysis.image.kinds import Unneeded
from wherry.finding import Finding, Severity
from wherry.oci.image import Image


def judge(image: Image) -> Iterator[Finding]:
    """Give the findings of all judges, in the order of the table."""
    for one in JUDGES:
        yield from one(image)


def root_user(image: Image) -> Iterator[Finding]:
    """Find an image that has programs and runs them as root."""
    runtime = image.config.runtime
    user = runtime.user.partition(":")[0]
    if (runtime.entrypoint or runtime.cmd) and user in {"", "0", "root"}:
        yield Finding(
            rule="root-user",
            severity=Severity.WARNING,
            place=str(image.platform),
            message="the program runs as root",
            evidence=(f"config: User is {runtime.user!r}" if runtime.user else "config: no User",),
            remedy="set USER in the Dockerfile, or build with --user 65532:65532",
        )


def judge_content(platform: AnalyzedPlatform) -> Iterator[Finding]:
    """Give the findings of all judges of layers and files, in the order of the table."""
    for one in CONTENT_JUDGES:
        yield from one(platform)


def hidden_files(platform: AnalyzedPlatform) -> Iterator[Finding]:
    """Find files that are shipped and that no container sees, a finding for each layer and cause."""
    for group in platform.waste.groups:
        if not group.bytes:
            continue
        by = "the same layer" if group.layer == group.hidden_by else f"layer {group.hidden_by}"
        yield Finding(
            rule=f"{group.cause}-files",
            severity=_severity(group.bytes, platform.unpacked, base=group.base),
            place=f"{platform.platform} layer {group.layer}",
            message=f"{_files(group.files)}, {_bytes(group)}: {_CAUSES[group.cause]} by {by}",
            evidence=group.paths,
            remedy=_with_edit(group.edit),
        )


def duplicate_files(platform: AnalyzedPlatform) -> Iterator[Finding]:
    """Find content that a container sees more than once."""
    waste = platform.waste
    if not waste.duplicate_bytes:
        return
    first = platform.duplicates[0]
    yield Finding(
        rule="duplicate-files",
        severity=_severity(waste.duplicate_bytes, platform.unpacked, base=None),
        place=platform.platform,
        message=f"{waste.duplicate_bytes} bytes ({waste.duplicate_pulled} pulled) are further copies of visible files",
        evidence=tuple(
            f"{one.wasted} bytes: {', '.join(file.path for file in one.files)}" for one in platform.duplicates[:_MOST]
        ),
        remedy=first.edit.remedy,
    )


def unneeded_files(platform: AnalyzedPlatform) -> Iterator[Finding]:
    """Find visible files that a container rarely needs, a finding for each kind and layer."""
    for kind in platform.unneeded:
        for group in kind.layers:
            if group.bytes:
                yield Finding(
                    rule=kind.kind,
                    severity=_severity(group.bytes, platform.unpacked, base=group.base, sure=kind.kind in _SURE),
                    place=f"{platform.platform} layer {group.layer}",
                    message=f"{kind.meaning}: {_files(group.files)}, {_bytes(group)}",
                    evidence=group.paths,
                    remedy=_with_edit(group.edit),
                )


def _severity(size: int, whole: int, *, base: bool | None, sure: bool = True) -> Severity:
    """Warn of what an image's own instructions could do without, if it is worth it."""
    large = size >= _LARGE or size * 100 >= whole
    return Severity.WARNING if large and sure and not base else Severity.NOTE


def _with_edit(edit: Edit) -> str:
    return f"{edit.remedy}: {edit.after}" if edit.after else edit.remedy


def _bytes(group: WasteGroup | UnneededGroup) -> str:
    return f"{group.bytes} bytes ({group.pulled} pulled)"


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


_LARGE = 1_000_000
_MOST = 5
_CAUSES = {
    "overwritten": "written again",
    "copied": "copied whole to change only mode, owner or time",
    "deleted": "deleted",
    "opaque": "hidden by an opaque folder",
    "replaced": "hidden since its folder was replaced",
}
_SURE = frozenset({"package-cache", "build-cache", "builder-leftovers", "vcs", "debug-symbols", "temporary"})
"""Kinds that no program reads; of the others it depends on the program."""

JUDGES: tuple[Callable[[Image], Iterator[Finding]], ...] = (root_user,)
CONTENT_JUDGES: tuple[Callable[[AnalyzedPlatform], Iterator[Finding]], ...] = (
    hidden_files,
    duplicate_files,
    unneeded_files,
)
CONTENT_RULES = (*(f"{cause}-files" for cause in _CAUSES), "duplicate-files", *Unneeded)
"""The rules of `CONTENT_JUDGES`."""
