"""The image-spec project's own cases: what its schema accepts, we accept; what it refuses, we refuse."""

import json

import pytest

from needs import corpus
from wherry.errors import InvalidDocument
from wherry.oci.config import ImageConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.document import decode
from wherry.oci.layout import Layout
from wherry.oci.manifest import Index, Manifest

READERS = {
    "descriptor": lambda document: decode(document, Descriptor, "descriptor"),
    "manifest": lambda document: Manifest.parse(document, "manifest"),
    "index": lambda document: Index.parse(document, "index"),
    "config": lambda document: ImageConfig.parse(document, "config"),
    "layout": lambda document: Layout.parse(document, "oci-layout"),
}


def accepts(kind: str, document: str) -> bool:
    """Tell whether we read it; any other error than ours ends the test."""
    try:
        READERS[kind](document.encode())
    except InvalidDocument:
        return False
    return True


def test_agrees_with_the_specs_cases():
    """Every case of the corpus gives the schema's verdict."""
    cases = [json.loads(line) for line in corpus("imagespec.jsonl").read_text().splitlines()]

    wrong = [case["id"] for case in cases if accepts(case["kind"], case["document"]) != case["valid"]]

    assert len(cases) >= 39
    assert wrong == []


DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("kind", "document", "valid"),
    [
        ("descriptor", {"mediaType": "a/b", "digest": DIGEST, "size": -1}, False),
        ("descriptor", {"mediaType": "a/b", "digest": DIGEST, "size": 1 << 63}, False),
        ("descriptor", {"mediaType": "a/b", "digest": DIGEST, "size": 1.5}, False),
        ("descriptor", {"mediaType": "a/b", "digest": DIGEST[:-1], "size": 1}, False),
        ("descriptor", {"mediaType": "a/b", "digest": DIGEST.upper(), "size": 1}, False),
        ("descriptor", {"mediaType": "a/b", "digest": "sha256:../../etc/passwd", "size": 1}, False),
        ("descriptor", {"mediaType": "a/b", "digest": "..:" + "a" * 64, "size": 1}, False),
        ("descriptor", {"mediaType": "a/b\n", "digest": DIGEST, "size": 1}, False),
        ("descriptor", {"mediaType": "a/b", "digest": DIGEST + "\n", "size": 1}, False),
        ("descriptor", {"mediaType": "a/b", "digest": DIGEST, "size": 1, "urls": ["value"]}, False),
        ("descriptor", {"mediaType": "a/b", "digest": DIGEST, "size": 1, "data": "YWI="}, True),
        ("descriptor", {"mediaType": "a/b", "digest": DIGEST, "size": 1, "data": "not base64"}, False),
        ("manifest", {"schemaVersion": 1, "config": {"mediaType": "a/b", "digest": DIGEST, "size": 1}}, False),
        ("manifest", {"schemaVersion": 2, "config": {"mediaType": "a/b", "digest": DIGEST, "size": 1}}, False),
        ("manifest", {"config": {"mediaType": "a/b", "digest": DIGEST, "size": 1}, "layers": []}, False),
        ("config", {"architecture": "amd64", "os": "linux", "rootfs": {"type": "other", "diff_ids": []}}, False),
        ("config", {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": None}}, True),
        ("config", {"architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}, False),
        ("layout", {"imageLayoutVersion": "2.0.0"}, False),
        ("layout", {}, False),
    ],
)
def test_is_as_strict_as_the_spec(kind: str, document: dict[str, object], *, valid: bool):
    """Cases beside the corpus: sizes, digests that would leave a folder, versions."""
    assert accepts(kind, json.dumps(document)) == valid


def test_reads_buildkits_null_layers():
    """An image without layers may say null, or an empty list; both are no layers."""
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 2}

    for layers in (None, []):
        document = {"schemaVersion": 2, "config": config, "layers": layers}
        assert Manifest.parse(json.dumps(document).encode(), "manifest").stack == ()
