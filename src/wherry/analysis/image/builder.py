"""Files of a builder's image that are in another one, by content: whether a build and what it ships are apart."""

from collections.abc import Iterator

from wherry.analysis.image import index as kinds
from wherry.analysis.image.document import BuilderFile, BuilderFiles
from wherry.analysis.image.union import Union
from wherry.analysis.image.waste import text


def builder_files(image: Union, builder: Union, name: str, *, most: int) -> BuilderFiles:
    """Find what containers of an image see and containers of its builder saw too, by digest; empty files are left out.

    Args:
        image: the layers of the image.
        builder: those of the stage it was built in.
        name: what the builder is called.
        most: how many files are named, the biggest first; sums count all.

    Cost: one pass over each; memory for a digest and a path of each visible file of the builder.
    """
    there: dict[bytes, bytes] = {}
    for path, number in _files(builder):
        layer, row = builder.place(number)
        there.setdefault(builder.layers[layer].digest_of(row), path)
    sizes = [layer.column(0) for layer in image.layers]
    found: list[BuilderFile] = []
    seen: set[int] = set()
    for path, number in _files(image):
        layer, row = image.place(number)
        size, source = sizes[layer][row], there.get(image.layers[layer].digest_of(row))
        if source is not None and size and number not in seen:
            seen.add(number)
            found.append(BuilderFile(path=text(path), layer=layer + 1, bytes=size, builder_path=text(source)))
    found.sort(key=lambda file: (-file.bytes, file.path))
    return BuilderFiles(
        image=name,
        count=len(found),
        bytes=sum(file.bytes for file in found),
        files=tuple(found[:most]),
    )


def _files(union: Union) -> Iterator[tuple[bytes, int]]:
    for path, _, number in union.walk():
        layer, row = union.place(number)
        if union.layers[layer].kinds[row] == kinds.FILE:
            yield path, number
