"""Budgets as a user meets them: `wherry check`, and the gate in `wherry build`."""

import json

import pytest

from built_images import file, put_layers
from cli_shell import Shell
from needs import need
from wherry.oci.config import History

MAIN = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hi") }\n'
BIGGER = (
    'package main\n\nimport ("encoding/json"; "os")\n\nfunc main() { json.NewEncoder(os.Stdout).Encode(os.Args) }\n'
)
SERVICE = """[build]
platforms = ["linux/amd64", "linux/arm64"]

[services.app]
package = "."
tags = ["app:dev"]

"""

pytestmark = pytest.mark.slow


@pytest.fixture
def wherry(tmp_path):
    """A shell in a module with one service, for two platforms."""
    need("go")
    shell = Shell(tmp_path)
    shell.write("go.mod", "module example.com/app\n\ngo 1.21\n")
    shell.write("main.go", MAIN)
    shell.write("wherry.toml", SERVICE)
    shell("build")
    return shell


def budgets(wherry: Shell, text: str) -> None:
    """Give the service budgets."""
    wherry.write("wherry.toml", f"{SERVICE}[budgets]\n{text}\n")


def rows(wherry: Shell, *arguments: str, code: int = 0) -> list[dict]:
    """Check, and give what was measured."""
    wherry("check", *arguments, "--json", code=code)
    return json.loads(wherry.out)["budgets"]


def test_what_is_measured_is_what_is_there(wherry):
    """Each measure is that of the manifest and the files; own and base are the whole, on both platforms."""
    keys = ("unpacked", "pulled", "own-unpacked", "own-pulled", "base-unpacked", "base-pulled", "binary")
    budgets(wherry, "".join(f'{key} = "50MB"\n' for key in keys))
    wherry("inspect", "app:dev", "--json")
    images = {image["platform"]: image for image in json.loads(wherry.out)["images"]}

    found = {(row["platform"], row["what"]): row["actual"] for row in rows(wherry)}
    assert {platform for platform, _ in found} == {"linux/amd64", "linux/arm64"}
    for platform, image in images.items():
        assert found[platform, "pulled"] == sum(layer["pulled"] for layer in image["layers"])
        assert found[platform, "unpacked"] == sum(layer["unpacked"] for layer in image["layers"])
        assert found[platform, "own-pulled"] == image["layers"][-1]["pulled"]
        assert found[platform, "own-unpacked"] == found[platform, "binary"] == image["layers"][-1]["unpacked"]
        for what in ("pulled", "unpacked"):
            assert found[platform, f"own-{what}"] + found[platform, f"base-{what}"] == found[platform, what]


def test_a_limit_is_kept_to_the_byte(wherry):
    """What is as big as it may be holds; a byte less is broken, and it says by how much, of what, and what now."""
    budgets(wherry, "pulled = '9MB'")
    pulled = max(row["actual"] for row in rows(wherry))
    budgets(wherry, f"pulled = {pulled}")
    assert all(row["ok"] for row in rows(wherry))

    budgets(wherry, f"pulled = {pulled - 1}")
    broken = [row for row in rows(wherry, code=1) if not row["ok"]]
    assert [row["actual"] - row["limit"] for row in broken] == [1]
    assert "application/vnd.oci.image.layer.v1.tar+gzip, level " in broken[0]["detail"]
    assert broken[0]["most"][0].startswith("layers: the one with /app/app ")
    assert broken[0]["most"][1].startswith("modules of /app/app: std ")
    assert "wherry size app:dev" in broken[0]["remedy"]
    wherry("check", code=1)
    assert "more than the budget of" in wherry.out


def test_modules_and_packages(wherry):
    """Own bytes are judged; of one that is not there it is said that nothing is."""
    budgets(
        wherry,
        'binary = "9MB"\n[budgets.modules]\nstd = "100kB"\n"example.com/none" = "1kB"\n'
        '[budgets.packages]\nruntime = "10kB"\nfmt = "900kB"',
    )
    found = {row["what"]: row for row in rows(wherry, code=1) if row["platform"] == "linux/amd64"}

    wherry("size", "app:dev", "--platform", "linux/amd64", "--json")
    binary = json.loads(wherry.out)["binaries"][0]
    sizes = {row["path"]: row["bytes"] for row in (*binary["modules"], *binary["packages"])}
    assert found["module std"]["actual"] == sizes["std"]
    assert found["package runtime"]["actual"] == sizes["runtime"]
    assert {what: row["ok"] for what, row in found.items()} == {
        "binary": True, "module std": False, "module example.com/none": True, "package runtime": False,
        "package fmt": True,
    }  # fmt: skip
    assert found["module example.com/none"]["detail"] == "it is not in the image"
    assert found["module std"]["most"][0].startswith("packages: runtime ")
    assert found["package runtime"]["most"][0].startswith("kinds: code ")


def test_figures_that_are_committed(wherry):
    """They are the same bytes each time; growth above them is broken, and writing them anew accepts it."""
    budgets(wherry, 'growth-unpacked = "50kB"\ngrowth-pulled = "2%"\nagainst = "figures.json"')
    wherry("check", code=66)
    assert "wherry check --write-figures=figures.json" in wherry.err
    wherry("check", "--write-figures")
    first = (wherry.root / "figures.json").read_bytes()
    wherry("check", "--write-figures=figures.json")
    assert (wherry.root / "figures.json").read_bytes() == first
    assert sorted(json.loads(first)["images"]["app"]) == ["linux/amd64", "linux/arm64"]
    assert all(row["ok"] for row in rows(wherry))

    wherry.write("main.go", BIGGER)
    wherry("build", code=1)
    assert "growth-unpacked" in wherry.err
    broken = [row for row in rows(wherry, code=1) if not row["ok"]]
    assert {row["what"] for row in broken} == {"growth-unpacked", "growth-pulled"}
    assert broken[0]["most"][0].startswith("modules that grew: std ")

    wherry("check", "--write-figures")
    wherry("build")


def test_figures_of_others_stay(wherry):
    """Writing those of one image leaves what the file has of others."""
    wherry.write("figures.json", '{"schema": "wherry.figures/1", "images": {"other": {}}}')
    wherry("check", "app", "--write-figures")

    assert sorted(json.loads((wherry.root / "figures.json").read_text())["images"]) == ["app", "other"]

    wherry.write("figures.json", '{"schema": "wherry.figures/2"}')
    wherry("check", "--write-figures", code=65)


def test_growth_above_an_image(wherry):
    """What an image was before a build counts, also where the build takes its name."""
    wherry("tag", "app:dev", "app:released")
    for command in ("check", "build"):
        wherry(command, "--against", "app:released", code=64)
        assert "no budget limits growth" in wherry.err
    budgets(wherry, 'growth-unpacked = "50kB"')
    wherry("check", code=64)
    assert "--against" in wherry.err
    assert all(row["ok"] for row in rows(wherry, "--against", "app:released"))

    wherry.write("main.go", BIGGER)
    wherry("build", "--against", "app:dev", code=1)
    wherry("build", "--against", "app:released", code=1)
    assert "`wherry diff app:released app:dev`" in wherry.err
    assert [row["ok"] for row in rows(wherry, "app:dev", "--against", "app:released", code=1)] == [False, False]
    assert all(row["ok"] for row in rows(wherry, "app:released", "--against", "app:released"))


def test_a_remembered_build_is_judged_anew_where_the_image_it_counts_from_is_another(wherry):
    """A tag that leads elsewhere is another figure."""
    wherry("tag", "app:dev", "app:small")
    wherry.write("main.go", BIGGER)
    wherry("build", "-t", "app:big")
    wherry("tag", "app:big", "app:released")
    budgets(wherry, 'growth-unpacked = "50kB"\nagainst = "app:released"')
    for _ in range(3):
        wherry("build")
    assert "budgets met" not in wherry.err

    wherry("tag", "app:small", "app:released")
    wherry("build", code=1)


def test_the_gate(wherry):
    """An image over its budget is stored and named, and nothing else happens; calling again changes nothing."""
    budgets(wherry, 'unpacked = "1MB"')
    wherry.write("main.go", BIGGER)
    before = wherry.store.tags()["app:dev"]
    for _ in range(2):
        wherry("build", "-o", "type=oci,dest=out.tar", "--iidfile", "id", code=1)
        assert wherry.out == ""
        assert "unpacked" in wherry.err
    assert not (wherry.root / "out.tar").exists()
    assert not (wherry.root / "id").exists()
    assert wherry.store.tags()["app:dev"] != before

    wherry("build", code=1)
    wherry("build", "--json", code=1)
    assert [row["ok"] for row in json.loads(wherry.out)["budgets"]] == [False, False]
    wherry("build", "-o", "type=oci,dest=out.tar", "--no-budgets")
    assert (wherry.root / "out.tar").exists()


def test_a_remembered_build_is_judged_anew_where_the_budget_is_another(wherry):
    """A call that is answered from memory would give the same: its budgets, and what they count from, are inputs."""
    budgets(wherry, 'unpacked = "9MB"\ngrowth-pulled = "1kB"\nagainst = "figures.json"')
    wherry("check", "--write-figures")
    for _ in range(3):  # what was written a moment ago is not trusted at first
        wherry("build")
    assert "nothing changed" in wherry.err
    assert "budgets met" not in wherry.err  # no layer was read

    figures = json.loads((wherry.root / "figures.json").read_text())
    figures["images"]["app"]["linux/arm64"]["pulled"] = 5
    wherry.write("figures.json", json.dumps(figures))
    wherry("build", code=1)

    wherry("check", "--write-figures")
    wherry("build")
    budgets(wherry, 'unpacked = "1MB"')
    wherry("build", code=1)
    wherry("build", code=1)


def test_a_service_that_was_not_built(tmp_path):
    """What builds it is named; a folder without wherry.toml has nothing to check."""
    shell = Shell(tmp_path)
    shell.write("go.mod", "module example.com/app\n")
    shell("check", code=66)
    assert "wherry.toml" in shell.err

    shell.write("wherry.toml", SERVICE)
    shell("check", code=66)
    assert "`wherry build app`" in shell.err


def test_a_foreign_image(tmp_path):
    """It has no own part that its history tells; the whole is judged, and ko's layers are known."""
    shell = Shell(tmp_path)
    shell.write("go.mod", "module example.com/app\n")
    layers = [[file("etc/base", b"12345")], [file("app", b"123", 0o755)]]
    shell.store.tag("other:dev", put_layers(shell.store, layers))
    history = (History(created_by="bazel build ..."), History(created_by="ko build ko://example.com/app"))
    shell.store.tag("ko:dev", put_layers(shell.store, layers, history=history))

    shell.write("wherry.toml", '[budgets]\nunpacked = "1MB"\n')
    assert [row["actual"] for row in rows(shell, "other:dev")] == [8]
    shell.write("wherry.toml", '[budgets]\nown-unpacked = "1MB"\nbase-unpacked = 5\n')
    assert [row["actual"] for row in rows(shell, "ko:dev")] == [3, 5]
    shell("check", "other:dev", code=65)
    assert "does not record its base's layers" in shell.err
    shell.write("wherry.toml", '[budgets]\nbinary = "1MB"\n')
    shell("check", "other:dev", code=65)
    assert "the image contains no program" in shell.err


def test_a_dockerfile(tmp_path):
    """Its image has budgets where wherry.toml says that a Dockerfile is built; another budget is judged anew."""
    shell = Shell(tmp_path)
    shell.write("Dockerfile", "FROM scratch\nCOPY data /data\n")
    shell.write("data", "x" * 2000)
    shell.write("wherry.toml", '[build]\nfront-door = "dockerfile"\n\n[budgets]\nunpacked = "2kB"\n')
    for _ in range(2):
        shell("build", "-t", "data:dev")
    shell.write("wherry.toml", '[build]\nfront-door = "dockerfile"\n\n[budgets]\nunpacked = 1999\n')
    for _ in range(2):
        shell("build", "-t", "data:dev", code=1)
        assert "files: /data 2000" in shell.err
    shell("build", "-t", "data:dev", "--no-budgets")


def test_waste(tmp_path):
    """Bytes that no container sees are held to a limit in bytes, or in a part of all; to the byte."""
    shell = Shell(tmp_path)
    layers = [[file("a", b"1" * 700), file("b", b"2" * 300)], [file("a", b"3" * 700), file("c", b"2" * 300)]]
    shell.store.tag("foreign:dev", put_layers(shell.store, layers))

    for table, text, broken in (
        ("budget", 'waste = "700B"', []),
        ("budgets", "waste = 699", ["waste"]),
        ("budgets", 'waste = "35%"\nduplicates = "15%"\ndive-wasted = 1400', []),
        ("budgets", 'waste = "34%"\nduplicates = "14%"\ndive-wasted = 1399', ["waste", "duplicates", "dive-wasted"]),
    ):
        shell.write("wherry.toml", f"[{table}]\n{text}\n")
        found = rows(shell, "foreign:dev", code=1 if broken else 0)
        assert [row["what"] for row in found if not row["ok"]] == broken
    shell("check", "foreign:dev", code=1)
    assert "/a (layer 1, overwritten) 700" in shell.out

    shell.write("wherry.toml", '[budgets]\nwaste = "1MB"\n[budget]\nwaste = "2MB"\n')
    shell("check", "foreign:dev", code=78)
