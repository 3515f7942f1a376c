"""A repository keeps a store's promises, whatever the registry does."""

import pytest

from hostile_registry import hostile
from repositories import BLOB, DESCRIBED, Keyring, push_image, repository, whole
from small_images import put_index
from wherry.digest import Digest
from wherry.errors import BlobMissing, DigestMismatch, SizeMismatch, WherryError
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.registry.client import ATTEMPTS
from wherry.registry.errors import NotInRegistry, RegistryError
from wherry.settings.docker_config import Credential
from wherry.store.copy import Tally, Transfer
from wherry.store.memory import MemoryStore


class TestRead:
    """Blobs on their way in."""

    def test_whole_and_from_an_offset(self, registry):
        """A blob comes as it is, from any byte on."""
        place = repository(registry)

        assert whole(place.read(DESCRIBED)) == BLOB
        assert whole(place.read(DESCRIBED, 1000)) == BLOB[1000:]

    @pytest.mark.parametrize("ranges", [True, False])
    def test_goes_on_after_cuts(self, registry, ranges):
        """A cut download goes on where it was; without ranges what is known is passed over."""
        registry.cuts, registry.ranges = [300_000, 500_000, 700_001], ranges

        assert whole(repository(registry).read(DESCRIBED)) == BLOB
        assert registry.count("GET", "/blobs/") == (3 if ranges else 4)

    def test_gives_up_where_nothing_comes(self, registry):
        """So many cuts without a byte between them are an error, not a loop."""
        registry.cuts = [0] * 50

        with pytest.raises(RegistryError):
            whole(repository(registry).read(DESCRIBED))

        assert registry.count("GET", "/blobs/") == ATTEMPTS

    def test_an_end_that_comes_early(self, registry):
        """A body without a length that ends early is asked for again, and never taken for whole."""
        registry.silent_length, registry.cuts = True, [1000, 2000]

        assert whole(repository(registry).read(DESCRIBED)) == BLOB

    def test_other_bytes(self, registry):
        """What hashes to something else does not end normally."""
        registry.corrupt = True

        with pytest.raises(DigestMismatch) as caught:
            whole(repository(registry).read(DESCRIBED))

        assert caught.value.expected == DESCRIBED.digest

    @pytest.mark.parametrize("silent", [True, False])
    def test_never_more_than_promised(self, registry, silent):
        """A body that is longer than the descriptor says is refused, and not read to its end."""
        registry.surplus, registry.silent_length = 1 << 24, silent
        taken: list[bytes] = []

        with pytest.raises(SizeMismatch):
            taken.extend(repository(registry).read(DESCRIBED))

        assert sum(map(len, taken)) <= len(BLOB)

    @pytest.mark.parametrize("ranges", [True, False])
    def test_never_less_than_promised(self, registry, ranges):
        """A length that is too small is no end: the rest is asked for, and where none comes it is an error."""
        registry.short, registry.ranges = 1000, ranges

        with pytest.raises(SizeMismatch):
            whole(repository(registry).read(DESCRIBED))

        assert registry.count("GET", "/blobs/") <= 2 * ATTEMPTS

    def test_missing(self, registry):
        """A blob that is not there is missing, as in any store."""
        with pytest.raises(BlobMissing):
            whole(repository(registry).read(Descriptor.of(media.OCI_LAYER, b"other")))
        with pytest.raises(NotInRegistry):
            repository(registry).resolve(f"sha256:{'a' * 64}")

    def test_redirects_take_no_credentials_along(self, registry):
        """Another host gets the request and not who we are."""
        with hostile() as other:
            other.blobs = registry.blobs
            registry.elsewhere = f"http://{other.host}"
            registry.challenge, registry.authorization = 'Basic realm="x"', "Basic YW5uOndvcmQ="
            place = repository(registry, Keyring(Credential("ann", "word")))

            assert whole(place.read(DESCRIBED)) == BLOB

            assert all("authorization" not in asked.headers for asked in other.asked)
            assert registry.asked[-1].headers["authorization"] == "Basic YW5uOndvcmQ="

    def test_redirects_end(self, registry):
        """A circle of redirects is an error."""
        registry.loop = True

        with pytest.raises(RegistryError):
            whole(repository(registry).read(DESCRIBED))

    def test_connections_are_kept(self, registry):
        """Many questions and downloads need one connection."""
        place = repository(registry)

        for _ in range(5):
            assert place.has(DESCRIBED)
            assert whole(place.read(DESCRIBED)) == BLOB
            assert not place.has(Descriptor.of(media.OCI_LAYER, b"other"))

        assert registry.connections == 1

    def test_documents_are_read_once(self, registry):
        """A copy asks several times for a manifest; the registry is asked once."""
        root = push_image(registry)
        place = repository(registry)

        assert whole(place.read(root)) == whole(place.read(root))
        assert registry.count("GET", "/manifests/") == 1


class TestResolve:
    """Tags to digests."""

    @pytest.mark.parametrize("head", ["right", "refused", "bare"])
    def test_finds_a_tag(self, registry, head):
        """Where HEAD does not say it, the document does."""
        root = push_image(registry)
        registry.head = head

        assert repository(registry).resolve("v1") == root

    def test_a_lie_is_found_out(self, registry):
        """A digest that HEAD made up is not what the registry gives under it."""
        push_image(registry)
        registry.head = "lies"
        place = repository(registry)

        with pytest.raises(WherryError):
            whole(place.read(place.resolve("v1")))

    def test_another_document_under_a_digest(self, registry):
        """A document is the digest it was asked for by, or an error."""
        root = push_image(registry)
        registry.manifests[root.digest] = (media.OCI_MANIFEST, registry.manifests["v1"][1] + b" ")

        with pytest.raises(DigestMismatch):
            whole(repository(registry).read(root))

    def test_unknown(self, registry):
        """The error has the name and what to do."""
        with pytest.raises(NotInRegistry) as caught:
            repository(registry).resolve("v9")

        assert f"{registry.host}/a/b:v9" in caught.value.message
        assert "wherry tags" in caught.value.hint


class TestTags:
    """Lists of tags."""

    def test_pages(self, registry):
        """All pages are read."""
        registry.manifests = {f"v{number}": (media.OCI_MANIFEST, b"{}") for number in range(7)}
        registry.page = 3

        assert list(repository(registry).tags()) == [f"v{number}" for number in range(7)]

    def test_words_that_are_no_tags(self, registry):
        """What is printed can be pulled: no options, paths, colours or names that are too long."""
        bad = ["-rf", "a/b", "a b", "a:b", "", "\x1b[31m", "x" * 129, "caf\u00e9", "..", ".x"]
        registry.manifests = dict.fromkeys((*bad, "v1", "_x", "x" * 128), (media.OCI_MANIFEST, b"{}"))

        assert set(repository(registry).tags()) == {"v1", "_x", "x" * 128}

    @pytest.mark.parametrize("link", ['<http://elsewhere.invalid/v2/x>; rel="next"', '</v2/a/b/tags/list>; rel="next"'])
    def test_hostile_pages(self, registry, link):
        """A next page on another host isn't gone to, and one that leads back ends it."""
        registry.manifests = {f"v{number}": (media.OCI_MANIFEST, b"{}") for number in range(4)}
        registry.page, registry.next_link = 2, link

        assert list(repository(registry).tags()) == ["v0", "v1"]


class TestTransfer:
    """Whole images."""

    def test_children_first_and_nothing_twice(self, registry):
        """An index goes up once, and the second time nothing does."""
        store = MemoryStore()
        root = put_index(store)
        place = repository(registry)
        Transfer(source=store, sink=place).move(root, ["v1"])
        before = registry.sent()
        tally = Tally()

        Transfer(source=store, sink=place, tally=tally).move(root, ["v1", "v2"])

        assert registry.sent() == before
        assert tally.sent == 0
        assert registry.manifests["v2"] == registry.manifests["v1"]

    def test_a_run_that_was_cut_goes_on(self, registry):
        """What the first run brought is not sent again by the second."""
        store = MemoryStore()
        root = put_index(store)
        place = repository(registry)
        registry.busy = [(404, {})] * 5 + [(400, {})]
        with pytest.raises(WherryError):
            Transfer(source=store, sink=place, threads=1).move(root, ["v1"])
        assert "v1" not in registry.manifests
        registry.busy.clear()

        Transfer(source=store, sink=place).move(root, ["v1"])

        puts = [asked.path for asked in registry.asked if asked.method == "PUT" and "/blobs/" in asked.path]
        assert len({path.rpartition("digest=")[2] for path in puts}) == len(puts)
        assert registry.manifests["v1"][1] == store.blobs[root.digest]

    def test_pulls_what_is_missing(self, registry):
        """Down again, byte for byte."""
        root = push_image(registry)
        sink = MemoryStore()

        Transfer(source=repository(registry), sink=sink).move(root)
        Transfer(source=repository(registry), sink=sink).move(root)

        assert registry.count("GET", "/blobs/sha256") == 2
        assert all(Digest.of(blob) == digest for digest, blob in sink.blobs.items())

    @pytest.mark.parametrize("head", ["refused", "lies", "bare"])
    def test_registries_whose_head_is_odd(self, registry, head):
        """Where HEAD is of no use, all is sent, and all is there."""
        store = MemoryStore()
        registry.head = head
        root = put_index(store)

        Transfer(source=store, sink=repository(registry)).move(root, ["v1"])

        assert registry.manifests["v1"][1] == store.blobs[root.digest]
