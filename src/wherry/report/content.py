"""An image for a person at a prompt: what it is, its layers, where its bytes went."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from wherry.analysis.binary import MEANING, Binary
from wherry.analysis.build_secrets import shown_flags
from wherry.analysis.content import ImageContent, ImageProgram, LayerContent
from wherry.finding import Finding
from wherry.oci.image import Image
from wherry.report.terminal import printable, size, table

_LONGEST_CELL = 76
"""Characters of what made a layer; a RUN instruction can have thousands."""
_MOST_FOLDERS = 4


@dataclass(frozen=True, slots=True)
class Inspected:
    """One image with what was found in it."""

    image: Image
    content: ImageContent
    recipe: Mapping[str, object] = field(default_factory=dict)
    """What wherry wrote down of its making; empty for the images of others."""
    findings: tuple[Finding, ...] = ()
    """What is questionable in it."""


def overview(images: Sequence[Image]) -> list[str]:
    """Say which platforms an index has, and what each weighs on the wire."""
    rows = [("platform", "pulled", "layers", "manifest")]
    for image in images:
        stack = image.manifest.stack
        pulled = size(sum(layer.size for layer in stack))
        rows.append((str(image.platform), pulled, str(len(stack)), str(image.descriptor.digest)))
    return _indented(table(rows, right=(1, 2)))


def details(inspected: Inspected) -> list[str]:
    """Say what one image is, layer by layer and file by file."""
    image, content = inspected.image, inspected.content
    hidden = content.unpacked - content.size
    return [
        f"{image.platform}  {size(content.pulled)} pulled  {size(content.unpacked)} unpacked",
        *_indented(table(list(_facts(inspected)))),
        "",
        *_indented(table([_LAYER_HEAD, *(_layer(*pair) for pair in enumerate(content.layers, 1))], right=(0, 1, 2, 3))),
        "",
        *_indented(table(list(_bytes(content)), right=(0, 1))),
        *([f"  {size(hidden)} of the unpacked bytes are hidden by later layers"] if hidden > 0 else []),
        *_indented(_judged(inspected.findings)),
    ]


def document(inspected: Inspected) -> dict[str, object]:
    """Give the same values for a program; sizes are bytes, what is unknown or absent is null or empty."""
    image, content, runtime = inspected.image, inspected.content, inspected.image.config.runtime
    return {
        "platform": str(image.platform),
        "digest": image.descriptor.digest,
        "config": image.manifest.config.digest,
        "created": image.config.created,
        "entrypoint": runtime.entrypoint or (),
        "cmd": runtime.cmd or (),
        "user": runtime.user,
        "workingDir": runtime.working_dir,
        "env": runtime.env or (),
        "ports": list(runtime.exposed_ports or ()),
        "volumes": list(runtime.volumes or ()),
        "labels": runtime.labels or {},
        "annotations": image.manifest.annotations,
        "recipe": inspected.recipe,
        "pulled": content.pulled,
        "unpacked": content.unpacked,
        "visible": content.size,
        "files": content.files,
        "layers": [_layer_document(layer) for layer in content.layers],
        "biggest": [{"path": file.path, "size": file.size, "layer": file.layer + 1} for file in content.biggest],
        "folders": [{"path": folder.path, "files": folder.files, "size": folder.size} for folder in content.folders],
        "programs": [_program_document(program) for program in content.programs],
        "findings": [asdict(finding) for finding in inspected.findings],
    }


def _judged(findings: Iterable[Finding]) -> Iterator[str]:
    for finding in findings:
        yield printable(f"{finding.severity}: {finding.rule}: {finding.message} ({'; '.join(finding.evidence)})")
        yield printable(f"  remedy: {finding.remedy}")


def _layer_document(layer: LayerContent) -> dict[str, object]:
    return {
        "digest": layer.digest,
        "mediaType": layer.media_type,
        "pulled": layer.pulled,
        "unpacked": layer.unpacked,
        "files": layer.files,
        "madeBy": layer.made_by,
    }


def _program_document(program: ImageProgram) -> dict[str, object]:
    binary = program.binary
    if binary is None:
        return {"path": program.path, "problem": program.problem}
    return {
        "path": program.path,
        "size": binary.size,
        "architecture": binary.architecture,
        "interpreter": binary.interpreter,
        "symbols": binary.symbols,
        "dwarf": binary.dwarf,
        "parts": {part.kind: part.size for part in binary.parts},
        "go": binary.go
        and {
            "version": binary.go.go_version,
            "package": binary.go.path,
            "module": binary.go.main and {"path": binary.go.main.path, "version": binary.go.main.version},
            "modules": len(binary.go.modules),
            "settings": dict(binary.go.settings),
        },
    }


_LAYER_HEAD = ("layer", "pulled", "unpacked", "files", "made by")


def _layer(number: int, layer: LayerContent) -> tuple[str, ...]:
    made_by = _shortened(layer.made_by)
    return (str(number), size(layer.pulled), size(layer.unpacked), str(layer.files), made_by)


def created_text(created: str | None) -> str:
    """Write when an image was made; `-` where it says time 0, as reproducible images do, or nothing."""
    return "-" if not created or created.startswith("1970-01-01T00:00:00") else created[:16].replace("T", " ")


def _facts(inspected: Inspected) -> Iterator[tuple[str, str]]:
    """Give what the config says, a row each; what it does not say has no row."""
    image, runtime = inspected.image, inspected.image.config.runtime
    labels = {name: text for name, text in (runtime.labels or {}).items() if not name.startswith("dev.wherry.")}
    rows: list[tuple[str, Iterable[str]]] = [
        ("manifest", [image.descriptor.digest]),
        ("created", [created_text(image.config.created)]),
        ("entrypoint", [_words(runtime.entrypoint)]),
        ("cmd", [_words(runtime.cmd)]),
        ("user", [runtime.user]),
        ("workdir", [runtime.working_dir]),
        ("env", runtime.env or ()),
        ("ports", [", ".join(runtime.exposed_ports or ())]),
        ("volumes", [", ".join(runtime.volumes or ())]),
        ("labels", [f"{name}={text}" for name, text in sorted(labels.items())]),
        ("recipe", _recipe(inspected.recipe)),
    ]
    for name, texts in rows:
        for place, text in enumerate(text for text in texts if text):
            yield (name if place == 0 else "", printable(text))


def _words(words: Sequence[str] | None) -> str:
    """Show an argument list as a shell would take it."""
    import shlex

    return shlex.join(words or ())


def _recipe(recipe: Mapping[str, object]) -> list[str]:
    """Show the choices of a recipe that a reader asks about first, a line a subject."""

    def said(*path: str) -> str:
        here: object = recipe
        for name in path:
            here = here.get(name) if isinstance(here, dict) else None
        return here if isinstance(here, str) else ""

    go = [said("go", "version"), shown_flags(said("go", "flags")), said("module", "package")]
    withheld = [f"values of -X omitted: {said('go', 'withheld')}" if said("go", "withheld") else ""]
    base = [f"base {said('base', 'name')}" if said("base", "name") else "", said("base", "digest")]
    made = [f"wherry {said('wherry')}" if said("wherry") else "", said("layers", "encoder")]
    return ["  ".join(filter(None, line)) for line in (go, withheld, base, made)]


def _bytes(content: ImageContent) -> Iterator[tuple[str, str, str, str]]:
    """Give the biggest files, each program with its parts, then the rest by folder; shares are of all visible files."""
    programs = {program.path: program for program in content.programs}
    yield ("bytes", "share", "where", "")
    for file in content.biggest:
        program = programs.get(file.path)
        yield (size(file.size), _share(file.size, content.size), printable(file.path), _traits(program))
        if program and program.binary:
            for part in program.binary.parts:
                yield (size(part.size), _share(part.size, content.size), f"  {part.kind}", MEANING[part.kind])
    shown, rest = content.folders[:_MOST_FOLDERS], content.folders[_MOST_FOLDERS:]
    for folder in shown:
        yield (size(folder.size), _share(folder.size, content.size), printable(folder.path), _files(folder.files))
    if rest:
        left = sum(folder.size for folder in rest)
        yield (size(left), _share(left, content.size), "elsewhere", _files(sum(folder.files for folder in rest)))
    yield (size(content.size), _share(content.size, content.size), "total", _files(content.files))


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def _traits(program: ImageProgram | None) -> str:
    if program is None:
        return ""
    if program.binary is None:
        return f"broken: {printable(program.problem)}"
    return ", ".join(_of_binary(program.binary))


def _of_binary(binary: Binary) -> Iterator[str]:
    if binary.go:
        yield binary.go.go_version
        if binary.go.modules:
            yield f"{len(binary.go.modules)} module{'' if len(binary.go.modules) == 1 else 's'}"
    yield binary.architecture
    match (binary.symbols, binary.dwarf):
        case (False, False):
            yield "stripped"
        case (True, False):
            yield "symbols, no DWARF"
        case (False, True):
            yield "DWARF, no symbols"
        case _:
            yield "symbols and DWARF"
    yield f"loaded by {binary.interpreter}" if binary.interpreter else "static"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def _shortened(text: str) -> str:
    shown = printable(" ".join(text.split()))
    return shown if len(shown) <= _LONGEST_CELL else f"{shown[: _LONGEST_CELL - 1]}…"


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
