"""What a step leaves as it was is not shipped again; a base's key is what is in it, not how it is spelled."""

import gzip
import io
import json
import shutil
import tarfile

import pytest

from dockerfile.theirs import build, context

pytestmark = pytest.mark.slow


def layers(person, name):
    """List what each layer above the base has."""
    layout = person.home / f"{name}.oci"
    assert build(person, person.home / name, "-o", f"type=oci,dest={layout},tar=false").returncode == 0
    blobs = layout / "blobs/sha256"

    def read(digest):
        return (blobs / digest.partition(":")[2]).read_bytes()

    manifest = json.loads(read(json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]))
    tars = [gzip.decompress(read(layer["digest"])) for layer in manifest["layers"][1:]]
    return [[entry.name for entry in tarfile.open(fileobj=io.BytesIO(tar))] for tar in tars]


def test_what_changes_nothing_ships_nothing(person):
    """COPY over the same file, chmod and chown to what is so already; not for --link, which knows nothing below."""
    context(
        person,
        "unchanged",
        """FROM busybox
COPY a /w/
COPY . /w/
COPY . /w/
RUN chmod 644 /w/a && chown 0:0 /w/a /etc/passwd && touch /etc/new && rm /etc/new
COPY --link a /w/
COPY --chmod=600 a /w/
""",
        a="a" * 100_000,
        b="b",
    )

    found = layers(person, "unchanged")

    assert found == [["w", "w/a"], ["w", "w/Dockerfile", "w/b"], [], [], ["w", "w/a"], ["w", "w/a"]]


def test_a_base_by_another_name(persons):
    """A tag of the store, a registry's spelling, a layout at another place: nothing after FROM runs again."""
    person = persons["root"]
    folder = context(person, "spelled", "ARG BASE=busybox\nFROM $BASE\nRUN echo built here\n")
    shutil.copytree(person.home / "busybox", person.home / "elsewhere", dirs_exist_ok=True)
    assert "| built here" in build(person, folder).stderr
    layout = "docker.io/other/name:7=oci-layout:///" + str(person.home / "elsewhere").lstrip("/")
    assert person.run("load", "elsewhere", "-t", "mirror.example/busybox:9").returncode == 0

    for name in ("docker.io/library/busybox:latest", "other/name:7", "mirror.example/busybox:9"):
        done = build(person, folder, "--build-arg", f"BASE={name}", "--build-context", layout, "--explain")

        assert done.returncode == 0, done.stderr
        assert "not built before" not in done.stderr
        assert "nothing changed" in done.stderr
