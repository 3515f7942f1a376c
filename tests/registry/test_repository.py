"""A repository keeps a store's promises, whatever the registry does."""

import pytest

from hostile_registry import Hostile, hostile
from small_images import put_image, put_index
from wherry.digest import Digest
from wherry.errors import BlobMissing, DigestMismatch, SizeMismatch, WherryError
from wherry.oci import media
from wherry.oci.descriptor import Descriptor
from wherry.registry.client import ATTEMPTS, Client
from wherry.registry.errors import AccessDenied, NotInRegistry, RegistryBusy, RegistryError
from wherry.registry.keyring import NoKeyring
from wherry.registry.network import Connections, Network
from wherry.registry.repository import Repository
from wherry.registry.transfer import Tally, Transfer
from wherry.registry.upload import How, Opener
from wherry.settings.docker_config import Credential
from wherry.store.memory import MemoryStore

BLOB = bytes(range(256)) * 4096
DESCRIBED = Descriptor.of(media.OCI_LAYER, BLOB)
OTHER = Descriptor.of(media.OCI_LAYER, b"other")


@pytest.fixture
def registry():
    """One that behaves until a test tells it otherwise."""
    with hostile() as running:
        running.blobs[DESCRIBED.digest] = BLOB
        yield running


class Keyring:
    """Knows one name and remembers who asked for it."""

    def __init__(self, credential: Credential) -> None:
        self.known = credential

    def credential(self, registry: str, repository: str) -> Credential | None:
        """Give it."""
        return self.known


class Slept:
    """A clock's `sleep` that only counts."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        """Count."""
        self.seconds.append(seconds)


def repository(registry: Hostile, keyring=None, slept=None, name="a/b") -> Repository:
    """Open a repository of it; waits are counted, not waited."""
    client = Client(registry.host, Connections(Network()), keyring or NoKeyring(), sleep=slept or Slept())
    return Repository(client, name)


def whole(chunks) -> bytes:
    """Join them."""
    return b"".join(chunks)


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

    def test_missing(self, registry):
        """A blob that is not there is missing, as in any store."""
        with pytest.raises(BlobMissing):
            whole(repository(registry).read(Descriptor.of(media.OCI_LAYER, b"other")))

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

    @pytest.mark.parametrize("link", ['<http://elsewhere.invalid/v2/x>; rel="next"', '</v2/a/b/tags/list>; rel="next"'])
    def test_hostile_pages(self, registry, link):
        """A next page on another host isn't gone to, and one that leads back ends it."""
        registry.manifests = {f"v{number}": (media.OCI_MANIFEST, b"{}") for number in range(4)}
        registry.page, registry.next_link = 2, link

        assert list(repository(registry).tags()) == ["v0", "v1"]


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

        assert mounted is How.MOUNTED
        assert registry.sent() == 0

    def test_a_refused_mount_is_an_upload(self, registry):
        """The session that the registry opens instead is used."""
        registry.mounts = False
        del registry.blobs[DESCRIBED.digest]

        assert repository(registry).upload(DESCRIBED, Opener(lambda _: iter([BLOB])), mount_from="c") is How.SENT
        assert registry.blobs[DESCRIBED.digest] == BLOB
        assert registry.count("POST") == 1

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_a_mount_that_is_forbidden(self, registry, status):
        """A repository that we may not read from is no reason to send nothing."""
        registry.mount_refusal = status
        del registry.blobs[DESCRIBED.digest]

        assert repository(registry).upload(DESCRIBED, Opener(lambda _: iter([BLOB])), mount_from="c") is How.SENT

    def test_a_refused_mount_of_what_is_there(self, registry):
        """A registry that mounts nothing is asked before anything is sent."""
        registry.mounts = False

        assert repository(registry).upload(DESCRIBED, Opener(lambda _: iter([BLOB])), mount_from="c") is How.THERE
        assert registry.sent() == 0

    def test_another_digest(self, registry):
        """A registry that calls a manifest by another name than we is not believed."""
        store = MemoryStore()
        registry.digest_said = str(Digest.of(b"other"))

        with pytest.raises(RegistryError):
            Transfer(source=store, sink=repository(registry)).move(put_image(store), ["v1"])


class TestBusy:
    """Registries that want us to come back."""

    def test_waits_as_long_as_it_is_told(self, registry):
        """Retry-After counts, up to a minute."""
        registry.busy = [(429, {"Retry-After": "7"}), (503, {}), (429, {"Retry-After": "86400"})]
        slept = Slept()

        assert whole(repository(registry, slept=slept).read(DESCRIBED)) == BLOB
        assert slept.seconds[0] == 7
        assert 0.5 < slept.seconds[1] < 1.1
        assert slept.seconds[2] == 60

    def test_gives_up_with_the_registrys_own_words(self, registry):
        """After so many attempts the error has what it said, without what a terminal would obey."""
        registry.busy = [(429, {"Retry-After": "1"})] * 9
        registry.error_body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow \\u001b[31mdown"}]}'

        with pytest.raises(RegistryBusy) as caught:
            whole(repository(registry).read(DESCRIBED))

        assert "TOOMANYREQUESTS: slow" in caught.value.message
        assert "\x1b" not in caught.value.message
        assert registry.count("GET", "/blobs/") == ATTEMPTS

    def test_a_huge_error_is_not_read_whole(self, registry):
        """An error's body is cut."""
        registry.busy, registry.error_body = [(400, {})], b"no " * 10_000_000

        with pytest.raises(RegistryError) as caught:
            repository(registry).has(DESCRIBED)

        assert len(caught.value.message) < 1000


class TestAccess:
    """Who gets in."""

    def test_basic(self, registry):
        """A name and a password, once it asks for them; then at once."""
        registry.challenge, registry.authorization = 'Basic realm="x"', "Basic YW5uOndvcmQ="
        place = repository(registry, Keyring(Credential("ann", "word")))

        assert place.has(DESCRIBED)
        assert place.has(DESCRIBED)
        assert sum("authorization" in asked.headers for asked in registry.asked) == 2

    def test_refused(self, registry):
        """The error says to log in."""
        registry.challenge = 'Basic realm="x"'

        with pytest.raises(AccessDenied) as caught:
            repository(registry).has(DESCRIBED)

        assert f"wherry login {registry.host}" in caught.value.hint

    def test_uploads_elsewhere_take_no_credentials_along(self, registry):
        """A registry that takes blobs at another host gets them there, without our name."""
        with hostile() as other:
            other.uploads = registry.uploads
            registry.uploads_at = other.host
            registry.challenge, registry.authorization = 'Basic realm="x"', "Basic YW5uOndvcmQ="

            repository(registry, Keyring(Credential("ann", "word"))).upload(OTHER, Opener(lambda _: iter([b"other"])))

            assert other.blobs[OTHER.digest] == b"other"
            assert all("authorization" not in asked.headers for asked in other.asked)

    @pytest.mark.parametrize("realm", ["file:///etc/passwd", "ftp://x/", "", "//x"])
    def test_odd_realms(self, registry, realm):
        """Nothing is sent to a realm that is no web address."""
        registry.challenge = f'Bearer realm="{realm}",service="x"'

        with pytest.raises(AccessDenied):
            repository(registry, Keyring(Credential("ann", "word"))).has(DESCRIBED)


def push_image(registry: Hostile) -> Descriptor:
    """Put an image there under v1, past its door."""
    store = MemoryStore()
    root = put_image(store)
    Transfer(source=store, sink=repository(registry)).move(root, ["v1"])
    registry.asked.clear()
    return root


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
