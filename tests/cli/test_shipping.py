"""push, pull, copy, tags, login, lock and builds on a registry's base, as a user calls them, on a real registry."""

import contextlib
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_shell import Shell
from needs import need, need_root
from registries import CNCF, Running, certificates, distribution
from small_images import AMD64, put_image, put_index
from wherry.store.images import image_for

pytestmark = pytest.mark.slow


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Running]:
    """A registry that takes anything."""
    with distribution(tmp_path / "registry") as running:
        yield running


@pytest.fixture
def wherry(tmp_path: Path) -> Shell:
    """A user's shell, with an image of two platforms called web:1."""
    shell = Shell(tmp_path / "home")
    shell.store.tag("web:1", put_index(shell.store, "web"))
    return shell


def crane(*arguments: str) -> str:
    """Ask crane."""
    done = subprocess.run([need("crane"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def skopeo(*arguments: str) -> str:
    """Ask skopeo."""
    return subprocess.run([need("skopeo"), *arguments], capture_output=True, text=True, check=True).stdout


def test_push_and_pull(wherry, registry, tmp_path):
    """There, and into another store, under the same digest; the second time nothing is sent."""
    name = f"{registry.host}/team/web:1"
    digest = wherry.store.resolve("web:1").digest

    assert wherry("push", "web:1", name) == [f"{name}@{digest}"]
    crane("validate", "--remote", name)
    assert crane("digest", name) == digest
    wherry("push", "web:1", name)
    assert "nothing to send" in wherry.err

    other = Shell(tmp_path / "other")
    assert other("pull", name) == [f"{name}@{digest}"]
    assert " fetched" in other.err
    assert other("pull", name) == [f"{name}@{digest}"]
    assert "nothing to fetch" in other.err
    assert other("verify-store") == ["7 blobs of 1 name: all complete"]
    assert other("pull", "-q", f"{name.rpartition(':')[0]}@{digest}", "-t", "mine:1") == [digest]


def test_push_of_one_platform(wherry, registry):
    """One platform is its manifest."""
    name = f"{registry.host}/web:arm"
    wherry("push", "--platform", "linux/arm64", "web:1", name, "--json")

    assert json.loads(wherry.out)["mediaType"].endswith("manifest.v1+json")
    assert json.loads(crane("config", name))["architecture"] == "arm64"


@pytest.mark.parametrize("name", ["web:1", "docker.io/library/web:1", "localhost:5000/web@sha256:" + "0" * 64])
def test_names_that_cannot_be_pushed(wherry, name):
    """A name without a registry would be Docker Hub's own: it is refused before anybody is asked."""
    wherry("push", "web:1", name, code=64)

    assert "hint:" in wherry.err


def test_copy(wherry, registry, tmp_path):
    """From anywhere to anywhere, with the same digest."""
    digest = wherry.store.resolve("web:1").digest
    first, second = f"{registry.host}/a:1", f"{registry.host}/b/c:2"

    for source, target in [
        ("web:1", first),
        (first, second),
        (f"docker://{second}", "oci:layout:web:2"),
        ("oci:layout", "web.tar"),
        ("oci-archive:web.tar", "store:again:1"),
        ("again:1", f"docker://{registry.host}/d"),
    ]:
        copied = wherry("copy", source, target)
        assert copied[0].endswith(f"@{digest}")

    assert crane("digest", f"{registry.host}/d:latest") == digest
    assert wherry.store.resolve("again:1").digest == digest


def test_copy_of_some_platforms(wherry, registry):
    """One platform is its manifest; a list that names all is the index itself."""
    wherry("copy", "--platform", "linux/amd64", "web:1", f"{registry.host}/one:1")
    wherry("copy", "--platform", "linux/amd64,linux/arm64", "web:1", f"{registry.host}/both:1")

    assert json.loads(crane("config", f"{registry.host}/one:1"))["architecture"] == "amd64"
    assert crane("digest", f"{registry.host}/both:1") == wherry.store.resolve("web:1").digest
    wherry("copy", "--platform", "linux/s390x", "web:1", f"{registry.host}/none:1", code=66)
    assert "linux/amd64, linux/arm64" in wherry.err


def test_copy_encodes_anew(wherry, registry):
    """The digest changes, and that is said; what is in it does not."""
    name = f"{registry.host}/web:zstd"
    wherry("copy", "--compression", "zstd", "web:1", name)

    assert "the digest changes" in wherry.err
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}", f"dir:{wherry.root}/out")  # crane unpacks no zstd
    assert "tar+zstd" in crane("manifest", "--platform", "linux/amd64", name)


def test_what_others_pushed(wherry, registry, tmp_path):
    """Images that skopeo and crane brought come here as they are."""
    wherry("copy", "web:1", "oci:layout:web:1")
    skopeo(
        "copy",
        "--all",
        "--dest-tls-verify=false",
        "oci:" + str(wherry.root / "layout") + ":web:1",
        f"docker://{registry.host}/s:1",
    )
    crane("push", str(wherry.root / "layout"), f"{registry.host}/c:1")
    digest = str(wherry.store.resolve("web:1").digest)

    other = Shell(tmp_path / "other")

    assert other("pull", "-q", f"{registry.host}/s:1", f"{registry.host}/c:1") == [digest, digest]


def test_umoci_unpacks_what_was_pushed(wherry, registry, tmp_path):
    """Through a registry and skopeo, into umoci's hands."""
    wherry("push", "web:1", f"{registry.host}/web:1")
    layout = tmp_path / "layout"
    skopeo("copy", "--src-tls-verify=false", f"docker://{registry.host}/web:1", f"oci:{layout}:1")

    words = [need("umoci"), "raw", "unpack", "--rootless", "--image", f"{layout}:1", str(tmp_path / "root")]
    subprocess.run(words, capture_output=True, check=True)

    assert (tmp_path / "root" / "hello.txt").read_text() == "web linux/amd64"


def test_all_tags(wherry, registry):
    """A whole repository, tag by tag."""
    wherry("push", "web:1", f"{registry.host}/web:1", f"{registry.host}/web:2")

    wherry("copy", "--all-tags", f"{registry.host}/web", f"{registry.host}/mirror")

    assert sorted(wherry("tags", f"{registry.host}/mirror")) == ["1", "2"]
    assert json.loads("".join(wherry("tags", "--json", "--digests", f"{registry.host}/mirror")))["tags"][
        "2"
    ].startswith("sha256:")


def test_mounts_between_repositories(wherry, registry):
    """What one repository got, another one takes from there."""
    wherry("push", "web:1", f"{registry.host}/one:1")
    wherry("push", "web:1", f"{registry.host}/two:1")

    assert "4 mounted" in wherry.err


def test_login_is_tried_and_kept(wherry, tmp_path):
    """A wrong password is not kept; a right one is, where crane finds it too; then it is forgotten."""
    with distribution(tmp_path / "registry", basic=("ann", "s3cret"), program=CNCF) as registry:
        name = f"{registry.host}/web:1"
        wherry("push", "web:1", name, code=77)
        assert f"wherry login {registry.host}" in wherry.err
        wherry("login", registry.host, "-u", "ann", "--password-stdin", stdin="wrong\n", code=77)
        assert not (wherry.root / ".docker/config.json").exists()

        wherry("login", f"http://{registry.host}/v2/", "-u", "ann", "--password-stdin", stdin="s3cret\n")
        config = wherry.root / ".docker/config.json"
        assert config.stat().st_mode & 0o777 == 0o600
        wherry("push", "web:1", name)

        wherry("logout", registry.host)
        assert json.loads(config.read_text()) == {"auths": {}}
        wherry("tags", registry.host + "/web", code=77)


def test_login_with_a_helper(wherry, tmp_path):
    """A helper that the config names keeps the password, and nobody else."""
    kept, tools = tmp_path / "kept", tmp_path / "tools"
    tools.mkdir()
    helper = tools / "docker-credential-kept"
    helper.write_text(
        f"#!/bin/sh\ncase $1 in\nstore) cat > {kept} ;;\nerase) rm {kept} ;;\n"
        f"get) [ -e {kept} ] && cat {kept} || {{ echo credentials not found in native keychain; exit 1; }} ;;\nesac\n"
    )
    helper.chmod(0o755)
    (wherry.root / ".docker").mkdir()
    (wherry.root / ".docker/config.json").write_text('{"credsStore": "kept"}')
    wherry.environment["PATH"] = f"{tools}{os.pathsep}{wherry.environment['PATH']}"
    with distribution(tmp_path / "registry", basic=("ann", "s3cret")) as registry:
        wherry("login", registry.host, "-u", "ann", "--password-stdin", stdin="s3cret")
        assert "s3cret" not in (wherry.root / ".docker/config.json").read_text()
        assert json.loads(kept.read_text())["Secret"] == "s3cret"  # noqa: S105 - a test's
        wherry("push", "web:1", f"{registry.host}/web:1")
        wherry("logout", registry.host)
        assert not kept.exists()


def test_certificates(wherry, tmp_path):
    """SSL_CERT_FILE, a folder of certs.d, or --insecure."""
    shown = certificates(tmp_path / "tls")
    with distribution(tmp_path / "registry", tls=shown) as registry:
        name = f"{registry.host}/web:1"
        wherry("push", "web:1", name, code=69)
        assert "certs.d" in wherry.err
        wherry("push", "web:1", name, "--insecure")
        folder = wherry.root / ".docker/certs.d" / registry.host
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(shown.ca.read_bytes())
        wherry("tags", f"{registry.host}/web")


def test_a_mirror_is_read_first(wherry, registry):
    """What registries.conf says of a registry holds for pulls; its own name stays."""
    wherry("push", "web:1", f"{registry.host}/mirror/team/web:1")
    conf = wherry.root / ".config/containers/registries.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(
        f'[[registry]]\nprefix = "nowhere.invalid"\nlocation = "nowhere.invalid"\n'
        f'[[registry.mirror]]\nlocation = "{registry.host}/mirror"\n'
    )

    assert wherry("pull", "nowhere.invalid/team/web:1")[0].startswith("nowhere.invalid/team/web:1@sha256:")


class TestBases:
    """Builds on a base that rests in a registry."""

    @pytest.fixture
    def based(self, wherry, registry):
        """A program, and a base under a tag."""
        need("go")
        wherry.module()
        wherry("push", "web:1", f"{registry.host}/base:1")
        shell = Shell(wherry.root.parent / "builder")
        shell.module()
        return shell

    def test_a_push_pulls_no_layer(self, based, registry):
        """Its manifest and config are enough; its layers are mounted there, and known to live elsewhere."""
        base, name = f"{registry.host}/base:1", f"{registry.host}/app:1"
        based("build", "--base", base, "-t", name, "--push", "--no-vcs", "--platform", "linux/amd64")

        image = image_for(based.store, based.store.resolve(name), AMD64, name)
        assert [based.store.has(layer) for layer in image.manifest.stack] == [False, True]
        assert image.manifest.annotations["org.opencontainers.image.base.name"] == base
        crane("validate", "--remote", name)
        assert "lives-elsewhere" in "".join(based("verify-store"))

        based("save", name, "-o", "app.tar")
        assert based("verify-store")[-1].endswith("all complete")

    def test_the_same_bytes_either_way(self, based, registry):
        """Whether it is pushed or kept, the image is the same one."""
        base, name = f"{registry.host}/base:1", f"{registry.host}/app:1"
        pushed = based("build", "--base", base, "-t", name, "--push", "--no-vcs")

        kept = based("build", "--base", base, "-t", name, "--no-vcs")

        assert kept == pushed
        assert based("verify-store")[-1].endswith("all complete")

    def test_a_tag_that_moved_is_seen(self, based, wherry, registry):
        """Tags are asked for at each build; a lock, or --offline, holds on to what was."""
        base = f"{registry.host}/base:1"
        build = ("build", "--base", base, "-t", "app:1", "--no-vcs", "-q", "--platform", "linux/amd64")
        first = based(*build)
        based("lock", base)
        other = put_image(wherry.store, "another base")
        wherry.store.tag("other:1", other)
        wherry("push", "other:1", base)

        assert based(*build) == first
        assert based(*build, "--pull") != first
        based("lock", "--check", base, code=1)
        (based.root / "wherry.lock").unlink()
        assert based(*build) != first

    def test_a_registry_that_is_away(self, based, registry):
        """The last digest counts, with a warning; --pull does not take it."""
        base = f"{registry.host}/base:1"
        build = ("build", "--base", base, "-t", "app:1", "--no-vcs", "-q")
        first = based(*build)
        registry.process.kill()
        registry.process.wait()

        assert based(*build) == first
        assert "as last seen" in based.err
        assert based(*build, "--offline") == first
        based(*build, "--pull", code=69)

    def test_offline_knows_what_it_saw(self, based, registry):
        """A base that was never seen can't be had without asking."""
        based("build", "--base", f"{registry.host}/never:1", "--offline", code=66)

        assert "--offline" in based.err

    def test_nothing_changed_and_pushed(self, based, registry):
        """A build that is known, and there, asks once; one that is gone from the registry is pushed again."""
        name = f"{registry.host}/app:1"
        first = based("build", "-t", name, "--push", "--no-vcs")
        assert based("build", "-t", name, "--push", "--no-vcs") == first
        assert "nothing changed" in based.err
        crane("delete", f"{registry.host}/app@{crane('digest', name)}")

        assert based("build", "-t", name, "--push", "--no-vcs") == first
        assert crane("digest", name) == first[0].partition("@")[2]

    def test_runs_what_is_in_a_registry(self, based, registry, tmp_path):
        """A name that is not in the store is run from its registry; nothing stays in the store."""
        need_root()
        name = f"{registry.host}/app:1"
        based("build", "-t", name, "--push", "--no-vcs")
        other = Shell(tmp_path / "other")

        other("run", "-q", name)

        assert other("images", "-q") == []

    def test_outputs(self, based, registry):
        """Buildx's type=registry and type=image."""
        name = f"{registry.host}/app:1"
        based("build", "--no-vcs", "-o", f"type=registry,name={name}")
        based("build", "--no-vcs", "-o", "type=image,name=kept:1")

        assert crane("digest", name) == based.store.resolve("kept:1").digest


class TestKills:
    """A push, a pull or a copy that is killed at any moment."""

    @pytest.fixture
    def big(self, wherry):
        """An image whose layers take a while."""
        from small_images import put_layers

        wherry.store.tag("big:1", put_layers(wherry.store, [3 << 20] * 12))
        return wherry

    @pytest.mark.parametrize("seed", range(4))
    def test_no_tag_leads_to_nothing(self, big, registry, tmp_path, seed):
        """Whatever stands there after a kill is whole, and a second run sends the rest and no blob twice."""
        name = f"{registry.host}/big:1"
        self.kill(big, ["push", "-q", "big:1", name], seed)
        assert self.tags(registry) in ([], ["1"])
        if self.tags(registry):
            crane("validate", "--remote", name)
        there = registry.blobs()

        big("push", "big:1", name)

        crane("validate", "--remote", name)
        assert registry.blobs() == 14
        found = re.search(r"(\d+) already there", big.err)
        assert int(found[1] if found else 0) >= min(there, 1 if there == 14 else there)

    @pytest.mark.parametrize("seed", range(4))
    def test_a_pull_goes_on(self, big, registry, tmp_path, seed):
        """The store of a killed pull is a good store, and the second run takes what is missing."""
        name = f"{registry.host}/big:1"
        big("push", "big:1", name)
        other = Shell(tmp_path / "other")
        self.kill(other, ["pull", "-q", name], seed)

        other("verify-store")
        other("pull", name)

        assert other("verify-store") == ["14 blobs of 1 name: all complete"]

    @staticmethod
    def tags(registry: Running) -> list[str]:
        """The tags that the registry has on its disk."""
        return [path.name for path in registry.folder.glob("docker/registry/v2/repositories/big/_manifests/tags/*")]

    @staticmethod
    def kill(shell: Shell, words: list[str], seed: int) -> None:
        """Run wherry and kill it at a moment that the seed decides, some of them before it did anything."""
        process = subprocess.Popen(
            [sys.executable, "-m", "wherry", *words], cwd=shell.root, env=shell.environment, stdout=subprocess.DEVNULL
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(random.Random(seed).uniform(0.1, 0.5))  # noqa: S311 - moments, not secrets
        process.kill()
        process.wait()
