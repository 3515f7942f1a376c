"""What an image's documents publish, judged on values."""

import json

import pytest

from wherry.analysis.leak_image import published, published_elsewhere
from wherry.digest import Digest
from wherry.oci.config import History, ImageConfig, RootFS, RuntimeConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.oci.manifest import Manifest

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


def judged(history: tuple[str, ...] = (), annotations: dict[str, str] | None = None, **runtime: object):
    """Judge an image of no layers; give rules with places."""
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=RuntimeConfig(**runtime),
        rootfs=RootFS(diff_ids=()),
        history=tuple(History(created_by=step) for step in history),
    )
    blob = Descriptor(media_type="application/json", digest=Digest("sha256:" + "0" * 64), size=2)
    image = Image.of(blob, Manifest.of(blob, (), annotations), config)
    found = list(published(image))
    assert TOKEN[4:] not in repr(found)
    return [(one.rule, one.place) for one in found]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"env": (f"A={TOKEN}",)}, "config, Env, A"),
        ({"labels": {"note": f"use {TOKEN}"}}, "config, Labels, note"),
        ({"annotations": {"note": TOKEN}}, "manifest, annotations, note"),
        ({"cmd": ("login", TOKEN)}, "config, Cmd"),
        ({"entrypoint": ("login", TOKEN)}, "config, Entrypoint"),
        ({"on_build": (f"RUN x {TOKEN}",)}, "config, OnBuild"),
        ({"history": ("FROM x", f"RUN curl -H 'x: {TOKEN}'")}, "config, history 2"),
        ({"labels": {"source": "https://me:s3cr3tw0rd@git.example.net/x"}}, "config, Labels, source"),
    ],
)
def test_tokens(given, place):
    """A known form is found wherever a document has it, and never shown."""
    assert judged(**given) == [("image-token", place)]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"env": ("DB_PASSWORD=correct-horse",)}, "config, Env"),
        ({"labels": {"api_key": "abc-def"}}, "config, Labels"),
        ({"history": ("RUN |2 VERSION=1 NPM_TOKEN=abcdef /bin/sh -c npm ci # buildkit",)}, "config, history 1"),
    ],
)
def test_names(given, place):
    """A value with a secret's name is a warning."""
    assert judged(**given) == [("image-secret", place)]


@pytest.mark.parametrize(
    "given",
    [
        {"env": ("PATH=/bin", "TOKEN_URL=https://id.example.com", "DB_PASSWORD_FILE=/run/secrets/db", "TOKEN=")},
        {"env": ("API_TOKEN=$OTHER", "REQUIRE_TOKEN=true")},
        {"history": ("RUN |1 VERSION=1 /bin/sh -c make token=x",)},
        {"labels": {"dev.wherry.recipe": "not a document"}},
    ],
)
def test_nothing_to_hide(given):
    """Addresses, files, switches, other variables, and words of a command are no secrets."""
    assert judged(**given) == []


def test_a_recipe_of_old():
    """A recipe of version 1 has the values of -X."""
    recipe = json.dumps({"version": 1, "go": {"flags": "-trimpath -ldflags=-s -X main.apiToken=abc -tags=x"}})

    assert judged(labels={"dev.wherry.recipe": recipe}) == [("x-secret", "recipe, -ldflags")]


@pytest.mark.parametrize(
    ("go", "found"),
    [
        ({"flags": "-trimpath '-ldflags=-s -X main.apiToken=a -w'"}, [("x-secret", "recipe, -ldflags")]),
        ({"flags": "-ldflags=-s", "withheld": "main.apiToken"}, [("x-secret", "recipe, withheld")]),
        ({"flags": "-ldflags=-s", "withheld": "main.mode"}, [("x-values", "recipe, withheld")]),
        ({"flags": "'-ldflags=-s -X main.version=1.2'"}, [("x-values", "recipe, -ldflags")]),
        ({"flags": "'-ldflags=-s"}, []),
    ],
)
def test_a_recipe_of_today(go, found):
    """Version 2 quotes flags, and names what it leaves out: the program has it all the same."""
    assert judged(labels={"dev.wherry.recipe": json.dumps({"version": 2, "go": go})}) == found


@pytest.mark.parametrize(
    ("document", "name", "found"),
    [
        ({"annotations": {"a": TOKEN}}, "index", [("image-token", "index, annotations.a")]),
        (
            {"manifests": [{"annotations": {"a": TOKEN}}]},
            "index",
            [("image-token", "index, manifests.0.annotations.a")],
        ),
        (
            {"layers": [{"annotations": {"a": TOKEN}}]},
            "manifest",
            [("image-token", "manifest, layers.0.annotations.a")],
        ),
        ({"container_config": {"Cmd": ["x", TOKEN]}}, "config", [("image-token", "config, container_config.Cmd.1")]),
        (
            {"container_config": {"Env": ["API_TOKEN=abc-def"]}},
            "config",
            [("image-secret", "config, container_config.Env.0")],
        ),
        ({"config": {"Env": [TOKEN]}, "history": [{"created_by": TOKEN}]}, "config", []),
    ],
)
def test_elsewhere(document, name, found):
    """Docker's old `container_config`, an index, annotations of blobs; not twice what is judged already."""
    findings = list(published_elsewhere(json.dumps(document).encode(), name))

    assert [(one.rule, one.place) for one in findings] == found
    assert TOKEN[4:] not in repr(findings)


def test_no_document_at_all():
    """Bytes that are no JSON, or nest without an end, are somebody else's to complain of."""
    for document in (b"", b"[" * 100_000, b"\xff"):
        assert list(published_elsewhere(document, "config")) == []
