"""Make a release: `--prepare VERSION` writes the version and CHANGELOG.md; VERSION builds what is published into dist/.

What is built comes from the commit, not from the working tree, in two folders, and has to be the same bytes. The wheel
is installed where nothing else is, and started. dist/ then has the wheel, the source distribution, SHA256SUMS and a
provenance of both. Nothing is uploaded: the release workflow does that, where PyPI knows who asks.

Sources: reproducible-builds.org, "SOURCE_DATE_EPOCH"; in-toto Statement v1; SLSA Provenance v1.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION_FILE = Path("src/wherry/__init__.py")
_VERSION = re.compile(r'(?m)^__version__ = "(.*)"$')
_FORM = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")


def main() -> int:
    """Prepare or build, as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("version", help="such as 1.2.0")
    parser.add_argument("--prepare", action="store_true", help="write the version and CHANGELOG.md, to be committed")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where the files go")
    asked = parser.parse_args()
    if not _FORM.fullmatch(asked.version):
        return _refuse(f"{asked.version}: not a version", "use X.Y.Z, X.Y.ZrcN")
    return _prepare(asked.version) if asked.prepare else _build(asked.version, asked.dist)


def _prepare(version: str) -> int:
    if _git("status", "--porcelain"):
        return _refuse("the working tree has changes", "commit or stash them")
    file = ROOT / VERSION_FILE
    file.write_text(_VERSION.sub(f'__version__ = "{version}"', file.read_text()))
    subprocess.run([sys.executable, "-m", "towncrier", "build", "--yes", "--version", version], cwd=ROOT, check=True)
    print(f"commit this, tag it v{version} and push the tag: .github/workflows/release.yml builds and publishes it")
    return 0


def _build(version: str, dist: Path) -> int:
    committed = _VERSION.search(_git("show", f"HEAD:{VERSION_FILE}"))
    if not committed or committed[1] != version:
        found = committed[1] if committed else "none"
        return _refuse(f"the commit has version {found}, not {version}", f"scripts/release.py --prepare {version}")
    with tempfile.TemporaryDirectory(prefix="wherry-release-") as made:
        first, second = (_built(Path(made, name)) for name in ("a", "another/place"))
        for one, other in zip(first, second, strict=True):
            if one.read_bytes() != other.read_bytes():
                return _refuse(f"{one.name} is not the same bytes twice: {_difference(one, other)}", "mend that first")
        _start(first[0] if first[0].suffix == ".whl" else first[1], Path(made, "venv"), version)
        shutil.rmtree(dist, ignore_errors=True)
        dist.mkdir(parents=True)
        files = [Path(shutil.copy(file, dist)) for file in first]
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    (dist / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    (dist / "provenance.intoto.json").write_text(json.dumps(_provenance(version, sums), indent=2) + "\n")
    for name, digest in sums.items():
        print(f"{digest}  {name}")
    return 0


def _built(folder: Path) -> list[Path]:
    """Build the commit in a folder of its own; give the wheel and the source distribution."""
    source = folder / "source"
    source.mkdir(parents=True)
    packed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(source)], input=packed, check=True)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": _git("log", "-1", "--format=%ct")}
    words = [sys.executable, "-m", "hatchling", "build", "-d", str(folder / "dist")]
    subprocess.run(words, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL)
    return sorted((folder / "dist").iterdir())


def _difference(one: Path, other: Path) -> str:
    """Name the first member of two archives that differs."""
    if one.suffix == ".whl":
        with zipfile.ZipFile(one) as a, zipfile.ZipFile(other) as b:
            for left, right in zip(a.infolist(), b.infolist(), strict=False):
                if (left.filename, left.date_time, left.CRC) != (right.filename, right.date_time, right.CRC):
                    return f"{left.filename}, {right.filename}"
    else:
        with tarfile.open(one) as c, tarfile.open(other) as d:
            for before, after in zip(c, d, strict=False):
                if (before.name, before.mtime, before.size) != (after.name, after.mtime, after.size):
                    return f"{before.name}, {after.name}"
    return "in the archive's own fields, or its end"


def _start(wheel: Path, place: Path, version: str) -> None:
    """Install the wheel where nothing else is; it starts, and has its pages."""
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    subprocess.run([str(place / "bin" / "pip"), "install", "--quiet", str(wheel)], check=True)
    said = subprocess.run([str(place / "bin" / "wherry"), "--version"], check=True, capture_output=True, text=True)
    if version not in said.stdout:
        raise SystemExit(_refuse(f"the wheel says that it is {said.stdout.strip()}", "build it from the commit"))
    subprocess.run([str(place / "bin" / "wherry"), "help", "exit-codes"], check=True, stdout=subprocess.DEVNULL)


def _provenance(version: str, sums: dict[str, str]) -> dict[str, object]:
    server, repository = os.environ.get("GITHUB_SERVER_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
    run = os.environ.get("GITHUB_RUN_ID", "")
    source = f"git+{server}/{repository}" if server and repository else "git+file:."
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sums.items()],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{source}#scripts/release.py",
                "externalParameters": {"version": version},
                "resolvedDependencies": [{"uri": source, "digest": {"gitCommit": _git("rev-parse", "HEAD")}}],
            },
            "runDetails": {
                "builder": {"id": f"{server}/{repository}/actions/runs/{run}" if run else "a working machine"},
            },
        },
    }


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _refuse(what: str, hint: str) -> int:
    print(f"error: {what}\nhint: {hint}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
