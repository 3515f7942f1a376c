"""A build as the pipeline is asked for it, with what comes behind the pipeline: budgets and delivery."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from wherry.app.budget_gate import Budgeted
from wherry.app.build.deliver import Delivery
from wherry.errors import InvalidUsage
from wherry.layer.compress import Encoding
from wherry.pipeline import ImageRequest
from wherry.remote import Policy

if TYPE_CHECKING:
    from wherry.app.build.attached import AttachedWords
    from wherry.app.build.prove import Proof
    from wherry.sandbox.ids import Mapping as Ids
    from wherry.sandbox.spec import Container


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A whole build, of either front end."""

    request: ImageRequest
    why: str
    """Which front end was taken, and why, as progress shows it."""
    delivery: Delivery
    policy: Policy
    """How fresh bases have to be."""
    fallback: ImageRequest | None = None
    """The same in the encoding that every registry reads, where `--release` chose the encoding."""
    use_cache: bool = True
    encodings: frozenset[Encoding] = frozenset()
    """How the images' own layers are compressed."""
    strict_encoder: bool = False
    jobs: int = 0
    """Steps that run at a time; 0: as this machine has processors."""
    size_record: bool = False
    """Whether the owners of variables are kept, for `size`."""
    budgeted: tuple[Budgeted, ...] = ()
    """What each image may weigh."""
    proofs: "tuple[Proof, ...]" = ()
    """How each image is started before it is delivered; none: it is not."""
    modules: tuple[tuple[Path, str], ...] = ()
    """Folders whose modules are verified first, and as what."""
    attached: "AttachedWords | None" = None
    """What is attached to images after their delivery."""


def _no_stdin() -> IO[bytes]:
    raise InvalidUsage("-: stdin is closed", hint="give a file or a directory")


def _no_stdout() -> IO[bytes]:
    raise InvalidUsage("an output goes to stdout, which is closed", hint="add dest=PATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """What a build reads and writes that has no path; none of it where nothing is given."""

    stdin: Callable[[], IO[bytes]] = field(default=_no_stdin)
    stdout: Callable[[], IO[bytes]] = field(default=_no_stdout)
    shell: "Callable[[Ids], Callable[[Container, int], None]] | None" = None
    """Opens a shell where a step failed."""
