"""Size documents to make pages of: whole by construction, the same each time."""

import random

from wherry.analysis.size import (
    BinarySize,
    BudgetCheck,
    FileSize,
    FunctionSize,
    KindSize,
    LayerSize,
    ModuleSize,
    PackageSize,
    SectionSize,
    SizeDocument,
)  # fmt: skip

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&\u202egnp.exe\x1b[31m<!--"


def package_of(path: str, module: str, functions: dict[str, int], *, types: int = 0, inferred: int = 0) -> PackageSize:
    """Make a package of functions, and bytes that no function has."""
    total = sum(functions.values())
    confidence = {"exact": total + types, "inferred": inferred}
    return PackageSize(
        path=path, module=module, bytes=total + types + inferred,
        kinds={"code": total, "types": types, "rodata": inferred}, confidence=confidence,
        functions=tuple(FunctionSize(name=f"{path}.{name}", bytes=n, code=n) for name, n in functions.items()),
    )  # fmt: skip


def binary_of(packages: list[PackageSize], *, path: str = "/app/api", layer: int = 0, platform: str = "") -> BinarySize:
    """Make a program of packages; what every part of it must add up to follows from them."""
    total = sum(one.bytes for one in packages)
    names = dict.fromkeys(one.module for one in packages)
    modules = [
        ModuleSize(
            path=name, version="v1.2.3", packages=1, bytes=sum(one.bytes for one in packages if one.module == name),
            routes=(("main", "a", name),) if name == "example.com/dep" else (),
        )
        for name in names
    ]  # fmt: skip
    sure = {word: sum(one.confidence.get(word, 0) for one in packages) for word in ("exact", "inferred")}
    return BinarySize(
        name="api:dev /app/api", path=path, layer=layer, platform=platform, digest="sha256:" + "0" * 64, size=total,
        format="elf", go="go1.26.8", package="example.com/api", module="example.com/api", stripped=True,
        reading="full",
        confidence={**sure, "shared": 0, "unknown": 0}, kinds=(KindSize(kind="code", bytes=total),),
        sections=(SectionSize(name=".text", kind="code", bytes=total),), modules=tuple(modules),
        packages=tuple(packages),
    )  # fmt: skip


def small() -> SizeDocument:
    """Make an image of two layers, one hostile name in each place."""
    packages = [
        package_of("net/http", "std", {"(*Server).Serve": 50_000, "Get": 20_000}, types=9_000, inferred=1_000),
        package_of("fmt", "std", {"Println": 8_000}),
        package_of("example.com/dep", "example.com/dep", {"Do": 30_000, HOSTILE: 7_000}),
        package_of(HOSTILE, HOSTILE, {"F": 12_345}),
        package_of("(linker)", "", {}, types=4_000),
    ]
    binary = binary_of(packages, layer=2, platform="linux/amd64")
    base = (FileSize(path="/etc/ssl/certs.pem", bytes=220_000), FileSize(path=f"/{HOSTILE}", bytes=11))
    layers = [
        LayerSize(
            platform="linux/amd64", digest="sha256:" + "1" * 64, media_type="application/x", unpacked=220_011,
            pulled=100_000, made_by=HOSTILE, files=base,
        ),
        LayerSize(
            platform="linux/amd64", digest="sha256:" + "2" * 64, media_type="application/x", unpacked=binary.size,
            pulled=50_000, files=(FileSize(path="/app/api", bytes=binary.size),),
        ),
    ]  # fmt: skip
    checks = (BudgetCheck(what="pulled", limit=100_000, actual=150_000, ok=False),)
    return SizeDocument(name="api:dev", binaries=(binary,), layers=tuple(layers), budgets=checks)


def big() -> SizeDocument:
    """Make a program of 140 MB: 2,000 packages of 200 modules, 60,000 functions with names as long as real ones."""
    dice = random.Random(7)  # noqa: S311 - the same each time is the point
    packages = []
    for number in range(2000):
        module = f"github.com/organisation{number % 200}/project"
        path = f"{module}/internal/component{number}"
        functions = {
            f"(*SomeLongerTypeName{f}).MethodThatDoes{dice.randrange(10**9)}": int(dice.paretovariate(1.1) * 280)
            for f in range(30)
        }
        packages.append(package_of(path, module, functions, types=dice.randrange(9000), inferred=dice.randrange(900)))
    missing = 140_000_000 - sum(one.bytes for one in packages)
    packages.append(package_of("(debug)", "", {}, types=max(missing, 0)))
    return SizeDocument(name="big", binaries=(binary_of(packages),))
