"""Figures over time, and what differs between two builds."""

from pathlib import Path

import msgspec
import pytest

from recorded import BEGAN, DAY, built, digest_of
from wherry.errors import InvalidUsage, NotFound
from wherry.history.database import HistoryDatabase
from wherry.history.entry import StepFigures
from wherry.history.stories import steps_of, stories_of
from wherry.history.trends import KINDS, PULLED, Metric, change_of, jumps_of, metrics_of, points_of, thinned


@pytest.fixture
def history(tmp_path: Path):
    """Ten builds, of which the sixth brought a dependency and 10 % more bytes."""
    with HistoryDatabase(tmp_path) as found:
        found.add(
            built(
                number, pulled=5_000_000 if number < 5 else 5_500_000, revision=f"{number:040x}",
                requires={"example.com/a": "v1.0.0", **({"example.com/new": "v0.1.0"} if number >= 5 else {})},
                go="go1.26.8" if number < 5 else "go1.26.9",
            )
            for number in range(10)
        )  # fmt: skip
        found.add([built(50, unchanged=True, pulled=5_500_000)])
        yield found


def test_points_are_what_sql_says(history) -> None:
    """Each metric's statement runs, and its points are the calls'."""
    found = {one.kind.key: one for one in metrics_of(history)}

    assert set(found) == {"build-seconds", "again-seconds", "hits", "memory", "compiler-memory", "cpu"}
    assert len(KINDS) > len(found)
    assert [value for _, value in found["build-seconds"].points] == [built(number).seconds for number in range(10)]
    assert found["hits"].latest == 1.0


def test_before_and_after(history) -> None:
    """Medians at either end; a moment parts them where one is named."""
    metric = Metric(PULLED, points_of(history, PULLED, ("api:dev", "linux/amd64")))
    ends = change_of(metric)
    parted = change_of(metric, split=BEGAN + 5 * 3600)

    assert (ends.before, ends.after, ends.count_before) == (5_000_000, 5_500_000, 2)
    assert (parted.before, parted.after, parted.count_before, parted.count_after) == (5_000_000, 5_500_000, 5, 6)
    assert parted.share == pytest.approx(0.1)
    assert change_of(metric, split=BEGAN - DAY) is None


def test_a_jump_has_its_causes(history) -> None:
    """The one jump is found, and the story of its digest names commit, toolchain and dependency."""
    (jump,) = jumps_of(history, "api:dev", "linux/amd64")
    (story,) = stories_of(history, digest_of(5_500_000)[:19] + digest_of(5_500_000)[19:])

    assert (jump.before, jump.after) == (5_000_000, 5_500_000)
    assert story.entry.id == jump.call == built(5).id
    assert story.calls == 6
    assert [(one.what, one.name, one.before, one.after) for one in story.changes] == [
        ("commit", "", "0" * 12, "0" * 12),
        ("toolchain", "go", "go1.26.8", "go1.26.9"),
        ("dependency", "example.com/new", "", "v0.1.0"),
    ]
    assert story.missed[0].reasons == ("main.go changed",)


def test_what_is_no_digest(history) -> None:
    """It is refused where it is too short; a digest or a name that nothing has is not found."""
    with pytest.raises(InvalidUsage, match="too short"):
        stories_of(history, "SHA256:ab")
    with pytest.raises(NotFound, match="has this digest"):
        stories_of(history, "sha256:" + "e" * 64)
    with pytest.raises(NotFound, match="has this name"):
        stories_of(history, "api:prod")


def test_a_name_is_its_latest_digest(history) -> None:
    """A digest may be copied from where it is in capitals."""
    (named,) = stories_of(history, "api:dev")
    (copied,) = stories_of(history, digest_of(5_500_000).upper())

    assert named == copied
    assert named.image.digest == digest_of(5_500_000)


def test_steps_of_other_platforms_are_left_out() -> None:
    """Of a module's build each step names its platform; of a Dockerfile's those that the first one does not have."""
    entry = built(1)
    (image,) = entry.images
    other = msgspec.structs.replace(image, platform="linux/arm64")
    names = (
        "base static linux/amd64", "compile api linux/amd64", "compile api linux/arm64", "[a 1/2] COPY go.mod .",
        "[a 2/2] RUN make", "[linux/arm64 a 2/2] RUN make",
    )  # fmt: skip
    both = msgspec.structs.replace(entry, images=(image, other), steps=tuple(StepFigures(name=one) for one in names))

    assert [one.name for one in steps_of(both, image)] == [names[0], names[1], names[3], names[4]]
    assert [one.name for one in steps_of(both, other)] == [names[2], names[3], names[5]]
    assert len(list(steps_of(both, None))) == len(list(steps_of(entry, image))) + 5


def test_thinned_keeps_the_extremes() -> None:
    """A chart of 100 points shows the least and the most of 10,000."""
    points = [(float(place), float(place * 7919 % 10_007)) for place in range(10_000)]
    kept = thinned(points, 100)

    assert len(kept) <= 100
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    for extreme in (min, max):
        assert extreme(value for _, value in kept) == extreme(value for _, value in points)
