"""What `wherry analyze` says of an image, as a document: what `--json` prints, reports show and gates read.

All sizes are bytes. Each list of files has the biggest and what the others are together, so that sums reconcile:
`unpacked` is `visible` and `waste.bytes`, the waste of all causes is `waste.bytes`, and what files, whiteouts, headers
and the ends of layers take of the pulled bytes is `stored`. `docs/reference/analyze.md` describes the schema; a change
of what is there raises its number.
"""

from typing import Annotated

import msgspec

from wherry.analysis.image.dive import DiveFigures

SCHEMA = "wherry.analyze/1"

Bytes = Annotated[int, msgspec.Meta(ge=0)]


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """What all parts of the document have in common."""


class ImageFile(_Document, frozen=True, kw_only=True):
    """A file of a layer."""

    path: str
    layer: int
    """1 is the base's first."""
    bytes: Bytes
    """Unpacked."""
    pulled: Bytes
    """Its share of the layer as stored, so of what is pulled."""


class HiddenFile(ImageFile, frozen=True, kw_only=True):
    """A file that no container sees."""

    cause: str
    """`overwritten`, `copied` (the same content, only mode, owner or time changed), `deleted`, `opaque`, `replaced`."""
    hidden_by: int
    """The layer that hides it."""


class Edit(_Document, frozen=True, kw_only=True):
    """What to do about it."""

    remedy: str
    before: str = ""
    """The instruction, or the two; empty where no edit of it is known."""
    after: str = ""


class WasteGroup(_Document, frozen=True, kw_only=True):
    """Files of one layer that another one hides in one way."""

    cause: str
    layer: int
    hidden_by: int
    base: bool | None = None
    """Whether the layer is of the image's base; None: the image does not tell."""
    files: int
    bytes: Bytes
    pulled: Bytes
    paths: tuple[str, ...]
    """Some, the biggest first."""
    edit: Edit


class Waste(_Document, frozen=True, kw_only=True):
    """What is shipped and cannot be seen, and what is there twice."""

    bytes: Bytes
    """Unpacked bytes of files that no container can see; one that a hard link keeps is visible."""
    pulled: Bytes
    base_bytes: Bytes
    """Of `bytes`: of layers of the base."""
    duplicate_bytes: Bytes
    """Second and further copies of visible content, by digest; hard links are one file."""
    duplicate_pulled: Bytes
    causes: dict[str, int]
    """`bytes` by cause."""
    groups: tuple[WasteGroup, ...]
    files: tuple[HiddenFile, ...]
    more_files: int
    """Hidden files that are not listed, and their bytes."""
    more_bytes: Bytes


class Duplicate(_Document, frozen=True, kw_only=True):
    """A content that is there more than once."""

    digest: str
    bytes: Bytes
    """Of one copy."""
    copies: int
    wasted: Bytes
    pulled: Bytes
    """Of all copies but the first."""
    files: tuple[ImageFile, ...]
    """Some, the one that would stay first."""
    edit: Edit


class UnneededGroup(_Document, frozen=True, kw_only=True):
    """Visible files of one kind in one layer."""

    kind: str
    layer: int
    base: bool | None = None
    files: int
    bytes: Bytes
    pulled: Bytes
    paths: tuple[str, ...]
    folders: tuple[str, ...]
    edit: Edit


class UnneededKind(_Document, frozen=True, kw_only=True):
    """Visible files that a container rarely needs."""

    kind: str
    meaning: str
    files: int
    bytes: Bytes
    pulled: Bytes
    layers: tuple[UnneededGroup, ...]


class AnalyzedLayer(_Document, frozen=True, kw_only=True):
    """A layer of an image."""

    number: int
    digest: str
    diff_id: str
    media_type: str
    created_by: str
    instruction: str
    """`created_by` as a Dockerfile has it."""
    base: bool | None = None
    stored: Bytes
    """As it is pulled."""
    unpacked: Bytes
    """Of its files, holes of sparse ones counted."""
    tar: Bytes
    """After decompression."""
    overhead: Bytes
    """Of `tar`: headers, padding, whiteouts, the end."""
    files: int
    """Regular files; hard links are not counted."""
    added: int
    changed: int
    removed: int
    opaque: int
    hidden: Bytes
    """Of `unpacked`: what no container sees."""


class BuilderFile(_Document, frozen=True, kw_only=True):
    """A visible file with content that the builder's image has too."""

    path: str
    layer: int
    bytes: Bytes
    builder_path: str
    """Where the builder has it."""


class BuilderFiles(_Document, frozen=True, kw_only=True):
    """What of a builder's image is in this one, by content."""

    image: str
    """The builder."""
    count: int
    bytes: Bytes
    files: tuple[BuilderFile, ...]
    """The biggest."""


class AnalyzedPlatform(_Document, frozen=True, kw_only=True):
    """One image of one platform."""

    platform: str
    digest: str
    stored: Bytes
    unpacked: Bytes
    visible: Bytes
    """Of files that a container sees; a hard-linked one counts once."""
    files: int
    efficiency: float
    """`visible` without the second copies, over `unpacked`; 1.0 is no waste."""
    base_from: str
    """How the base is known: `base` (named by the caller), `recipe`, `history`; empty: it is not."""
    waste: Waste
    duplicates: tuple[Duplicate, ...]
    more_duplicates: int
    unneeded: tuple[UnneededKind, ...]
    dive: DiveFigures
    dive_differs: tuple[str, ...]
    """Why dive's figures are others than ours."""
    layers: tuple[AnalyzedLayer, ...]
    builder: BuilderFiles | None = None
    """With `--builder`: what of that image is in this one."""


class RuleCheck(_Document, frozen=True, kw_only=True):
    """A limit compared with what was measured."""

    rule: str
    limit: str
    actual: str
    ok: bool
    platform: str = ""


class AnalyzedFinding(_Document, frozen=True, kw_only=True):
    """A judgement, as `wherry.finding` has it."""

    rule: str
    severity: str
    place: str
    message: str
    evidence: tuple[str, ...] = ()
    remedy: str = ""


class AnalyzeDocument(_Document, frozen=True, kw_only=True):
    """The whole answer."""

    schema: str = SCHEMA
    name: str
    digest: str
    platforms: tuple[AnalyzedPlatform, ...]
    findings: tuple[AnalyzedFinding, ...] = ()
    checks: tuple[RuleCheck, ...] = ()
