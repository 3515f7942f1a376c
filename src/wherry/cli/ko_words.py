"""The words of ko's command line, as wherry's own: taken as ko has them, or refused with the word to use.

Source: ko v0.18, its page of `ko build`, pkg/commands/options/{build,publish}.go; spf13/pflag, `BoolVar`
(`--x=false`) and `StringSliceVar` (values parted by commas).
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from wherry.cli.cluster_words import attach_word
from wherry.cli.grouped import GroupedCommand, be_verbose
from wherry.cli.world import World
from wherry.errors import InvalidUsage

F = TypeVar("F", bound=Callable[..., object])

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
"""What Go's strconv.ParseBool reads."""


class KoCommand(GroupedCommand):
    """A command whose switches can be written as pflag has them: `--push=false`, `-L=true`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite such switches, and parse."""
        return super().parse_args(ctx, list(self._rewritten(args)))

    def _rewritten(self, args: Iterable[str]) -> Iterator[str]:
        switches = {
            name: parameter
            for parameter in self.params
            if isinstance(parameter, click.Option) and parameter.is_flag
            for name in parameter.opts
        }
        words = iter(args)
        for word in words:
            if word == "--":
                yield word
                yield from words
                return
            name, equals, value = word.partition("=")
            if not equals or name not in switches or value not in _TRUE | _FALSE:
                yield word
            elif value in _TRUE:
                yield name
            elif switches[name].secondary_opts:
                yield switches[name].secondary_opts[0]


KO = (
    click.option("-j", "--jobs", type=click.IntRange(min=0), default=0, metavar="N", help="Steps that run at a time."),
    click.option("--image-refs", metavar="FILE", help="Write the image references to this file, one a line."),
    click.option("--tag-only", is_flag=True, help="Print references with the tag and without the digest."),
    click.option(
        "--disable-optimizations",
        is_flag=True,
        help="Go: compile for a debugger: -gcflags='all=-N -l', symbols and DWARF are kept.",
    ),
    click.option("--image-label", "image_labels", multiple=True, hidden=True),
    click.option("--image-annotation", "image_annotations", multiple=True, hidden=True),
    click.option("--image-user", hidden=True),
    click.option("--insecure-registry", is_flag=True, hidden=True),
    click.option("--oci-layout-path", hidden=True),
    click.option("--tarball", hidden=True),
    click.option(
        "--sbom",
        multiple=True,
        type=click.Choice(["spdx", "cyclonedx", "none"]),
        help="Attach an SBOM in this format to the image, in the local store and where it is pushed.",
    ),
    click.option("--provenance", is_flag=True, help="Attach SLSA provenance to the image, as --sbom does."),
    click.option(
        "--attach",
        default="referrers",
        metavar="referrers|index|both|NAME",
        callback=attach_word,
        help="Attach as OCI referrers, as BuildKit's attestations in the index (a new digest), or both. NAME: pick up "
        "this build in a cluster. [default: referrers]",
    ),
    click.option("--sbom-dir", hidden=True),
    click.option("--debug", "delve", is_flag=True, hidden=True),
    click.option("-v", is_flag=True, hidden=True, expose_value=False, callback=be_verbose),
)
"""ko's options; those that only are other words for wherry's are not shown (`wherry help from-ko`)."""


def from_ko(world: World, words: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Say in wherry's words what was said in ko's.

    Args:
        world: where.
        words: the options of a call, by name.
        given: those that were written, as they were written.

    Raises:
        InvalidUsage: a word means something else to ko, or is not there yet.
    """
    told = dict(words)
    _refuse(told)
    told["tags"] = tuple(_parted(words["tags"]))
    told["labels"] = (*words["labels"], *_parted(told.pop("image_labels")))
    told["annotations"] = (*words["annotations"], *_parted(told.pop("image_annotations")))
    told["user"] = words["user"] or told.pop("image_user")
    told["insecure"] = words["insecure"] or told.pop("insecure_registry")
    ambiguous = told.pop("ambiguous_tags")
    if ambiguous and _is_ko(world, words, given):
        text = ",".join(ambiguous)
        raise InvalidUsage(
            f"--tags {text}: image tags to ko, Go build tags to wherry",
            hint=f"image tags: -t {text}; Go build tags: --build-tags {text}",
        )
    told["go_tags"] = (*words["go_tags"], *ambiguous)
    _add_outputs(world, told)
    return told


def _refuse(told: dict[str, Any]) -> None:
    """Refuse what wherry does not have yet, by name."""
    if told.pop("delve"):
        raise InvalidUsage(
            "--debug: wherry does not put Delve into images",
            hint="use --disable-optimizations, and attach a debugger from a debug container",
        )
    if folder := told.pop("sbom_dir"):
        raise InvalidUsage(
            f"--sbom-dir {folder}: wherry attaches SBOMs to images",
            hint=f"use --sbom spdx, or wherry sbom -o {folder}/…",
        )


def _parted(texts: Iterable[str]) -> Iterator[str]:
    """Part values at commas, as CSV has them: a value in quotes keeps its own."""
    for text in texts:
        yield from (value for row in csv.reader([text]) for value in row if value)


def _is_ko(world: World, words: Mapping[str, Any], given: Mapping[str, str]) -> bool:
    """Tell whether a call, its environment or the folder is ko's."""
    if any(world.environment.get(name) for name in ("KO_DOCKER_REPO", "KO_CONFIG_PATH")):
        return True
    if {"repo", "style", "local"} & given.keys():
        return True
    folders = [world.cwd, *(world.cwd / path for path in words.get("paths", ()))]
    return any((above / ".ko.yaml").is_file() for folder in folders for above in _up_to_module(folder))


def _up_to_module(folder: Path) -> Iterator[Path]:
    for above in (folder, *folder.parents):
        yield above
        if (above / "go.mod").is_file():
            return


def _add_outputs(world: World, told: dict[str, Any]) -> None:
    """Write archives and layouts as ko does: next to what KO_DOCKER_REPO says, and not in its place."""
    layout, tarball = told.pop("oci_layout_path"), told.pop("tarball")
    asked = []
    if layout:
        asked.append(f"type=oci,tar=false,dest={layout}")
    if tarball:
        asked.append(f"type=docker,dest={tarball}")
    if not asked:
        return
    told["outputs"] = (*told.get("outputs", ()), *asked)
    repo = world.environment.get("KO_DOCKER_REPO", "")
    if repo and not told["repo"] and not any("/" in tag or ":" in tag for tag in told["tags"]):
        told["repo"] = repo
