"""What a base of Debian packages was made of, for a person at a prompt."""

from collections.abc import Iterator

from wherry.app.deb_bases import BuiltBase, BuiltBasePlatform
from wherry.report.terminal import printable, size, table

_MOST_EFFECTS = 6


def contents_lines(built: BuiltBase) -> Iterator[str]:
    """Write all platforms: packages with versions and bytes, what was left out, what no script did."""
    for one in built.platforms:
        yield from (printable(line) for line in _platform(one))


def _platform(one: BuiltBasePlatform) -> Iterator[str]:
    yield f"{one.platform}  {len(one.packages)} package{'s' * (len(one.packages) != 1)}"
    rows = [(package.name, package.version, size(package.bytes)) for package in one.packages]
    yield from (f"  {line}" for line in table(rows, right=(2,)))
    yield f"  {size(one.unpacked)} unpacked  {size(one.pulled)} pulled"
    for group, count in sorted(one.left_out.items()):
        how = ": they are in one file instead" if group == "certificates" else f"; --keep {group} keeps them"
        yield f"  left out: {group} {size(count)}{how}"
    for text in one.not_taken:
        yield f"  not taken: {text}: only maintainer scripts use it, or `without` names it"
    acting = [package for package in one.packages if package.scripts]
    if acting:
        yield "  maintainer scripts were not run; they would:"
    for package in acting:
        for effect in package.scripts[:_MOST_EFFECTS]:
            yield f"    {package.name}: {effect}"
        if len(package.scripts) > _MOST_EFFECTS:
            yield f"    {package.name}: and {len(package.scripts) - _MOST_EFFECTS} more; --json has all"
