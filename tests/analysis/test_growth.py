"""What grew: changes sum up to the difference at every level, and causes are told apart."""

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.analysis.diff_images import difference
from wherry.analysis.growth import compare
from wherry.analysis.size import (
    BinarySize,
    FunctionSize,
    KindSize,
    LayerSize,
    ModuleSize,
    PackageSize,
    SizeDocument,
)

SUM = "h1:0123"
MODULES = ("std", "example.com/main", "example.com/lib", "")
PACKAGES = {
    "std": ("fmt", "runtime"), "example.com/main": ("main", "example.com/main/inner"),
    "example.com/lib": ("example.com/lib",), "": ("(linker)",),
}  # fmt: skip
KINDS = ("code", "pclntab", "data")


def binary(packages: dict[str, dict[str, int]], *, rest: int = 100, go: str = "go1.26.8", **said) -> BinarySize:
    """Make a program: functions with their bytes by package; each package has some bytes beside them."""
    versions = said.pop("versions", {})
    sums = said.pop("sums", {"example.com/lib": SUM})
    rows, modules = [], []
    for module in MODULES:
        inside = [package for package in PACKAGES[module] if package in packages]
        for package in inside:
            functions = tuple(
                FunctionSize(name=name, bytes=size, code=size) for name, size in packages[package].items()
            )
            size = sum(packages[package].values()) + rest
            rows.append(PackageSize(path=package, module=module, bytes=size, functions=functions))
        if inside:
            size = sum(row.bytes for row in rows if row.module == module)
            modules.append(
                ModuleSize(
                    path=module, version=versions.get(module, go if module == "std" else "v1.0.0" * bool(module)),
                    sum=sums.get(module, ""), bytes=size, packages=len(inside),
                )
            )  # fmt: skip
    size = sum(row.bytes for row in rows)
    kinds = (KindSize(kind="code", bytes=size - size // 3), KindSize(kind="data", bytes=size // 3))
    return BinarySize(
        name="hello", digest="", size=size, format="elf", go=go, package="example.com/main", module="example.com/main",
        stripped=True, reading="full", confidence={"exact": size}, kinds=tuple(one for one in kinds if one.bytes),
        sections=(), modules=tuple(modules), packages=tuple(rows), platform=said.pop("platform", "linux/amd64"), **said,
    )  # fmt: skip


FUNCTIONS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50_000), max_size=6)
PROGRAMS = st.builds(
    binary,
    st.fixed_dictionaries({"main": FUNCTIONS}, optional={
        package: FUNCTIONS for packages in PACKAGES.values() for package in packages if package != "main"
    }),
    rest=st.integers(0, 1000),
    go=st.sampled_from(["go1.25.3", "go1.26.8"]),
    versions=st.fixed_dictionaries({}, optional={"example.com/lib": st.sampled_from(["v1.0.0", "v1.1.0"])}),
    settings=st.fixed_dictionaries({}, optional={"GOAMD64": st.sampled_from(["v1", "v3"])}),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # building a program out of rows takes long
@given(PROGRAMS | st.none(), PROGRAMS)
def test_changes_sum_up_to_the_difference(before, after):
    """Of modules, packages, kinds and parts of a module, whatever the two programs are."""
    found = compare(before, after)
    change = after.size - (before.size if before else 0)

    assert found.change == change
    for rows in (found.modules, found.packages, found.kinds):
        assert sum(row.change for row in rows) == change
        assert [abs(row.change) for row in rows] == sorted((abs(row.change) for row in rows), reverse=True)
    for module in found.modules:
        assert module.change == module.grown + module.new - module.removed + module.rest
        packages = [row.change for row in found.packages if row.module == module.path]
        assert sum(packages) == module.change
    assert sum(row.change for row in found.functions) == sum(
        module.grown + module.new - module.removed for module in found.modules
    )
    assert found.change == found.code + found.tables + (found.toolchain.bytes if found.toolchain else 0)


LAYERS = st.lists(
    st.builds(
        LayerSize, platform=st.sampled_from(["linux/amd64", "linux/arm64"]), digest=st.sampled_from("abcdefgh"),
        media_type=st.just("tar"), pulled=st.integers(0, 100), unpacked=st.integers(0, 100),
        base=st.sampled_from([True, False, None]), made_by=st.sampled_from(["", "one", "two"]),
    ),
    min_size=1, max_size=6, unique_by=lambda layer: (layer.platform, layer.digest),
)  # fmt: skip


@given(LAYERS, LAYERS)
def test_layers_sum_up_to_the_difference(before, after):
    """Unpacked and pulled, on each platform that both have; a layer that both have is no change."""
    same = {(one.platform, one.digest): one for one in before}
    after = [same.get((one.platform, one.digest), one) for one in after]  # one digest is one content
    found = difference(
        SizeDocument(name="a", binaries=(), layers=tuple(before)),
        SizeDocument(name="b", binaries=(), layers=tuple(after)),
    )

    for image in found.images:
        sides = [[one for one in layers if one.platform == image.platform] for layers in (before, after)]
        unpacked, pulled = (
            [sum(getattr(one, what) for one in side) for side in sides] for what in ("unpacked", "pulled")
        )
        assert sum(layer.change for layer in image.layers) == image.change == unpacked[1] - unpacked[0]
        assert sum(layer.pulled for layer in image.layers) == image.pulled == pulled[1] - pulled[0]
    platforms = {one.platform for one in before} & {one.platform for one in after}
    assert {image.platform for image in found.images} == platforms


def causes(found) -> dict[str, str]:
    """Give the cause of each module's change."""
    return {module.path: module.cause for module in found.modules}


def test_the_same_toolchain():
    """A module with the same source changes by what is linked in; the main module by its code."""
    found = compare(
        binary({"main": {"a": 10}, "fmt": {"a": 10}, "example.com/lib": {"a": 10}}),
        binary({"main": {"a": 12}, "fmt": {"a": 10, "b": 5}, "example.com/lib": {"a": 10, "b": 9}}),
    )

    assert causes(found) == {"std": "linked", "example.com/main": "code", "example.com/lib": "linked"}
    assert found.toolchain is None
    assert found.code == 16


def test_another_toolchain():
    """What the same source became is what is expected of code that changed."""
    before = binary(
        {"main": {"a": 1000}, "fmt": {"a": 10}, "example.com/lib": {"a": 40_000}, "(linker)": {}}, go="go1.25.3"
    )
    after = binary(
        {"main": {"a": 1500, "new": 300}, "fmt": {"a": 20}, "example.com/lib": {"a": 44_000}, "(linker)": {}}
    )
    found = compare(before, after)

    assert causes(found) == {"std": "toolchain", "example.com/main": "code", "example.com/lib": "toolchain"}
    main = next(one for one in found.modules if one.path == "example.com/main")
    assert (main.grown, main.new, main.expected) == (500, 300, 100)
    assert found.toolchain is not None
    assert found.toolchain.ratio == 1.1
    assert (found.toolchain.basis, found.toolchain.basis_bytes) == ("1 module with the same source", 40_000)
    assert found.toolchain.bytes == 10 + 4000 + 100
    assert found.code == 700


def test_a_source_is_the_same_only_by_its_hash():
    """One version with two hashes, or without any, is code."""
    for sums in ({}, {"example.com/lib": "h1:other"}):
        found = compare(
            binary({"main": {}, "example.com/lib": {"a": 10}}, sums=sums and {"example.com/lib": SUM}),
            binary({"main": {}, "example.com/lib": {"a": 12}}, sums=sums),
        )
        assert causes(found) == {"example.com/lib": "code"}


def test_the_main_module_is_code_whatever_its_version():
    """Go names it after the commit."""
    found = compare(
        binary({"main": {"a": 1}}, versions={"example.com/main": "v0.0.0-1"}),
        binary({"main": {"a": 2}}, versions={"example.com/main": "v0.0.0-2"}),
    )

    assert [(one.cause, one.version_after) for one in found.modules] == [("code", "v0.0.0-2")]


def test_versions_and_flags():
    """A version is told with what it was; settings that differ are named, and make what they make."""
    found = compare(
        binary({"main": {"a": 1}, "fmt": {"a": 5}, "example.com/lib": {"a": 9}}, settings={"-trimpath": "true"}),
        binary(
            {"main": {"a": 1}, "fmt": {"a": 6}, "example.com/lib": {"a": 9}}, settings={"GOAMD64": "v3"},
            versions={"example.com/lib": "v1.1.0"},
        ),
    )  # fmt: skip

    assert causes(found) == {"std": "flags", "example.com/lib": "version"}
    assert [(one.name, one.before, one.after) for one in found.settings] == [
        ("-trimpath", "true", ""),
        ("GOAMD64", "", "v3"),
    ]
    lib = next(one for one in found.modules if one.path == "example.com/lib")
    assert (lib.version_before, lib.version_after) == ("v1.0.0", "v1.1.0")


def test_a_module_that_came_and_one_that_went():
    """All of their bytes are the change."""
    found = compare(
        binary({"main": {"a": 1}, "fmt": {"a": 5}}), binary({"main": {"a": 1}, "example.com/lib": {"a": 9}})
    )

    assert causes(found) == {"std": "removed", "example.com/lib": "added"}
    assert [one.change for one in found.modules] == [109, -105]


def test_programs_are_matched_by_platform_and_path():
    """A file is held against the image's program of its platform; what only one image has is new or gone."""
    arm = binary({"main": {"a": 5}}, platform="linux/arm64", path="/app/hello")
    amd = binary({"main": {"a": 7}}, path="/app/hello")
    other = binary({"main": {"b": 1}}, path="/app/other")
    layers = tuple(
        LayerSize(platform=platform, digest="a", media_type="", pulled=1, unpacked=1)
        for platform in ("linux/amd64", "linux/arm64")
    )
    image = SizeDocument(name="image", binaries=(arm, amd), layers=layers)
    file = SizeDocument(name="file", binaries=(binary({"main": {"a": 1}}),))

    found = difference(file, image)
    assert [(one.before, one.after) for one in found.binaries] == [(101, 107)]
    assert found.images == ()
    assert found.notes == ("only image has linux/arm64",)

    image = msgspec.structs.replace(
        image,
        binaries=tuple(msgspec.structs.replace(one, platform=f"{one.platform}/v3") for one in image.binaries),
        layers=tuple(msgspec.structs.replace(one, platform=f"{one.platform}/v3") for one in layers),
    )
    assert [(one.before, one.after) for one in difference(file, image).binaries] == [(101, 107)]
    layers = image.layers
    amd, other = (msgspec.structs.replace(one, platform="linux/amd64/v3") for one in (amd, other))

    more = SizeDocument(name="more", binaries=(amd, other), layers=layers[:1])
    assert [(one.before, one.after) for one in difference(image, more).binaries] == [(107, 107), (0, 101)]
