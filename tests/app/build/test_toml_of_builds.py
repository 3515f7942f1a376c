"""Every key of wherry.toml with each front end: it means the same, or is an error with its line."""

import json
import shutil

import pytest

from build_calls import call, label, module, recipe
from cli_shell import Shell
from needs import need
from wherry.oci import media
from wherry.settings.build_keys import BUILD_KEYS, GO_KEYS
from wherry.settings.wherry_toml import Settings, WrongKey

KEYS = {
    "front-door": ('front-door = "{front}"', lambda made: made.image),
    "platforms": ('platforms = ["linux/s390x"]', lambda made: str(made.image.platform) == "linux/s390x"),
    "tags": ('tags = ["made:toml"]', lambda made: "made:toml@" in made.out),
    "labels": ('labels = { a = "b" }', lambda made: label(made, "a") == "b"),
    "annotations": ('annotations = { a = "b" }', lambda made: (made.image.manifest.annotations or {})["a"] == "b"),
    "env": ('env = { A = "B" }', lambda made: made.config.environment["A"] == "B"),
    "user": ('user = "1000"', lambda made: made.config.user == "1000"),
    "workdir": ('workdir = "/srv"', lambda made: made.config.working_dir == "/srv"),
    "expose": ("expose = [80]", lambda made: made.config.exposed_ports == {"80/tcp": {}}),
    "entrypoint": ('entrypoint = ["/x"]', lambda made: made.config.entrypoint == ("/x",)),
    "cmd": ('cmd = ["serve"]', lambda made: made.config.cmd == ("serve",)),
    "add": ('add = ["file:/etc/file"]', lambda made: made.files >= 2),
    "compression": (
        'compression = "zstd"', lambda made: made.image.manifest.stack[-1].media_type == media.OCI_LAYER_ZSTD
    ),
    "compression-level": ("compression-level = 99", lambda made: made.code == 64 and "99" in made.err),
    "release": ("release = true", lambda made: made.image.manifest.stack[-1].media_type == media.OCI_LAYER_ZSTD),
    "base": ('base = "scratch"', lambda made: made.files == 1),
    "debian": ('debian = "9"\nbase = "deb:static"', lambda made: made.code == 64 and "no such Debian" in made.err),
    "keep": ('keep = ["docs"]', lambda made: made.code == 64 and "--keep docs: base static" in made.err),
    "ca": ('ca = ["file"]', lambda made: made.code == 65 and "no certificate in PEM" in made.err),
    "ca-for": ('ca-for = ["ISRG Root X1"]', lambda made: recipe(made)["base"]["roots"].startswith("96bcec")),
    "ca-only": ("ca-only = true", lambda made: made.code == 64 and "add --ca FILE" in made.err),
    "ldflags": ('ldflags = "-w"', lambda made: "-w" in recipe(made)["go"]["flags"]),
    "gcflags": ('gcflags = "-l"', lambda made: "-gcflags" in recipe(made)["go"]["flags"]),
    "asmflags": ('asmflags = "-D=X"', lambda made: "-asmflags" in recipe(made)["go"]["flags"]),
    "go-tags": ('go-tags = ["x"]', lambda made: "-tags=x" in recipe(made)["go"]["flags"]),
    "go-env": ('go-env = { GO386 = "softfloat" }', lambda made: made.image),
    "go-version": ('go-version = "1.0.1"', lambda made: made.code and "1.0.1" in made.err),
    "trimpath": ("trimpath = false", lambda made: "with paths" in made.err),
    "strip": ("strip = false", lambda made: "with symbols" in made.err),
    "strip-buildid": ("strip-buildid = true", lambda made: "buildid" in recipe(made)["go"]["flags"]),
    "profile": ('profile = "edge"', lambda made: made.image.manifest.stack[-1].media_type == media.OCI_LAYER_ZSTD),
    "device-memory": ('device-memory = "64MB"', lambda made: made.code == 64 and "add --profile edge" in made.err),
    "pie": ('pie = true\nplatforms = ["linux/arm/v7"]', lambda made: made.code == 64 and "C compiler only" in made.err),
    "cgo": ('cgo = "off"', lambda made: recipe(made)["go"]["CGO_ENABLED"] == "0"),
    "no-inline": (
        'no-inline = ["example.com/..."]\nprofile = "edge"',
        lambda made: recipe(made)["go"]["noInline"] == "example.com/...",
    ),
    "debug-info": ('debug-info = "d"', lambda made: (made.folder / "d").stat().st_size),
}  # fmt: skip
DOCKERFILE = "FROM scratch\nCOPY file /file\n"


@pytest.fixture
def folder(tmp_path):
    """An empty folder that is called as the image is."""
    made = tmp_path / "made"
    made.mkdir()
    (made / "file").write_text("content")
    return made


def test_the_table_has_every_key():
    """A new key has to say what it is for."""
    assert KEYS.keys() == BUILD_KEYS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_go_module(folder, key):
    """It works."""
    need("go")
    module(folder)
    line, check = KEYS[key]
    (folder / "wherry.toml").write_text(f"[build]\n{line.replace('{front}', 'go')}\n")

    made = call(folder)

    assert check(made), made.err


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_dockerfile(folder, key):
    """It means the same, or is an error with its line."""
    (folder / "Dockerfile").write_text(DOCKERFILE)
    line, check = KEYS[key]
    (folder / "wherry.toml").write_text(f"[build]\n\n{line.replace('{front}', 'dockerfile')}\n")

    made = call(folder)

    if key in GO_KEYS:
        assert (made.code, made.out) == (78, "")
        assert (
            f'wherry.toml: line 3: key "{key}" is for Go modules; this folder is built from its Dockerfile' in made.err
        )
    else:
        assert check(made), made.err


@pytest.mark.slow
def test_the_command_line_stands_above(folder):
    """As it does for Go modules: pairs are joined, all else is replaced."""
    (folder / "Dockerfile").write_text(DOCKERFILE + "ENV A=1 B=1 C=1\nUSER 5\n")
    (folder / "wherry.toml").write_text('[build]\nuser = "6"\nenv = { A = "2", B = "2" }\nrelease = true\n')

    made = call(folder, "--user", "7", "--env", "A=3", "--compression", "gzip")

    assert made.config.user == "7"
    assert [made.config.environment[name] for name in "ABC"] == ["3", "2", "1"]
    assert made.image.manifest.stack[-1].media_type == media.OCI_LAYER_GZIP


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["pulled", "unpacked"])
def test_budgets_hold_a_dockerfile(folder, limit):
    """One that is broken is exit 1, and nothing is delivered; without front-door too."""
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "wherry.toml").write_text(f'[budgets]\n{limit} = "1"\n')

    made = call(folder, "-o", "type=oci,dest=out.tar", "--json")

    assert (made.code, (folder / "out.tar").exists()) == (1, False), made.err
    assert '"budgets":[' in made.out
    assert call(folder, "--no-budgets").code == 0


@pytest.mark.slow
def test_budgets_of_a_dockerfiles_base(folder):
    """FROM tells own and base layers apart: the base's budget holds, the own one is exceeded, also from the cache."""
    (folder / "Dockerfile").write_text(DOCKERFILE)
    assert call(folder, "-t", "base:dev").code == 0
    (folder / "Dockerfile").write_text("FROM base:dev\nCOPY --chmod=0644 wherry.toml /own\n")
    (folder / "wherry.toml").write_text('[budgets]\nown-unpacked = "1"\nbase-unpacked = "1GB"\n')

    for words in ([], [], ["--no-cache"]):
        made = call(folder, "-t", "own:dev", "--json", *words)

        assert made.code == 1, made.err
        found = {row["what"]: (row["actual"], row["ok"]) for row in json.loads(made.out)["budgets"]}
        assert found["own-unpacked"] == ((folder / "wherry.toml").stat().st_size, False)
        assert found["base-unpacked"][1]
        assert found["base-unpacked"][0] > 0


@pytest.mark.slow
def test_budgets_of_own_layers_of_a_foreign_image_are_refused(folder):
    """Another machine's cache does not know where its base ends; that is an error, not silence."""
    (folder / "Dockerfile").write_text(DOCKERFILE)
    assert call(folder, "-t", "own:dev").code == 0
    (folder / "wherry.toml").write_text('[budgets]\nown-pulled = "1"\n')
    here = call(folder, "own:dev", command="check")
    shutil.rmtree(folder.parent / "cache")

    made = call(folder, "own:dev", command="check")

    assert here.code == 1, here.err
    assert made.code == 65
    assert "budget own-pulled" in made.err


@pytest.mark.slow
def test_unknown_keys_are_errors_for_both(folder):
    """With the line and the nearest key."""
    (folder / "wherry.toml").write_text("[build]\nusr = 1\n")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    assert (dockerfile := call(folder)).code == 78
    (folder / "Dockerfile").unlink()
    module(folder)
    assert call(folder).err == dockerfile.err
    assert 'line 2: key "usr" is unknown' in dockerfile.err


@pytest.mark.slow
def test_a_file_for_go_alone_says_nothing_of_a_dockerfile(folder):
    """With front-door = "go"; a Dockerfile that is named is built as it is."""
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "wherry.toml").write_text('[build]\nfront-door = "go"\nbase = "scratch"\nuser = "9"\n')

    assert call(folder, "-f", "Dockerfile").config.user == ""


def test_a_service_is_a_go_package():
    """It can't be a Dockerfile, and that is said."""
    with pytest.raises(WrongKey) as caught:
        Settings.parse('[services.api]\npackage = "."\nfront-door = "dockerfile"\n')

    assert (caught.value.line, caught.value.key) == (3, "front-door")


def test_a_folder_in_its_place(tmp_path):
    """What it would have asked for is unknown, so nothing is built."""
    wherry = Shell(tmp_path)
    wherry.module()
    (tmp_path / "wherry.toml").mkdir()

    wherry("build", code=78)

    assert "wherry.toml: is a directory" in wherry.err
    wherry("images")
