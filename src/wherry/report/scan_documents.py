"""What a scan found, in the forms that other programs read: SARIF, CycloneDX VEX, OpenVEX.

Without a time but the one that is given, and with identifiers made of the content, so that the same scan gives the same
bytes. Sources: OASIS SARIF 2.1.0; CycloneDX 1.6, "vulnerabilities"; OpenVEX 0.2.0; package-url, types golang, oci, deb.
"""

import hashlib
import time
import uuid
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from wherry.app.scan_result import Scan, ScannedSubject
from wherry.report.comment import in_message
from wherry.report.scan import remedy
from wherry.trust.known_holes import EvidenceLevel, Hole, HoleStatus

_SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_OPENVEX = "https://openvex.dev/ns/v0.2.0"
_SPACE: Final = uuid.UUID("7f0e3a0c-5d7b-5c2e-9d53-3a2f1c1b6f10")
"""Of names that identifiers are made of; any fixed value does."""
_LEVELS = {EvidenceLevel.SYMBOL: "error", EvidenceLevel.PACKAGE: "warning", EvidenceLevel.MODULE: "note"}
_STATES = {
    HoleStatus.AFFECTED: "exploitable",
    HoleStatus.NOT_AFFECTED: "not_affected",
    HoleStatus.INVESTIGATED: "in_triage",
}
_RATINGS = {"critical", "high", "medium", "low", "unknown"}
_CAVEAT = "by the function table of the program, which the linker writes for all code that it keeps"


def sarif(found: Scan, version: str, _epoch: int) -> dict[str, object]:
    """Give findings as a SARIF log of one run."""
    pairs = list(found.holes())
    rules = {hole.id: hole for _, hole in pairs}
    names = sorted(rules)
    return {
        "$schema": _SARIF,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "wherry scan",
                        "version": version,
                        "rules": [_sarif_rule(rules[name]) for name in names],
                    }
                },
                "results": [_sarif_result(subject, hole, names.index(hole.id)) for subject, hole in pairs],
                "invocations": [
                    {
                        "executionSuccessful": not found.unscanned,
                        "toolExecutionNotifications": [
                            {
                                "level": "error",
                                "message": {"text": in_message(f"{one.name} cannot be scanned: {one.reason}")},
                            }
                            for one in found.unscanned
                        ],
                    }
                ],
            }
        ],
    }


def _sarif_rule(hole: Hole) -> dict[str, object]:
    properties: dict[str, object] = {"tags": list(dict.fromkeys(["security", *hole.aliases]))}
    if hole.severity.score is not None:
        properties["security-severity"] = f"{hole.severity.score:.1f}"
    return {
        "id": hole.id,
        "shortDescription": {"text": hole.summary or hole.id},
        "helpUri": hole.url,
        "properties": properties,
    }


def _sarif_result(subject: ScannedSubject, hole: Hole, index: int) -> dict[str, object]:
    fixed = f"fixed in {hole.fixed}" if hole.fixed else "no fixed version"
    mark = hashlib.sha256(f"{hole.id} {hole.module} {subject.path}".encode()).hexdigest()[:32]
    return {
        "ruleId": hole.id,
        "ruleIndex": index,
        "level": _LEVELS[hole.level],
        "message": {"text": in_message(f"{hole.module} {hole.version} ({fixed}): {hole.evidence}. {remedy(hole)}")},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(subject.path.lstrip("/") or subject.name)},
                    "region": {"startLine": subject.lines.get(hole.module, 1) if subject.kind == "go.mod" else 1},
                },
                "logicalLocations": [{"fullyQualifiedName": name} for name in hole.symbols[:10]],
            }
        ],
        "partialFingerprints": {"wherryScan/v1": mark},
    }


def cyclonedx(found: Scan, version: str, epoch: int) -> dict[str, object]:
    """Give findings as a CycloneDX 1.6 document with VEX analyses."""
    components: dict[str, dict[str, object]] = {}
    vulnerabilities = []
    for subject, hole in found.holes():
        reference = _purl(hole)
        components[reference] = {
            "type": "library", "bom-ref": reference, "name": hole.module, "version": hole.version, "purl": reference,
        }  # fmt: skip
        vulnerabilities.append(_cyclonedx_hole(subject, hole, reference))
    name = found.name
    document: dict[str, object] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": _moment(epoch),
            "tools": {"components": [{"type": "application", "name": "wherry", "version": version}]},
            "component": {"type": "application", "bom-ref": f"scanned:{name}", "name": name},
        },
        "components": [components[key] for key in sorted(components)],
        "vulnerabilities": vulnerabilities,
    }
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(_SPACE, repr(document))}"
    return document


def _cyclonedx_hole(subject: ScannedSubject, hole: Hole, reference: str) -> dict[str, object]:
    analysis: dict[str, object] = {"state": _STATES[hole.status], "detail": hole.evidence}
    if hole.status is HoleStatus.NOT_AFFECTED:
        analysis["justification"] = "code_not_present"
    if hole.fixed:
        analysis["response"] = ["update"]
    level = hole.severity.level if hole.severity.level in _RATINGS else "unknown"
    rating: dict[str, object] = {"severity": level}
    if hole.severity.score is not None:
        rating |= {"score": hole.severity.score, "method": "CVSSv31", "vector": hole.severity.vector}
    return {
        "bom-ref": f"{hole.id} {reference} {subject.path} {subject.platform}".strip(),
        "id": hole.id,
        "source": {"name": hole.id.partition("-")[0], "url": hole.url},
        "references": [{"id": one, "source": {"name": one.partition("-")[0]}} for one in hole.aliases],
        "ratings": [rating],
        "description": hole.summary,
        "recommendation": remedy(hole),
        "analysis": analysis,
        "affects": [{"ref": reference}],
        "properties": [
            {"name": "wherry:level", "value": hole.level.value},
            {"name": "wherry:subject", "value": subject.name},
            *({"name": "wherry:symbol", "value": name} for name in hole.symbols),
        ],
    }


def openvex(found: Scan, version: str, epoch: int) -> dict[str, object]:
    """Give findings as an OpenVEX document: what each image or program is affected by, and why not."""
    statements = [statement for subject in found.subjects for statement in _statements(subject, epoch)]
    document: dict[str, object] = {
        "@context": _OPENVEX,
        "author": "wherry scan",
        "timestamp": _moment(epoch),
        "version": 1,
        "tooling": f"wherry {version}, database {found.database.digest}",
        "statements": statements,
    }
    return {"@context": _OPENVEX, "@id": f"urn:uuid:{uuid.uuid5(_SPACE, repr(document))}", **document}


def _statements(subject: ScannedSubject, epoch: int) -> Iterator[dict[str, object]]:
    for hole in subject.result.holes:
        statement: dict[str, object] = {
            "vulnerability": {"@id": hole.url, "name": hole.id, "aliases": list(hole.aliases)},
            "timestamp": _moment(epoch),
            "products": [{**_product(subject), "subcomponents": [{"@id": _purl(hole)}]}],
            "status": hole.status.value,
        }
        if hole.status is HoleStatus.NOT_AFFECTED:
            statement["justification"] = hole.justification
            statement["impact_statement"] = f"{hole.evidence}; {_CAVEAT}"
        elif hole.status is HoleStatus.AFFECTED:
            statement["action_statement"] = remedy(hole)
        if hole.status is not HoleStatus.NOT_AFFECTED:
            statement["status_notes"] = hole.evidence
        yield statement


def _product(subject: ScannedSubject) -> dict[str, object]:
    if subject.image:
        name, _, digest = subject.image.partition("@")
        place = name.rpartition("/")[2].partition(":")[0].lower()
        made = f"pkg:oci/{quote(place)}@{quote(digest, safe='')}"
        where = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
        if "/" in where and not where.startswith((".", "/")):
            made += f"?repository_url={quote(where, safe='/')}"
        return {"@id": made, "identifiers": {"purl": made}, "hashes": {"sha-256": digest.partition(":")[2]}}
    module, _, version = subject.module.partition("@")
    if module:
        made = f"pkg:golang/{quote(module.lower(), safe='/')}" + (f"@{quote(version)}" if version else "")
        return {"@id": made, "identifiers": {"purl": made}}
    return {"@id": f"urn:uuid:{uuid.uuid5(_SPACE, subject.name)}"}


def _purl(hole: Hole) -> str:
    """Give the package URL of what has a hole."""
    if hole.ecosystem != "Go":
        return f"pkg:deb/debian/{quote(hole.module)}@{quote(hole.version, safe='')}"
    name = "stdlib" if hole.module in {"stdlib", "toolchain"} else quote(hole.module.lower(), safe="/")
    return f"pkg:golang/{name}@{quote(hole.version.removeprefix('go'), safe='')}"


def _moment(epoch: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
