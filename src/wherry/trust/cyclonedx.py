"""A bill as CycloneDX 1.6, in JSON.

Source: CycloneDX 1.6 (ECMA-424), bom-1.6.schema.json.
"""

import uuid
from collections.abc import Mapping

import msgspec

from wherry.trust.bill import Bill, Ingredient, IngredientKind
from wherry.trust.spdx import facts_of

MEDIA_TYPE = "application/vnd.cyclonedx+json"
PREDICATE = "https://cyclonedx.org/bom"
_TYPES: Mapping[IngredientKind, str] = {
    IngredientKind.IMAGE: "container",
    IngredientKind.INDEX: "container",
    IngredientKind.PROGRAM: "application",
    IngredientKind.MODULE: "library",
    IngredientKind.STANDARD_LIBRARY: "library",
    IngredientKind.TOOLCHAIN: "application",
    IngredientKind.PACKAGE: "library",
    IngredientKind.DATA: "data",
    IngredientKind.FILE: "file",
}


def cyclonedx_document(bill: Bill, tool: str) -> bytes:
    """Write a bill; the same bill and tool give the same bytes; `tool` as `spdx_document` takes it."""
    name, _, version = tool.rpartition("-")
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'cyclonedx {tool} {bill.root.purl}')}",
        "version": 1,
        "metadata": {
            "timestamp": bill.created,
            "tools": {"components": [{"type": "application", "name": name, "version": version}]},
            "component": _component(bill.root),
        },
        "components": [_component(one) for one in bill.parts],
        "dependencies": [
            {"ref": one.ref, **({"dependsOn": list(one.uses)} if one.uses else {})}
            for one in (bill.root, *bill.parts)
            if one.kind is not IngredientKind.FILE
        ],
    }
    return msgspec.json.encode(document)


def _component(one: Ingredient) -> dict[str, object]:
    row: dict[str, object] = {"type": _TYPES[one.kind], "bom-ref": one.ref, "name": one.name}
    if one.version:
        row["version"] = one.version
    if one.kind is IngredientKind.TOOLCHAIN:
        row["scope"] = "excluded"
    if one.sha256:
        row["hashes"] = [{"alg": "SHA-256", "content": one.sha256}]
    if one.licence.expression:
        single = " " not in one.licence.expression
        key: dict[str, object] = {"license": {"id": one.licence.expression}}
        row["licenses"] = [key if single else {"expression": one.licence.expression}]
    if one.purl:
        row["purl"] = one.purl
    properties = [{"name": name, "value": value} for name, value in facts_of(one)]
    if properties:
        row["properties"] = properties
    return row
