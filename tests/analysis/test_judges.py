"""Judges give findings of what is questionable in an image."""

import msgspec
import pytest

from small_images import put_image
from wherry.analysis.judges import JUDGES, judge
from wherry.oci.image import Image
from wherry.store.images import read_image
from wherry.store.memory import MemoryStore


def image_as(user: str, entrypoint: tuple[str, ...] | None = ("/hello",)) -> Image:
    """Make an image whose program runs as a user."""
    store = MemoryStore()
    image = read_image(store, put_image(store))
    runtime = msgspec.structs.replace(image.config.runtime, user=user, entrypoint=entrypoint)
    config = msgspec.structs.replace(image.config, config=runtime)
    return Image.of(image.descriptor, image.manifest, config)


@pytest.mark.parametrize("user", ["", "0", "root", "0:0", "root:staff"])
def test_root_is_found(user):
    """A program that runs as root is named, with what the config says."""
    (finding,) = judge(image_as(user))

    assert (finding.rule, finding.place) == ("root-user", "linux/amd64")
    assert user in finding.evidence[0]


@pytest.mark.parametrize("user", ["65532", "65532:65532", "nonroot"])
def test_others_are_fine(user):
    """Any other user gives no finding."""
    assert list(judge(image_as(user))) == []


def test_an_image_without_a_program_is_not_judged():
    """A base that starts nothing has no user to be judged."""
    assert list(judge(image_as("", None))) == []
    assert JUDGES
