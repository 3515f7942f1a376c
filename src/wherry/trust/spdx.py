"""A bill as SPDX 2.3, in JSON.

Source: SPDX specification 2.3, clauses 6 to 11 and the JSON schema of its repository.
"""

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from wherry.trust.bill import Bill, Ingredient, IngredientKind, Licence, identifier

MEDIA_TYPE = "application/spdx+json"
PREDICATE = "https://spdx.dev/Document"
_NONE = "NOASSERTION"
_PURPOSES: Mapping[IngredientKind, str] = {
    IngredientKind.IMAGE: "CONTAINER",
    IngredientKind.INDEX: "CONTAINER",
    IngredientKind.PROGRAM: "APPLICATION",
    IngredientKind.MODULE: "LIBRARY",
    IngredientKind.STANDARD_LIBRARY: "LIBRARY",
    IngredientKind.TOOLCHAIN: "APPLICATION",
    IngredientKind.PACKAGE: "LIBRARY",
    IngredientKind.DATA: "OTHER",
}
_Row = dict[str, object]


def spdx_document(bill: Bill, tool: str) -> bytes:
    """Write a bill; the same bill and tool give the same bytes.

    Args:
        bill: of an image or an index.
        tool: name and version of what writes, such as `wherry-1.0.0`.
    """
    everything = (bill.root, *bill.parts)
    files = {one.ref: one for one in bill.parts if one.kind is IngredientKind.FILE}
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{bill.root.name}@{bill.root.version}",
        "documentNamespace": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'spdx {tool} {bill.root.purl}')}",
        "creationInfo": {"created": bill.created, "creators": [f"Tool: {tool}"]},
        "packages": [_package(one, bill, tool, files) for one in everything if one.ref not in files],
        "files": [_file(one) for one in files.values()],
        "relationships": list(_relationships(bill)),
    }
    return msgspec.json.encode({key: value for key, value in document.items() if value})


def _ref(one: Ingredient | str) -> str:
    return f"SPDXRef-{identifier(one if isinstance(one, str) else one.ref)}"


def _package(one: Ingredient, bill: Bill, tool: str, files: Mapping[str, Ingredient]) -> _Row:
    row: _Row = {"SPDXID": _ref(one), "name": one.name}
    if one.version:
        row["versionInfo"] = one.version
    row |= {
        "primaryPackagePurpose": _PURPOSES[one.kind],
        "downloadLocation": _NONE,
        **_analyzed([files[ref].sha1 for ref in one.uses if ref in files]),
        "licenseConcluded": _NONE,
        "licenseDeclared": one.licence.expression or _NONE,
        "copyrightText": _NONE,
        "supplier": _NONE,
    }
    if one.licence.unknown:
        row["licenseComments"] = _unknown(one.licence)
    if one.sha256:
        row["checksums"] = [{"algorithm": "SHA256", "checksumValue": one.sha256}]
    if one.purl:
        row["externalRefs"] = [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": one.purl}
        ]
    facts = [f"{name}: {value}" for name, value in facts_of(one)]
    if facts:
        row["annotations"] = [
            {
                "annotationDate": bill.created,
                "annotationType": "OTHER",
                "annotator": f"Tool: {tool}",
                "comment": fact,
            }
            for fact in facts
        ]
    return row


def _analyzed(sums: Sequence[str]) -> _Row:
    """Say whether a package's files are listed, with the hash of their hashes (clause 7.9)."""
    if not sums:
        return {"filesAnalyzed": False}
    code = hashlib.sha1("".join(sorted(sums)).encode(), usedforsecurity=False).hexdigest()
    return {
        "filesAnalyzed": True,
        "packageVerificationCode": {"packageVerificationCodeValue": code},
        "licenseInfoFromFiles": [_NONE],
    }


def _file(one: Ingredient) -> _Row:
    return {
        "SPDXID": _ref(one),
        "fileName": f".{one.name}",
        "checksums": [
            {"algorithm": "SHA1", "checksumValue": one.sha1},
            {"algorithm": "SHA256", "checksumValue": one.sha256},
        ],
        "licenseConcluded": _NONE,
        "licenseInfoInFiles": [_NONE],
        "copyrightText": _NONE,
    }


def _relationships(bill: Bill) -> Iterator[_Row]:
    yield _relation("SPDXRef-DOCUMENT", "DESCRIBES", _ref(bill.root))
    kinds = {one.ref: one.kind for one in (bill.root, *bill.parts)}
    for one in (bill.root, *bill.parts):
        for other in one.uses:
            if kinds[other] is IngredientKind.TOOLCHAIN:
                yield _relation(_ref(other), "BUILD_TOOL_OF", _ref(one))
            elif kinds[other] is IngredientKind.IMAGE:
                yield _relation(_ref(other), "VARIANT_OF", _ref(one))
            else:
                linked = one.kind is IngredientKind.PROGRAM
                yield _relation(_ref(one), "DEPENDS_ON" if linked else "CONTAINS", _ref(other))


def _relation(one: str, kind: str, other: str) -> _Row:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def facts_of(one: Ingredient) -> Iterator[tuple[str, str]]:
    """Give what formats have no field for, by name: h1, linked packages, notes."""
    if one.h1:
        yield "go:h1", one.h1
    if one.packages:
        yield "go:packages", " ".join(one.packages)
    for name, value in one.notes:
        yield f"wherry:{name}", value
    if one.licence.unknown:
        yield "wherry:unknown-licence", _unknown(one.licence)


def _unknown(licence: Licence) -> str:
    return "text not recognised: " + ", ".join(licence.unknown)
