"""Plans of Go programs: what is done once, what comes in what order, and what is in no key."""

from dataclasses import replace
from pathlib import Path

from wherry.oci.config import RuntimeConfig
from wherry.plan.go import LayerOptions, ProgramTarget, base_step, plan_images
from wherry.plan.graph import AddedFile, CompileOp, FilesLayerOp, ProgramImageOp, key_of
from wherry.platform import Platform
from wherry.source.module import MainPackage

AMD64, ARM = Platform("linux", "amd64"), Platform("linux", "arm", "v7")
FILE = AddedFile("/etc/config", "/config", None)


def program(name: str) -> MainPackage:
    """A program of one module."""
    folder = Path("/src/cmd") / name
    return MainPackage(folder, Path("/src"), "example.com/m", f"example.com/m/cmd/{name}", name)


TARGET = ProgramTarget(
    package=program("api"),
    platforms=(AMD64,),
    flags=("-trimpath",),
    public=(),
    secrets_allowed=False,
    environment={"CGO_ENABLED": "0", "GOARCH": "of the user"},
    overrides={},
    go="go",
    stamp=True,
    base="static",
    base_content={"version": "1"},
    path="/app",
    added=(),
    changes=RuntimeConfig(),
    created="2026-01-01T00:00:00Z",
    annotations={},
    recipe={},
    packing=LayerOptions(algorithm="gzip", level=5, encoder="isal 1", mtime=0),
)


def kinds(*targets: ProgramTarget) -> list[str]:
    """Name the kinds of the steps, in order."""
    return [step.action.op for step in plan_images(targets, "here").steps]


def action(kind: type, *targets: ProgramTarget):
    """Give the only action of a kind."""
    (found,) = (step.action for step in plan_images(targets, "here").steps if isinstance(step.action, kind))
    return found


def test_one_program_on_one_platform():
    """Four steps; the image needs them all."""
    plan = plan_images([TARGET], "here")

    assert kinds(TARGET) == ["base", "compile", "layer of files", "image of a program"]
    assert plan.cache_scope == "here"
    assert plan.steps[-1].needs == tuple(step.name for step in plan.steps[:-1])


def test_the_base_is_shared():
    """Two programs on one base: it is read once for each platform."""
    both = replace(TARGET, platforms=(AMD64, ARM))
    other = replace(both, package=program("worker"))
    plan = plan_images([both, other], "here")

    assert kinds(both, other).count("base") == 2
    assert kinds(both, other).count("compile") == 4
    assert base_step(both, ARM) == base_step(other, ARM)
    assert len(plan.by_name) == len(plan.steps)


def test_files_come_below_the_program():
    """They change more seldom: their layer is pulled once."""
    plan = plan_images([replace(TARGET, added=(FILE,))], "here")
    layers = [plan.by_name[need].action for need in plan.steps[-1].needs[2:]]

    assert [layer.files for layer in layers if isinstance(layer, FilesLayerOp)] == [
        (FILE,),
        (AddedFile("", "/app", 0o755),),
    ]


def test_files_do_not_wait_for_the_compiler():
    """Only the program's layer needs it."""
    plan = plan_images([replace(TARGET, added=(FILE,))], "here")
    waiting = [step.name for step in plan.steps if "compile example.com/m/cmd/api linux/amd64" in step.needs]

    assert waiting == ["pack example.com/m/cmd/api linux/amd64", "assemble example.com/m/cmd/api linux/amd64"]


def test_the_platform_is_stronger_than_the_environment():
    """GOARCH of the user's shell does not decide what an image is."""
    compiled = action(CompileOp, replace(TARGET, platforms=(ARM,)))

    assert {name: compiled.environment[name] for name in ("GOOS", "GOARCH", "GOARM", "CGO_ENABLED")} == {
        "GOOS": "linux",
        "GOARCH": "arm",
        "GOARM": "7",
        "CGO_ENABLED": "0",
    }


def test_go_env_is_stronger_than_the_platform():
    """`--go-env GOARM=5`."""
    assert action(CompileOp, replace(TARGET, platforms=(ARM,), overrides={"GOARM": "5"})).environment["GOARM"] == "5"


def test_a_label_compiles_nothing_again():
    """What only the config has is only in the last step's key."""
    one = plan_images([TARGET], "here")
    other = plan_images([replace(TARGET, changes=RuntimeConfig(labels={"a": "b"}))], "here")
    same = [key_of(a.definition()) == key_of(b.definition()) for a, b in zip(one.steps, other.steps, strict=True)]

    assert same == [True, True, True, False]


def test_another_compression_only_packs_again():
    """The program and the base are the same."""
    other = replace(TARGET, packing=replace(TARGET.packing, algorithm="zstd"))
    changed = [
        after.action.op
        for before, after in zip(plan_images([TARGET], "").steps, plan_images([other], "").steps, strict=True)
        if before != after
    ]

    assert changed == ["layer of files"]


def test_what_an_image_says_of_itself():
    """It is handed on as it is."""
    assembled = action(ProgramImageOp, replace(TARGET, annotations={"a": "b"}, recipe={"c": "d"}))

    assert (assembled.platform, assembled.created) == (AMD64, "2026-01-01T00:00:00Z")
    assert (assembled.annotations, assembled.recipe) == ({"a": "b"}, {"c": "d"})
