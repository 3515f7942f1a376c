"""What is attached to an image in a registry: no writer's entry is lost, and no failure is taken for "nothing"."""

import json
import threading
from collections.abc import Iterator

import pytest

from cli_shell import Shell
from hostile_registry import hostile
from registries import CNCF, DEBIAN, distribution, with_referrers
from repositories import repository
from small_images import put_image
from wherry.digest import Digest
from wherry.errors import InvalidDocument, WherryError
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.oci.manifest import Index, Manifest
from wherry.oci.reference import Reference
from wherry.registry.errors import RegistryError
from wherry.registry.keyring import NoKeyring
from wherry.registry.network import Network
from wherry.registry.open import Registries
from wherry.registry.referrers import RegistryAttachments, fallback_tag, with_entry
from wherry.store.copy import Transfer
from wherry.store.memory import MemoryStore

WRITERS = 20


@pytest.fixture(scope="module", params=[DEBIAN, CNCF, "with-referrers"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Each registry: two without the referrers API, and one with."""
    if request.param == "with-referrers":
        with with_referrers() as found:
            yield found
    else:
        with distribution(tmp_path_factory.mktemp("registry"), program=request.param) as running:
            yield running.host


def place(host: str) -> RegistryAttachments:
    """Open a repository over connections of its own, as another process would."""
    registries = Registries(Network(), NoKeyring())
    return RegistryAttachments(registries.repository(Reference.parse(f"{host}/team/api:1")))


def pushed(host: str) -> Descriptor:
    """Push an image."""
    store = MemoryStore()
    root = put_image(store)
    Transfer(source=store, sink=place(host).repository).move(root, ["1"])
    return Descriptor(media_type=root.media_type, digest=root.digest, size=root.size)


def artifact(there: RegistryAttachments, subject: Descriptor, text: str) -> bytes:
    """Make the manifest of an attachment whose blobs are there."""
    return Manifest(
        schema_version=2,
        media_type=media.OCI_MANIFEST,
        artifact_type="application/vnd.example+json",
        config=there.add_blob(media.OCI_EMPTY, b"{}"),
        layers=(there.add_blob("application/vnd.example+json", text.encode()),),
        subject=subject,
        annotations={"said": text},
    ).encoded()


@pytest.mark.slow
def test_twenty_writers(host):
    """Twenty writers at once, each with connections of its own, and no entry is lost; nor by the tag of signatures."""
    subject = pushed(host)
    documents = [artifact(place(host), subject, f"writer {number}") for number in range(WRITERS)]
    failures: list[BaseException] = []
    start = threading.Barrier(WRITERS)

    def write(document: bytes) -> None:
        there = place(host)
        start.wait()
        try:
            there.attach(document)
        except BaseException as error:  # noqa: BLE001 - a thread's error fails the test
            failures.append(error)

    threads = [threading.Thread(target=write, args=(document,)) for document in documents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = place(host).referrers(subject.digest)
    assert failures == []
    assert {entry.digest for entry in found} == {Digest.of(document) for document in documents}
    tagged = place(host).tagged(fallback_tag(subject.digest))
    if tagged:
        entries = Index.parse(tagged[1], "it").manifests
        assert {entry.annotations["said"] for entry in entries} == {f"writer {number}" for number in range(WRITERS)}
        assert {entry.artifact_type for entry in entries} == {"application/vnd.example+json"}


@pytest.mark.slow
def test_nothing_is_attached_yet(host):
    """An image without attachments has none, and another one's are not its."""
    subject = pushed(host)
    there = place(host)
    there.attach(artifact(there, subject, "one"))

    assert there.referrers(Digest.of(b"another")) == ()
    assert there.attach(artifact(there, subject, "one")).digest in {
        one.digest for one in there.referrers(subject.digest)
    }


@pytest.mark.slow
def test_tree_shows_what_only_the_api_lists(tmp_path):
    """An attachment under no tag is found where the registry has the API."""
    shell = Shell(tmp_path / "home")
    with with_referrers() as host:
        subject, there = pushed(host), place(host)
        document = artifact(there, subject, "one")
        there.repository.put_attached(Descriptor.of(media.OCI_MANIFEST, document), document)
        lines = shell("tree", f"{host}/team/api:1")

    assert sum(line.lstrip("│├└─ ").startswith("attachment") for line in lines) == 1


@pytest.fixture
def lying() -> Iterator[tuple[RegistryAttachments, object]]:
    """A registry that a test sets as it wants."""
    with hostile() as running:
        yield RegistryAttachments(repository(running), sleep=lambda _: None), running


@pytest.mark.parametrize(
    "answer",
    [
        (500, b"{}"),
        (404, b"<html>not found</html>"),
        (404, b""),
        (404, b'{"errors":[{"code":"DENIED"}]}'),
        (403, b""),
        (200, b"<html>welcome</html>"),
    ],
)
def test_a_failed_read_is_never_empty(lying, answer):
    """Whatever else than the registry's own "there is none" comes, nothing is written, and the list stays."""
    there, registry = lying
    registry.fallback = answer

    with pytest.raises(WherryError):
        there.amend("sha256-" + "0" * 64, lambda _: b"{}")
    with pytest.raises(WherryError):
        there.referrers(Digest.of(b"x"))

    assert registry.count("PUT", "") == 0


def test_something_else_under_the_tag():
    """A manifest or any JSON under the fallback tag is not replaced."""
    entry = Descriptor.of(media.OCI_MANIFEST, b"{}")

    assert with_entry(None, entry) is not None
    assert with_entry(with_entry(None, entry), entry) is None
    for document in (b"{}", b"[]", b"", json.dumps({"schemaVersion": 2, "config": {}}).encode()):
        with pytest.raises(InvalidDocument):
            with_entry(document, entry)


def test_the_absent_is_absent(lying):
    """Only the spec's words mean that there is nothing."""
    there, _ = lying

    assert there.tagged("missing") is None
    assert issubclass(RegistryError, WherryError)
