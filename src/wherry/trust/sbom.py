"""Formats of a software bill of materials, and the statement that names one of an image."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from wherry.digest import Digest
from wherry.trust import cyclonedx, spdx
from wherry.trust.bill import Bill
from wherry.trust.cyclonedx import cyclonedx_document
from wherry.trust.spdx import spdx_document
from wherry.trust.statement import Statement


class SbomFormat(StrEnum):
    """What an SBOM is written as."""

    SPDX = "spdx"
    CYCLONEDX = "cyclonedx"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A document about an image, as it is attached to one."""

    content: bytes
    media_type: str
    """Of the document itself."""
    predicate_type: str
    """Of the statement with the document as its predicate."""

    def statement(self, subject: Digest) -> bytes:
        """Write the in-toto statement that says it of an image."""
        return Statement.about(subject, self.predicate_type, self.content).encoded()


_WRITERS: dict[SbomFormat, tuple[Callable[[Bill, str], bytes], str, str]] = {
    SbomFormat.SPDX: (spdx_document, spdx.MEDIA_TYPE, spdx.PREDICATE),
    SbomFormat.CYCLONEDX: (cyclonedx_document, cyclonedx.MEDIA_TYPE, cyclonedx.PREDICATE),
}


def write_sbom(bill: Bill, kind: SbomFormat, tool: str) -> Attachment:
    """Write a bill in a format; the same bill and tool give the same bytes."""
    write, media_type, predicate = _WRITERS[kind]
    return Attachment(write(bill, tool), media_type, predicate)
