"""Blobs on their way out, to registries of all kinds."""

import pytest

from registries import token_server
from repositories import BLOB, DESCRIBED, OTHER, Keyring, Slept, repository
from small_images import put_image
from wherry.digest import Digest
from wherry.errors import DigestMismatch, SizeMismatch
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.registry.client import ATTEMPTS
from wherry.registry.errors import RegistryBusy, RegistryError
from wherry.settings.docker_config import Credential
from wherry.store.copy import BlobMove, Opener, Transfer
from wherry.store.memory import MemoryStore


class TestWrite:
    """Blobs on their way out."""

    @pytest.mark.parametrize("absolute", [True, False])
    def test_in_one_piece(self, registry, absolute):
        """POST and PUT, wherever the registry says."""
        registry.absolute = absolute
        del registry.blobs[DESCRIBED.digest]

        repository(registry).write(DESCRIBED, [BLOB[:1000], BLOB[1000:]])

        assert registry.blobs[DESCRIBED.digest] == BLOB
        assert registry.count("POST") == registry.count("PUT") == 1

    @pytest.mark.parametrize(("minimum", "largest", "chunks"), [(1 << 20, 1 << 40, 3), (0, 1 << 20, 3)])
    def test_in_chunks_where_the_registry_asks(self, registry, minimum, largest, chunks):
        """A minimal length is kept; a body that is too large for it is sent again in chunks."""
        registry.chunk_min, registry.largest_put = minimum, largest
        blob = b"x" * (40 << 20)
        described = Descriptor.of(media.OCI_LAYER, blob)

        repository(registry).upload(described, Opener(lambda offset: iter([blob[offset:]])))

        assert registry.blobs[described.digest] == blob
        assert registry.count("PATCH") == chunks

    @pytest.mark.parametrize("chunked", [True, False])
    def test_begins_again_where_a_connection_drops(self, registry, chunked):
        """A blob that can be read again is sent again."""
        registry.dropped, registry.chunk_min = 2, 1 if chunked else 0
        del registry.blobs[DESCRIBED.digest]

        repository(registry).upload(DESCRIBED, Opener(lambda offset: iter([BLOB[offset:]])))

        assert registry.blobs[DESCRIBED.digest] == BLOB

    @pytest.mark.parametrize("chunks", [[b"x" * len(BLOB)], [BLOB, b"more"], [BLOB[:-1]]])
    def test_other_bytes_are_never_stored(self, registry, chunks):
        """A source that lies leaves nothing; its last bytes are not even sent."""
        del registry.blobs[DESCRIBED.digest]

        with pytest.raises((DigestMismatch, SizeMismatch)):
            repository(registry).write(DESCRIBED, chunks)

        assert not registry.blobs

    def test_mounts(self, registry):
        """What another repository has is not sent."""
        mounted = repository(registry).upload(DESCRIBED, Opener(lambda _: iter([BLOB])), mount_from="c")

        assert mounted is BlobMove.MOUNTED
        assert registry.sent() == 0

    def test_a_refused_mount_is_an_upload(self, registry):
        """The session that the registry opens instead is used."""
        registry.mounts = False
        del registry.blobs[DESCRIBED.digest]

        assert repository(registry).upload(DESCRIBED, Opener(lambda _: iter([BLOB])), mount_from="c") is BlobMove.SENT
        assert registry.blobs[DESCRIBED.digest] == BLOB
        assert registry.count("POST") == 1

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_a_mount_that_is_forbidden(self, registry, status):
        """A repository that we may not read from is no reason to send nothing."""
        registry.mount_refusal = status
        del registry.blobs[DESCRIBED.digest]

        assert repository(registry).upload(DESCRIBED, Opener(lambda _: iter([BLOB])), mount_from="c") is BlobMove.SENT

    def test_a_refused_mount_of_what_is_there(self, registry):
        """A registry that mounts nothing is asked before anything is sent."""
        registry.mounts = False

        assert repository(registry).upload(DESCRIBED, Opener(lambda _: iter([BLOB])), mount_from="c") is BlobMove.THERE
        assert registry.sent() == 0

    def test_another_digest(self, registry):
        """A registry that calls a manifest by another name than we is not believed."""
        store = MemoryStore()
        registry.digest_said = str(Digest.of(b"other"))

        with pytest.raises(RegistryError):
            Transfer(source=store, sink=repository(registry)).move(put_image(store), ["v1"])

    @pytest.mark.parametrize("status", [405, 413, 416])
    def test_a_body_that_is_refused_whole(self, registry, status):
        """Whatever a registry says to a blob in one piece, it gets it in chunks then."""
        registry.largest_put, registry.put_refusal = 1000, status
        del registry.blobs[DESCRIBED.digest]

        repository(registry).upload(DESCRIBED, Opener(lambda offset: iter([BLOB[offset:]])))

        assert registry.blobs[DESCRIBED.digest] == BLOB
        assert registry.count("PATCH") == 1

    def test_half_a_chunk_goes_on_from_there(self, registry):
        """A registry that kept what came of a chunk gets the rest, and no byte twice."""
        registry.dropped, registry.keeps_dropped, registry.chunk_min = 1, True, 1
        del registry.blobs[DESCRIBED.digest]

        repository(registry).upload(DESCRIBED, Opener(lambda offset: iter([BLOB[offset:]])))

        assert registry.blobs[DESCRIBED.digest] == BLOB
        assert [asked.body for asked in registry.asked if asked.method == "PATCH"] == [len(BLOB), len(BLOB) // 2]

    @pytest.mark.parametrize("chunked", [True, False])
    def test_an_answer_that_is_lost(self, registry, chunked):
        """A blob that arrived although nobody said so is asked for, not sent again."""
        registry.lost, registry.chunk_min = 1, 1 if chunked else 0
        del registry.blobs[DESCRIBED.digest]

        assert repository(registry).upload(DESCRIBED, Opener(lambda offset: iter([BLOB[offset:]]))) is BlobMove.SENT

        assert registry.stored == [DESCRIBED.digest]
        assert registry.sent() == len(BLOB)

    def test_waits_before_a_body_is_sent_again(self, registry):
        """Retry-After counts for what can't be sent twice too."""
        registry.busy_bodies = [(503, {"Retry-After": "7"}), (429, {})]
        slept = Slept()

        repository(registry, slept=slept).upload(OTHER, Opener(lambda offset: iter([b"other"[offset:]])))

        assert registry.blobs[OTHER.digest] == b"other"
        assert slept.seconds[0] == 7
        assert 0.5 < slept.seconds[1] < 1.1

    def test_bodies_that_are_never_taken(self, registry):
        """After so many attempts it is the registry's no; nobody waits for nothing behind the last."""
        registry.busy_bodies = [(503, {})] * 50
        slept = Slept()

        with pytest.raises(RegistryBusy):
            repository(registry, slept=slept).upload(OTHER, Opener(lambda offset: iter([b"other"[offset:]])))

        assert registry.count("PUT") == ATTEMPTS
        assert len(slept.seconds) == ATTEMPTS - 1

    def test_beginnings_that_are_never_granted(self, registry):
        """A registry that is busy at an upload's start is asked so many times, and not the square of it."""
        registry.busy = [(404, {})] + [(503, {})] * 50

        with pytest.raises(RegistryBusy):
            repository(registry).upload(OTHER, Opener(lambda offset: iter([b"other"[offset:]])))

        assert registry.count("POST") == ATTEMPTS

    def test_a_log_in_that_ends_in_its_midst(self, registry):
        """A 401 to the blob itself is answered as any other: it is sent again with what is asked for."""
        with token_server(ann="word") as tokens:
            registry.busy_bodies = [(401, {"WWW-Authenticate": f'Bearer realm="{tokens.realm}",service="test"'})]

            repository(registry, Keyring(Credential("ann", "word"))).upload(OTHER, Opener(lambda _: iter([b"other"])))

        assert registry.blobs[OTHER.digest] == b"other"
        assert registry.asked[-1].headers["authorization"].startswith("Bearer ")
