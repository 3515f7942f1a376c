"""The embedded base has what static programs rely on, and is the same everywhere."""

import importlib.util
import json
import re
import ssl
import time
import zoneinfo
from collections.abc import Iterator, Mapping
from pathlib import Path

import certifi
import pytest

from archives import contents
from needs import corpus
from wherry.base.static import ENCODING, scratch_base, static_base, static_base_key
from wherry.layer.changes import flatten, layers_of
from wherry.layer.compress import Encoding
from wherry.layer.entry import Entry, EntryKind
from wherry.oci import media
from wherry.oci.image import Image
from wherry.platform import ALL, Platform
from wherry.store.images import read_image
from wherry.store.memory import MemoryStore

AMD64 = Platform.parse("linux/amd64")


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    """A store with the base in it."""
    return MemoryStore()


@pytest.fixture(scope="module")
def base(store: MemoryStore) -> Image:
    """The base of one platform."""
    return static_base(store, AMD64)


@pytest.fixture(scope="module")
def entries(store: MemoryStore, base: Image) -> Mapping[str, Entry]:
    """What lies in it."""
    return {entry.path: entry for entry, _ in flatten(layers_of(store, base))}


@pytest.fixture(scope="module")
def files(store: MemoryStore, base: Image) -> Mapping[str, object]:
    """What is in its files."""
    return contents(flatten(layers_of(store, base)))


def test_it_is_stored_whole(store, base):
    """What is returned is what a reader of the store finds."""
    assert read_image(store, base.descriptor) == base
    assert base.platform == AMD64
    assert base.config.created == "1970-01-01T00:00:00Z"
    assert len(base.config.history) == len(base.manifest.stack) == 2


def test_layers_are_shared(store, base):
    """All platforms have the same blobs, and `static-notz` the first of them."""
    others = [static_base(store, platform) for platform in ALL]

    assert all(other.manifest.stack == base.manifest.stack for other in others)
    assert len({other.descriptor.digest for other in others}) == len(ALL)
    assert static_base(store, AMD64, zones=False).manifest.stack == base.manifest.stack[:1]


def test_facts_that_users_rely_on(entries, files, base):
    """Accounts, folders and settings are those of the usual static base."""
    expected = json.loads(corpus("distroless/expected.json").read_text())
    passwd = [line.split(":") for line in files["etc/passwd"].decode().splitlines()]
    group = [line.split(":") for line in files["etc/group"].decode().splitlines()]

    assert [[it[name] for name in ("name", "uid", "gid", "gecos", "home", "shell")] for it in expected["passwd"]] == [
        [name, int(uid), int(gid), gecos, home, shell] for name, _, uid, gid, gecos, home, shell in passwd
    ]
    assert [(it["name"], it["gid"]) for it in expected["group"]] == [(name, int(gid)) for name, _, gid, _ in group]
    for wanted in expected["dirs"]:
        found = entries[wanted["path"].lstrip("/")]
        owner = (wanted.get("uid", 0), wanted.get("gid", 0))
        assert (found.kind, found.mode, (found.uid, found.gid)) == (EntryKind.FOLDER, int(wanted["mode"], 8), owner)
    assert [path for path in expected["files"] if path.lstrip("/") not in entries] == ["/etc/mime.types"]
    settings = base.config.runtime
    assert settings.user == expected["config"]["nonroot"]["User"]
    assert settings.working_dir == expected["config"]["nonroot"]["WorkingDir"]
    assert list(settings.env) == expected["config"]["Env"]


def test_certificates(files):
    """All of certifi's authorities and nothing but certificates; a TLS library takes the lot."""
    bundle = files["etc/ssl/certs/ca-certificates.crt"].decode()
    mark = "-----BEGIN CERTIFICATE-----"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundle)

    assert bundle.count(mark) == certifi.contents().count(mark) > 100
    assert len(context.get_ca_certs()) == bundle.count(mark)
    assert len([line for line in bundle.splitlines() if line.startswith("#")]) == 1


@pytest.fixture
def wheel() -> Iterator[set[str]]:
    """The zones that Python finds in the wheel alone, whatever the machine has."""
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=())
    yield zoneinfo.available_timezones()
    zoneinfo.reset_tzpath(to=before)


def test_zones(files, wheel):
    """Every zone that Python's tzdata knows is there, links resolved, and is a zone file."""
    prefix = "usr/share/zoneinfo/"
    zones = {path.removeprefix(prefix): seen for path, seen in files.items() if path.startswith(prefix)}
    names = {name for name, seen in zones.items() if seen is not EntryKind.FOLDER}

    assert names == wheel
    assert len(names) > 500
    for seen in zones.values():
        if isinstance(seen, str):
            seen = files[seen.removeprefix("== ")]  # noqa: PLW2901 - a hard link stands for its target
        assert seen is EntryKind.FOLDER or seen.startswith(b"TZif")


def test_everything_is_of_time_zero(entries):
    """No file has a time, so a rebuild next year is the same blob."""
    assert {entry.mtime for entry in entries.values()} == {0}
    assert {entry.kind for entry in entries.values()} == {EntryKind.FILE, EntryKind.FOLDER, EntryKind.HARDLINK}
    assert all(re.fullmatch(r"[!-~]+", path) for path in entries)


def test_it_is_small(base):
    """170 kB are pulled; the usual base has 0.68 MB."""
    assert sum(layer.size for layer in base.manifest.stack) < 180_000


def test_another_encoding(store):
    """Who wants all of an image in zstd can have it."""
    other = static_base(store, AMD64, encoding=Encoding("zstd", 19))

    assert {layer.media_type for layer in other.manifest.stack} == {media.OCI_LAYER_ZSTD}


def test_the_key_names_what_decides():
    """It is what a cache needs to know, and cheap."""
    began = time.perf_counter()
    key = static_base_key()

    assert key["encoder"] == ENCODING.encoder
    assert {"certificates", "zones"} <= key.keys()
    assert time.perf_counter() - began < 0.25


def test_scratch(store):
    """Nothing: no layer, no setting, a config that is valid all the same."""
    image = scratch_base(store, AMD64)

    assert image.manifest.stack == image.config.diff_ids == ()
    assert read_image(store, image.descriptor) == image
    assert json.loads(store.blobs[image.manifest.config.digest])["rootfs"] == {"type": "layers", "diff_ids": []}


def test_data_is_made_of_the_named_versions():
    """The certificates and zones in the package are what `make base-data` would write."""
    script = Path(__file__).resolve().parents[2] / "scripts" / "base_data.py"
    spec = importlib.util.spec_from_file_location("base_data", script)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)

    assert {name: (made.DATA / name).read_bytes() == content for name, content in made.files().items()} == {
        "certificates.pem": True,
        "zones.zip": True,
        "versions.json": True,
    }
