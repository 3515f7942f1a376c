"""What `make fuzz` feeds bytes to: each reader ends with a value or an error of ours, soon and in little memory."""

import io
from collections.abc import Callable
from contextlib import suppress

import msgspec

from wherry.analysis.image.dive import dive_figures
from wherry.analysis.image.index import LayerIndex
from wherry.analysis.image.read import read_index
from wherry.analysis.image.union import Union
from wherry.analysis.image.waste import Sizes, hidden_files, visible_files
from wherry.analysis.program import AttributedProgram
from wherry.app.admission.configuration import parse_configuration
from wherry.app.cluster_figures import entries_of
from wherry.app.policy_file import parse_policy
from wherry.app.rebuild_settings import goflags_of
from wherry.app.scan_ignore import parse_ignore_file
from wherry.base.certificates import read_certificates, root_facts
from wherry.cluster.admission import AdmissionAnswer, parse_review, seconds_of
from wherry.cluster.build_documents import BuildRecipe, TaskResult
from wherry.cluster.external_data import ProviderItem, parse_provider_request, provider_response
from wherry.debian.ar import ar_members
from wherry.debian.control import find_packages, find_providers, parse_depends
from wherry.debian.release import ReleaseFile
from wherry.debian.scripts import script_effects
from wherry.digest import Digest
from wherry.dockerfile.ignore import Patterns, read_ignore_file
from wherry.dockerfile.lint import lint
from wherry.dockerfile.notes import Around
from wherry.dockerfile.parser import parse
from wherry.dockerfile.words import expand
from wherry.elf.dynamic import Dynamic
from wherry.elf.reader import Elf, _notes
from wherry.elf.space import AddressSpace
from wherry.elf.symbols import Symbols
from wherry.errors import WherryError
from wherry.foreign.macho import architectures
from wherry.golang.buildinfo import BuildInfo, parse_modinfo
from wherry.golang.gosum import parse_go_sum
from wherry.lab.relink import built_by_recipe
from wherry.layer.changes import flatten
from wherry.layer.entry import ArchiveLimits
from wherry.layer.tar import read_tar
from wherry.oci import media
from wherry.oci.config import ImageConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.layout import Layout
from wherry.oci.manifest import Index, Manifest
from wherry.oci.reference import Reference
from wherry.platform import Platform
from wherry.registry.challenge import challenges
from wherry.registry.http1 import BadAnswer, Connection
from wherry.settings.docker_config import DockerConfig
from wherry.source.git_address import GitAddress
from wherry.store.memory import MemoryStore
from wherry.trust.constraint import could_build
from wherry.trust.database import DatabaseBuilder, VulnerabilityIndex
from wherry.trust.distribution import DPKG, OS_RELEASE, debian_packages, installed
from wherry.trust.key_files import WrongPassword, read_key
from wherry.trust.keys import PublicKey
from wherry.trust.layer_certificate import LOGGED, CertifiedLayer
from wherry.trust.licences import known_licences
from wherry.trust.linked import linked_symbols, symbol_of
from wherry.trust.matching import debian_affected, debian_fixed, go_affected, go_fixed
from wherry.trust.module_zip import ModuleZip
from wherry.trust.note import NoteKey, open_note
from wherry.trust.osv import parse_entry
from wherry.trust.pkcs11_uri import Pkcs11Uri
from wherry.trust.programs import read_program
from wherry.trust.signature import WantedSigner, judge_bundle, judge_envelope, judge_layer
from wherry.trust.simple_signing import CERTIFICATE, SIGNATURE
from wherry.trust.statement import Statement
from wherry.trust.tlog import parse_head, parse_record
from wherry.trust.versions import debian_less, go_release, semver

_LIMITS = ArchiveLimits(entries=1000, size=1 << 20)
_AMD64 = Platform("linux", "amd64")
_ANYBODY = WantedSigner()
_PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
_AROUND = Around(platform=_AMD64, build_platform=_AMD64)


def documents(blob: bytes) -> None:
    """Read bytes as each document that comes from elsewhere."""
    for reader in (Manifest.parse, Index.parse, ImageConfig.parse, Layout.parse):
        with suppress(WherryError):
            reader(blob, "it")
    text = blob.decode(errors="replace")
    with suppress(WherryError):
        DockerConfig.parse(text, "it")
    with suppress(WherryError):
        Reference.parse(text)
    with suppress(WherryError):
        for one in entries_of(blob, "it", 0.0):  # a list of a cluster's pods and events
            one.encoded()
    challenges([text])


def tars(blob: bytes) -> None:
    """Read bytes as a layer, and as a stack of two of them."""
    with suppress(WherryError):
        for _, body in read_tar(io.BytesIO(blob), "it", _LIMITS):
            body.read()
    with suppress(WherryError):
        for _, readable in flatten([lambda: io.BytesIO(blob), lambda: io.BytesIO(blob)], _LIMITS):
            readable.read(1 << 16)


def waste(blob: bytes) -> None:
    """Read bytes as the layer of an image three times over, and find its waste."""
    digest = Digest.of(blob)
    layer = Descriptor(media_type=media.OCI_LAYER, digest=digest, size=len(blob))
    store = MemoryStore()
    store.write(layer, [blob])
    with suppress(WherryError):
        layers = [read_index(store, layer, digest)] * 3
        assert LayerIndex.decode(b"".join(layers[0].encoded()), str(digest)) == layers[0]
        sizes = Sizes.of(Union(layers))
        assert hidden_files(sizes, 5).bytes + visible_files(sizes, 5).bytes == sum(map(sizes.unpacked, range(3)))
        dive_figures(layers)


def dockerfiles(blob: bytes) -> None:
    """Read bytes as a Dockerfile, lint them, and read them as an ignore file and as a word."""
    text = blob.decode(errors="replace")
    with suppress(WherryError):
        parse(text)
    with suppress(WherryError):
        lint("Dockerfile", text, _AROUND)
    with suppress(WherryError):
        Patterns(read_ignore_file(text)).judge("a/b", [])
    with suppress(WherryError):
        expand(text[:200], {"a": "1", "B": ""})


def elf(blob: bytes) -> None:
    """Read bytes as a program: tables, symbols, notes, what it needs, and what Go left in it."""
    with suppress(WherryError):
        found = Elf.parse(blob, "it")
        for read in (_words, Dynamic.of, Symbols.of, AddressSpace.of, AttributedProgram.of):
            with suppress(WherryError):
                read(found)


def notes(blob: bytes) -> None:
    """Read bytes as ELF notes of either order, and as Go's build info."""
    for order, alignment in (("<", 4), (">", 4), ("<", 8)):
        list(_notes(memoryview(blob), order, alignment))
    with suppress(WherryError):
        BuildInfo.parse(blob, "it")
    with suppress(WherryError):
        parse_modinfo(blob.decode(errors="replace"), "it")


def holes(blob: bytes) -> None:
    """Read bytes as an OSV entry that is indexed and asked, as versions, as packages, as a policy and its like."""
    text = blob.decode(errors="replace")
    with suppress(WherryError):
        builder = DatabaseBuilder()
        builder.add(parse_entry(blob, "it"))
        index = builder.finish()
        for name in index.names:
            for advisory in index.of(*name.split("\t", 1)):
                for part in advisory.affected:
                    go_affected("v1.2.3", part)
                    debian_affected("1.2-3", part)
                go_fixed("v1.2.3", advisory.affected)
                debian_fixed("1.2-3", advisory.affected)
    VulnerabilityIndex.decode(blob)
    semver(text)
    go_release(text)
    debian_less(text, "1.0~rc1")
    symbol_of(text)
    linked_symbols(blob, {"a/b.c": ("T.M", "f"), "main": ()}, "main")
    debian_packages({DPKG: blob, OS_RELEASE[0]: blob})
    with suppress(WherryError):
        parse_policy(text, "it")
    with suppress(WherryError):
        parse_ignore_file(text, "it")


def scanned(blob: bytes) -> None:
    """Read bytes as a program to scan."""
    with suppress(WherryError):
        read_program(memoryview(blob), "it")
    with suppress(WherryError):
        architectures(memoryview(blob), "it")


def signatures(blob: bytes) -> None:
    """Read bytes as a bundle, an envelope, a signature and its annotations, a statement, a key, a name of one."""
    digest = Digest.of(b"")
    judge_bundle(blob, _ANYBODY, image=digest, manifest="it")
    judge_envelope(blob, _ANYBODY, image=digest, layer="it", predicate_types=())
    judge_layer(blob, {}, _ANYBODY, image=digest, layer="it")
    text = blob.decode(errors="replace")
    for said in ({CERTIFICATE: text, LOGGED: text}, {CERTIFICATE: _PEM, LOGGED: text, SIGNATURE: text}):
        for envelope in (False, True):
            with suppress(WherryError):
                CertifiedLayer.parse(blob, said, "it", envelope=envelope)
    with suppress(WherryError):
        Pkcs11Uri.parse(f"pkcs11:object={text}")
    with suppress(WherryError):
        Statement.parse(blob, "it")
    with suppress(WherryError):
        PublicKey.parse(blob, "it")
    with suppress(WherryError):
        read_key(blob, "it", _no_password)


def _no_password() -> bytes:
    raise WrongPassword("it")


def _words(found: Elf) -> None:
    _ = found.interpreter, found.notes, found.go_build_id, found.gnu_build_id


def modules(blob: bytes) -> None:
    """Read bytes as a module zip, a signed note, a record of the checksum database, a go.sum, a licence, a Go file."""
    with suppress(WherryError):
        opened = ModuleZip(blob, "it")
        opened.h1()
        opened.checked("m@v1.0.0/")
    with suppress(WherryError):
        open_note(blob, [])
    with suppress(WherryError):
        parse_record(blob)
    text = blob.decode(errors="replace")
    for reader in (NoteKey.parse, parse_head, lambda text: parse_go_sum(text, "it")):
        with suppress(WherryError):
            reader(text)
    known_licences(blob)
    could_build(blob)
    list(installed("lib/apk/db/installed", blob))


class _Wire:
    """A connection that says some bytes, a few at a time."""

    def __init__(self, said: bytes) -> None:
        self.recv = io.BytesIO(said).read

    def sendall(self, data: bytes, /) -> None:
        """Hear nothing."""

    def fileno(self) -> int:
        """Have none."""
        return -1

    def gettimeout(self) -> float:
        """Wait for nothing."""
        return 0.0

    def close(self) -> None:
        """Be over."""


def answers(blob: bytes) -> None:
    """Read bytes as what a registry answers to a GET and to a HEAD."""
    for method in ("GET", "HEAD"):
        with suppress(BadAnswer):
            answer = Connection(_Wire(blob), "h").send(method, "/", {}, None)
            while answer.read(100):
                pass
            answer.finish(10)


def recipes(blob: bytes) -> None:
    """Read bytes as what an image tells of its own build: its recipe, flags, GOFLAGS, and where its source is."""
    text = blob.decode(errors="surrogateescape")
    recipe = b'{"version": 2, "go": {"flags": ' + msgspec.json.encode(text.encode(errors="replace").decode()) + b"}}"
    for one in (text, recipe.decode()):
        with suppress(WherryError):
            built_by_recipe(one)
    with suppress(WherryError):
        goflags_of(text)
    with suppress(WherryError):
        GitAddress.parse(text)


def admissions(blob: bytes) -> None:
    """Read bytes as what an admission server is sent and told: a review, a provider's request, a configuration."""
    with suppress(WherryError):
        request = parse_review(blob)
        uses = request.images()
        request.pull_secrets()
        AdmissionAnswer(allowed=False, message=request.name, warnings=(request.name,)).review(request.uid)
        AdmissionAnswer(allowed=True, images={use.path: use.text for use in uses}).review(request.uid)
    with suppress(WherryError):
        provider_response([ProviderItem(key.text, key.image) for key in parse_provider_request(blob)])
    text = blob.decode(errors="replace")
    with suppress(WherryError):
        settings = parse_configuration(text, "it")
        settings.rule_for("shop", "registry.example/a/b")
        settings.exemption_for("shop", "registry.example/a/b")
    seconds_of(text)


def builds(blob: bytes) -> None:
    """Read bytes as the recipe of a build on Kubernetes, and as the result of one of its tasks."""
    for reader in (BuildRecipe.parse, TaskResult.parse):
        with suppress(WherryError):
            reader(blob, "it").encoded()


def packages(blob: bytes) -> None:
    """Read bytes as Debian's files: an archive, paragraphs, relations, a release, scripts; and as certificates."""
    text = blob.decode(errors="replace")
    with suppress(WherryError):
        list(ar_members(io.BytesIO(blob), "it"))
    for find in (find_packages, find_providers):
        with suppress(WherryError):
            list(find(io.BytesIO(blob), {"a", "b"}, "it"))
    for read in (parse_depends, ReleaseFile.parse):
        with suppress(WherryError):
            read(text, "it")
    script_effects({"postinst": "#!/bin/sh\n" + text, "triggers": text})
    with suppress(WherryError):
        root_facts(read_certificates(blob, "it"), "it")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "packages": packages,
    "documents": documents,
    "tars": tars,
    "waste": waste,
    "dockerfiles": dockerfiles,
    "elf": elf,
    "notes": notes,
    "holes": holes,
    "scanned": scanned,
    "signatures": signatures,
    "modules": modules,
    "answers": answers,
    "recipes": recipes,
    "builds": builds,
    "admissions": admissions,
}
