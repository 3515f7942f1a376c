"""A step of CI that verifies a module's dependencies, written for GitHub Actions or GitLab."""

from dataclasses import dataclass
from pathlib import Path

from wherry.app.modules import go_settings
from wherry.app.session import Session
from wherry.errors import CannotWrite, InvalidUsage, NotFound
from wherry.store.files import replacing

GITHUB, GITLAB = "github", "gitlab"
_PLACES = {GITHUB: ".github/workflows/modules.yml", GITLAB: ".gitlab/modules.yml"}
_VENDOR = [
    "# vendor/ is what go.mod and go.sum give: nothing was added, changed or left out.",
    "go mod vendor",
    'test -z "$(git status --porcelain -- go.mod go.sum vendor | tee /dev/stderr)"',
]
_VERIFY = [
    "# Module cache and vendor/ against go.sum, go.sum against the checksum database.",
    "wherry modules verify",
]
_INSTALL = "pipx install 'wherry[trust]'"


@dataclass(frozen=True, slots=True)
class CiStep:
    """What was written, or would be."""

    place: Path
    text: str
    note: str = ""
    """What is left to do."""


def ci_step(session: Session, system: str = "") -> CiStep:
    """Make the file for the session's module.

    Args:
        session: its folder is in the module.
        system: `github` or `gitlab`; empty: by the files that are there.

    Raises:
        NotFound: there is no go.mod.
        InvalidUsage: GOSUMDB is off, or the system is neither.
    """
    module = next((up for up in (session.cwd, *session.cwd.parents) if (up / "go.mod").is_file()), None)
    if module is None:
        raise NotFound(f"{session.cwd}: not in a Go module", hint="run it next to go.mod")
    top = next((up for up in (module, *module.parents) if (up / ".git").exists()), module)
    system = system or (GITLAB if (top / ".gitlab-ci.yml").is_file() else GITHUB)
    if system not in _PLACES:
        raise InvalidUsage(f"{system}: unknown CI system", hint="choose github or gitlab")
    database = go_settings(session, module)["GOSUMDB"]
    if database == "off":
        raise InvalidUsage("GOSUMDB=off: a step without the checksum database proves little", hint="unset GOSUMDB")
    script = [*(_VENDOR if (module / "vendor" / "modules.txt").is_file() else []), *_VERIFY]
    inside = module.relative_to(top).as_posix()
    write = _github if system == GITHUB else _gitlab
    note = "" if system == GITHUB else f"include it in .gitlab-ci.yml: include: {{ local: /{_PLACES[GITLAB]} }}"
    return CiStep(top / _PLACES[system], write(inside, database, script), note)


def write_ci_step(step: CiStep, *, force: bool = False) -> None:
    """Write it.

    Raises:
        CannotWrite: there is a file, and it may not be replaced; or the folder cannot be written.
    """
    if step.place.exists() and not force:
        raise CannotWrite(f"{step.place}: exists already", hint="add --force to replace it, or use --stdout")
    try:
        step.place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"{step.place}: {error.strerror}", hint="check the directory's mode") from error
    with replacing(step.place) as file:
        file.write(step.text.encode())


def _github(folder: str, database: str, script: list[str]) -> str:
    lines = "\n".join(f"          {line}" for line in script)
    path = "" if folder == "." else f"{folder}/"
    return f"""# Written by `wherry ci init`.
name: modules
on: [push, pull_request]
permissions:
  contents: read
jobs:
  verify:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-go@v5
        with:
          go-version-file: {path}go.mod
      - run: {_INSTALL}
      - name: Verify modules
        working-directory: {folder}
        env:
          # The runner's own settings must not switch the checksum database off.
          GOSUMDB: {database}
        run: |
{lines}
"""


def _gitlab(folder: str, database: str, script: list[str]) -> str:
    lines = "\n".join(f"      {line}" for line in script)
    return f"""# Written by `wherry ci init`.
verify-modules:
  image: golang:latest
  variables:
    # The runner's own settings must not switch the checksum database off.
    GOSUMDB: {database}
  before_script:
    - apt-get update && apt-get install -y pipx
    - {_INSTALL}
    - export PATH="$PATH:$HOME/.local/bin"
  script:
    - |
      set -e
      cd {folder}
{lines}
"""  # noqa: S608 - YAML that has the word "update", not SQL
