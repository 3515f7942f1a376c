"""`wherry tree` shows an image's documents and layers, and what is attached to them."""

import json
from pathlib import Path

import pytest

from cli_shell import Shell
from small_images import put_image, put_index
from wherry.app.tree import Role, tree
from wherry.cli.world import World
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Index
from wherry.store.contract import write_document


@pytest.fixture
def shell(tmp_path) -> Shell:
    """A command line with an empty store."""
    return Shell(tmp_path)


def world_of(shell: Shell) -> World:
    """Give the session of a shell."""
    return World(None, None, shell.environment, shell.root)


def test_an_index(shell):
    """Each platform has its config and its layer; sizes are those of the descriptors."""
    store = shell.store
    with store.writing():
        root = put_index(store)
        store.tag("api:dev", root)

    found = tree(world_of(shell), "api:dev")

    assert (found.role, found.digest, found.size) == (Role.INDEX, root.digest, root.size)
    assert [node.label for node in found.children] == ["linux/amd64", "linux/arm64"]
    assert [[leaf.role for leaf in node.children] for node in found.children] == [[Role.CONFIG, Role.LAYER]] * 2
    printed = shell("tree", "api:dev")
    assert len(printed) == 7
    assert printed[0].startswith(f"index {root.digest}")
    assert printed[1].startswith("├── manifest sha256:")
    assert printed[-1].startswith("    └── layer sha256:")
    said = json.loads("\n".join(shell("tree", "api:dev", "--json")))
    assert said["version"] == 1
    assert said["root"]["children"][1]["children"][1]["role"] == "layer"


def test_attachments(shell):
    """BuildKit's attestation stands below the manifest it names, and so does what a cosign tag names."""
    store = shell.store
    with store.writing():
        image, statement, signature = (put_image(store, text) for text in ("app", "statement", "signature"))
        marked = Descriptor(
            media_type=statement.media_type,
            digest=statement.digest,
            size=statement.size,
            annotations={
                "vnd.docker.reference.digest": image.digest,
                "vnd.docker.reference.type": "attestation-manifest",
            },
        )
        root = write_document(store, media.OCI_INDEX, Index.of((image, marked)).encoded())
        store.tag("localhost:5000/api:dev", root)
        store.tag(f"localhost:5000/api:{root.digest.replace(':', '-')}.sig", signature)

    found = tree(world_of(shell), "store:localhost:5000/api:dev")

    manifest, signed = found.children
    assert [node.role for node in manifest.children] == [Role.CONFIG, Role.LAYER, Role.ATTACHMENT]
    assert (manifest.children[-1].label, manifest.children[-1].digest) == ("attestation-manifest", statement.digest)
    assert (signed.role, signed.label, signed.digest) == (Role.ATTACHMENT, "sig", signature.digest)


def test_what_is_not_here(shell):
    """A manifest that a store does not have is shown, and its children are unknown."""
    store = shell.store
    with store.writing():
        gone = put_image(store)
        store.tag("half", write_document(store, media.OCI_INDEX, Index.of((gone,)).encoded()))
    Path(store.path_of(gone.digest)).unlink()

    (node,) = tree(world_of(shell), "half").children

    assert (node.here, node.children) == (False, ())
    assert "(missing)" in shell("tree", "half")[1]


def test_labels_obey_no_terminal(shell):
    """An attachment's kind is what another tool wrote; control characters are not printed."""
    store = shell.store
    with store.writing():
        image, other = put_image(store), put_image(store, "other")
        marked = Descriptor(
            media_type=other.media_type,
            digest=other.digest,
            size=other.size,
            annotations={"vnd.docker.reference.digest": image.digest, "vnd.docker.reference.type": "\x1b[31mred"},
        )
        store.tag("x", write_document(store, media.OCI_INDEX, Index.of((image, marked)).encoded()))

    assert "\x1b" not in "".join(shell("tree", "x"))


def test_no_such_image(shell):
    """The error is that of all commands."""
    shell("tree", "nothing-here", code=66)
