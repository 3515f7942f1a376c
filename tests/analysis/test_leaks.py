"""What a program tells, found where a build put it; judged by go and readelf."""

import os
import subprocess
from pathlib import Path

import pytest

from needs import need
from planted import AWS, GITHUB, PASSWORD, SECRETS, VARIABLE, Planted
from wherry.analysis.leaks import Leaks, leaks_of
from wherry.analysis.mapped import map_file
from wherry.finding import Severity

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A program with something planted in every place."""
    made = Planted(tmp_path_factory.mktemp("leaks"))
    made.write()
    return made


@pytest.fixture(scope="module")
def builds(planted):
    """Its builds: as Go does it, trimmed, and trimmed and stripped; each with flags whose text says something."""
    told = ("-gcflags=-I=/opt/plantedgcflag/x", "-tags=plantedtag")
    return {
        "plain": planted.build("plain", *told),
        "trimmed": planted.build("trimmed", "-trimpath", *told),
        "stripped": planted.build("stripped", "-trimpath", *told, ldflags="-s -w"),
    }


@pytest.fixture(scope="module")
def leaks(builds):
    """What each tells."""
    return {name: leaks_of(map_file(path), name) for name, path in builds.items()}


def rules(found: Leaks, text: str) -> set[str]:
    """Name the rules whose evidence has a text."""
    return {one.rule for one in found.findings if any(text in line for line in (one.place, *one.evidence))}


PLACES = [
    ("plantedmain", {"untrimmed-paths"}, set(), set()),
    ("plantedcache", {"untrimmed-paths"}, set(), set()),
    ("GOROOT", {"untrimmed-paths"}, set(), set()),
    ("plantedreplace", {"untrimmed-paths", "replaced-by-folder"}, {"replaced-by-folder"}, {"replaced-by-folder"}),
    ("plantedline", {"line-paths"}, {"line-paths"}, {"line-paths"}),
    ("plantedheader", {"c-paths", "line-paths", "flag-paths"}, {"c-paths", "line-paths"}, {"c-paths"}),
    ("plantedrpath", {"run-path"}, {"run-path"}, {"run-path"}),
    ("plantedgcflag", {"flag-paths"}, {"flag-paths"}, {"flag-paths"}),
    ("plantedtag", {"flag-text"}, {"flag-text"}, {"flag-text"}),
    ("plantedvalue", {"x-values"}, {"x-values"}, set()),
    ("APIToken", {"x-secret", "flag-text"}, {"x-secret"}, set()),
    ("plantedhome", {"data-paths"}, {"data-paths"}, {"data-paths"}),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[0])
def test_each_place(leaks, place):
    """Each is found where it is, and by no rule where -trimpath or -s takes it away."""
    text, *expected = place

    assert [rules(leaks[name], text) for name in ("plain", "trimmed", "stripped")] == expected


@pytest.mark.parametrize("name", ["plain", "trimmed", "stripped"])
def test_secrets(leaks, name):
    """Each is found in every build, with section and offset, and nowhere told whole."""
    found = leaks[name]

    assert {"secret-aws-key", "secret-github", "secret-password", "secret-url"} <= {one.rule for one in found.findings}
    assert not [secret for secret in SECRETS if secret in repr(found)]
    assert next(one for one in found.findings if one.rule == "secret-aws-key").place.startswith(".rodata, offset 0x")


@pytest.mark.parametrize("name", ["plain", "trimmed", "stripped"])
def test_offsets_are_the_file_s(leaks, builds, name):
    """An offset leads to the secret."""
    content = builds[name].read_bytes()
    places = {one.rule: int(one.place.rpartition("0x")[2], 16) for one in leaks[name].findings if "offset" in one.place}

    assert content[places["secret-aws-key"] :].startswith(AWS.encode())
    assert content[places["secret-github"] :].startswith(GITHUB.encode())
    assert content[places["data-paths"] :].startswith(b"/home/plantedhome")


def test_the_worst_comes_first(leaks):
    """Errors, then warnings, then notes."""
    order = [one.severity for one in leaks["plain"].findings]

    assert order == sorted(order, key=[Severity.ERROR, Severity.WARNING, Severity.NOTE].index)


def test_one_cause_is_one_finding(leaks):
    """Hundreds of paths of an untrimmed program are one finding with counts."""
    (found,) = [one for one in leaks["plain"].findings if one.rule == "untrimmed-paths"]

    assert int(found.message.split()[0]) > 200
    assert len(found.evidence) < 16


@pytest.mark.parametrize("name", ["plain", "trimmed", "stripped"])
def test_go_says_the_same(planted, builds, leaks, name):
    """What `go version -m` prints of planted texts is what the build info's findings have, and no more."""
    said = planted.go("version", "-m", str(builds[name]))

    for text in ("plantedreplace", "plantedgcflag", "plantedtag", "plantedvalue", "plantedheader"):
        told = any(one.place.startswith("build info") and text in repr(one) for one in leaks[name].findings)
        assert told == (text in said), text
    assert (VARIABLE in said) == (name == "plain")


@pytest.mark.parametrize("name", ["plain", "trimmed", "stripped"])
def test_readelf_says_the_same(builds, leaks, name):
    """Folders of DWARF and of the dynamic section, as readelf reads them."""
    program = need("readelf")

    def said(*words: str) -> str:
        return subprocess.run(
            [program, *words, str(builds[name])], capture_output=True, check=True, text=True, errors="replace"
        ).stdout

    lines = said("--debug-dump=rawline")
    for text in ("plantedline", "plantedheader", "plantedmain", "plantedcache"):
        told = any(".debug_line" in one.place and text in repr(one) for one in leaks[name].findings)
        assert told == (text in lines), text
    assert "plantedrpath" in said("-d")


def test_vendored(planted):
    """A vendor folder is the main module's; trimmed, it tells nothing."""
    planted.go("mod", "tidy")
    planted.go("mod", "vendor")
    try:
        plain = leaks_of(map_file(planted.build("v", "-mod=vendor")), "v")
        trimmed = leaks_of(map_file(planted.build("vt", "-mod=vendor", "-trimpath")), "vt")
    finally:
        planted.go("clean")

    assert rules(plain, "plantedmain") == {"untrimmed-paths"}
    assert rules(trimmed, "plantedmain") == set()


def test_what_is_looked_for(builds):
    """A text of the user's own is found, and only where it is."""
    found = leaks_of(map_file(builds["stripped"]), "x", ("plantedhome", "not there at all"))

    (own,) = [one for one in found.findings if one.rule == "looked-for"]
    assert own.evidence == (f"{own.place}: plantedhome",)


def test_a_password_is_hidden_in_recorded_flags(leaks):
    """The text of -ldflags is shown without the values of -X."""
    assert PASSWORD not in repr(leaks["plain"])
    (text,) = [one for one in leaks["plain"].findings if one.rule == "flag-text"]
    assert any("-X main.APIToken=…" in line for line in text.evidence)


@pytest.mark.parametrize("program", ["crane", "registry", "etcd", "skopeo"])
def test_real_programs_have_no_secrets(program):
    """No constant of a big program is taken for a secret."""
    found = leaks_of(map_file(Path(need(program))), program)

    assert not [one for one in found.findings if one.rule.startswith(("secret-", "x-secret", "c-paths"))]


def test_the_example_service(tmp_path):
    """Our own service, as wherry builds its programs, tells nothing but its tags."""
    folder = Path(__file__).resolve().parents[2] / "examples" / "videometa"
    binary = tmp_path / "videometa"
    command = [
        need("go"),
        "build",
        "-trimpath",
        "-ldflags=-s -w",
        "-buildvcs=false",
        "-o",
        str(binary),
        "./cmd/videometa",
    ]
    subprocess.run(command, cwd=folder, check=True)

    found = leaks_of(map_file(binary), "videometa")

    assert found.findings == ()
    assert "-X" in found.unseen[0]


def test_a_revision_is_told(tmp_path):
    """What git says is in the build info, as a note."""
    module = {"go.mod": "module example.com/app\n\ngo 1.20\n", "main.go": "package main\n\nfunc main() {}\n"}
    for name, text in module.items():
        (tmp_path / name).write_text(text)
    git = [need("git"), "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=n@example.com"]
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        subprocess.run([*git, *words], check=True)
    command = [need("go"), "build", "-trimpath", "-buildvcs=true", "-o", "out", "."]
    subprocess.run(command, cwd=tmp_path, check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    (found,) = [one for one in leaks_of(map_file(tmp_path / "out"), "x").findings if one.rule == "revision"]

    assert found.severity is Severity.NOTE
    assert f"vcs.revision={commit}" in found.evidence


def test_a_workspace_tells_no_path(planted):
    """What the remedy of a local replace says is so: with a go.work file no path is recorded."""
    (planted.root / "go.work").write_text("go 1.20\n\nuse (\n\t./plantedmain\n\t./plantedreplace\n)\n")
    text = (planted.module / "go.mod").read_text()
    (planted.module / "go.mod").write_text(text.partition("replace ")[0])
    try:
        binary = planted.build("worked", "-mod=readonly", "-trimpath")
    finally:
        (planted.root / "go.work").unlink()
        (planted.module / "go.mod").write_text(text)

    assert rules(leaks_of(map_file(binary), "worked"), "plantedreplace") == set()


def test_mach_o_and_pe(tmp_path):
    """Of programs of other systems build info, the table of files and strings are read."""
    (tmp_path / "go.mod").write_text("module example.com/app\n\ngo 1.20\n")
    (tmp_path / "main.go").write_text(f'package main\n\nfunc main() {{ println("{AWS}") }}\n')
    for system in ("darwin", "windows"):
        subprocess.run(
            [need("go"), "build", "-buildvcs=false", "-tags=plantedtag", "-o", system, "."],
            cwd=tmp_path, check=True, env={**os.environ, "GOOS": system, "GOARCH": "amd64", "CGO_ENABLED": "0"},
        )  # fmt: skip

        found = leaks_of(map_file(tmp_path / system), system)

        assert {one.rule for one in found.findings} == {"untrimmed-paths", "flag-text", "secret-aws-key"}
        assert found.go.startswith("go1.")
