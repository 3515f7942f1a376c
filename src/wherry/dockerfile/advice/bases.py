"""Advice about the images that stages begin with and copy from: `latest`, tags that can move."""

from wherry.dockerfile import instructions as of
from wherry.dockerfile.advice.images import ImageName
from wherry.dockerfile.advice.stages import Advised


def judge_bases(file: Advised) -> None:
    """Find bases without a version or a digest."""
    for stage in file.wanted:
        if stage.below is None:
            _judge(file, stage.image, stage.stage.base)
        for instruction in stage.stage.instructions:
            if isinstance(instruction, of.Copy) and instruction.from_ and file.graph.named(instruction.from_) is None:
                _judge(file, instruction.from_, instruction)


def _judge(file: Advised, image: str, where: of.Instruction) -> None:
    if not image or image == "scratch" or not file.around.valid(image):
        return
    name = ImageName.parse(image)
    if name.digest or file.around.pinned(image):
        return
    if name.tag in ("", "latest"):
        file.add("latest-tag", where, image)
    else:
        file.add("unpinned-base", where, image)
