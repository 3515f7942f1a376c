"""What a build looks at in a fresh program and in what it stands on, before any image is named."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.bases import Bases
from wherry.build.values import Compiled, Facts
from wherry.errors import InvalidUsage, WherryError
from wherry.finding import Finding, Severity
from wherry.oci.image import Image
from wherry.store.disk import DiskStore

if TYPE_CHECKING:
    from wherry.analysis.deps.image_root import ImageRoot


class CannotStart(WherryError):
    """The program would not start on the base; nothing was stored under a name."""

    exit_code = 65  # EX_DATAERR


def build_id(program: Path) -> str:
    """Read the GNU build ID of a program in hex; empty where there is no such file, or it has none."""
    from wherry.analysis.mapped import map_elf

    return map_elf(program).gnu_build_id if program.is_file() else ""


def warm() -> None:
    """Load what is needed once a program is compiled."""
    import wherry.analysis.closure
    import wherry.build.files
    import wherry.image.assemble
    import wherry.layer.compress
    import wherry.store.images  # noqa: F401 - loaded, not used

    with suppress(ImportError):  # it is missed, and reported, where it is needed
        import zlib_ng.zlib_ng  # noqa: F401 - as above


def judge(program: Path) -> Facts:
    """Read of a fresh program what the line has to know."""
    from wherry.analysis.closure import needs_of, reads_build_info

    needs = needs_of(program)
    return Facts(needs.interpreter, tuple(needs.libraries), reads_build_info(program), build_id(program))


def refuse_if_it_cannot_start(
    compiled: Compiled, program: Callable[[], Path], base: Image, store: DiskStore, cache: Path
) -> None:
    """Stop where the program asks for what its base has not.

    Args:
        compiled: what is known of the program.
        program: gives its file.
        base: what it is to start on.
        store: where the base is.
        cache: keeps the indexes of the base's layers.

    Raises:
        CannotStart: with what it asks for.
    """
    if not compiled.interpreter and not compiled.libraries:
        return
    from wherry.analysis.closure import start_findings

    findings = start_findings(program(), root=_root(base, store, cache), platform=base.platform)
    fatal = [finding for finding in findings if finding.severity is Severity.ERROR]
    if fatal:
        raise CannotStart(_why(compiled, fatal), hint=fatal[0].remedy)


def _root(base: Image, store: DiskStore, cache: Path) -> "ImageRoot":
    from tempfile import TemporaryDirectory

    from wherry.analysis.deps.image_root import read_root
    from wherry.app.layer_indexes import LayerIndexes

    layers = LayerIndexes(cache).of_image(store, base)
    with TemporaryDirectory(prefix="wherry-") as folder:
        return read_root(store, base, layers, Path(folder))


def refuse_unknown_user(user: str, base: Image, files: Mapping[str, str], bases: Bases) -> None:
    """Stop where an image would name a user that it does not have; numbers need no account.

    Args:
        user: `USER[:GROUP]`; empty: none is named.
        base: what the accounts are read of.
        files: what the image adds, sources by path.
        bases: reads the base.

    Raises:
        InvalidUsage: the base has no such user or group, nor has a file that is added.
    """
    if all(word.isdecimal() for word in user.split(":") if word):
        return
    from wherry.sandbox.accounts import LARGEST, AccountFiles

    paths = ("/etc/passwd", "/etc/group")
    texts = bases.texts(base, paths, LARGEST)
    for path in (path for path in paths if files.get(path)):
        texts[path] = Path(files[path]).read_bytes()[:LARGEST].decode(errors="replace")
    accounts = AccountFiles(*(texts.get(path, "") for path in paths))
    try:
        accounts.find(user)
    except InvalidUsage as error:
        known = ", ".join(line.partition(":")[0] for line in accounts.passwd.splitlines()[:8]) or "none"
        raise InvalidUsage(
            f"user {user}: {error.message}",
            hint=f"give the number, such as 65532, or add the account with --add passwd:/etc/passwd; it has: {known}",
        ) from error


def _why(compiled: Compiled, findings: Iterable[Finding]) -> str:
    lines = [f"{compiled.recipe['module.package']} cannot start on its base image"]
    for finding in findings:
        lines.append(f"  {finding.message}")
        lines.extend(f"    {evidence}" for evidence in finding.evidence)
    return "\n".join(lines)
