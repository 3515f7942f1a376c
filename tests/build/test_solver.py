"""The engine: order, caching by keys, joining, and the words for a miss."""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from wherry.build.solver import ObservedInputs, Solver, StepOutcome, changes
from wherry.errors import WherryError
from wherry.plan.graph import BaseOp, FilesLayerOp, Plan, Step, key_of
from wherry.platform import Platform
from wherry.store.results import RESULTS, Results

AMD64 = Platform("linux", "amd64")


def take(name: str, *needs: str, **content: str) -> Step:
    """A step whose definition is a mapping."""
    return Step(name, BaseOp(name, AMD64, content), needs)


@dataclass
class World:
    """A performer whose steps read entries of a dict and give their text."""

    files: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    gone: set[bytes] = field(default_factory=set)
    meanwhile: Callable[[Step], None] = lambda _: None

    def look(self, step, needs, known):
        """Read the step's file, and what its needs gave."""
        fields = {"file": self.files.get(step.name, ""), **{need: needs[need].result.decode() for need in step.needs}}
        return ObservedInputs(key_of(fields), self.files.get(step.name, "").encode())

    def holds(self, step, result):
        """Say whether the result was taken away."""
        return result not in self.gone

    def do(self, step, needs, known):
        """Give a text made of all that is read."""
        self.meanwhile(step)
        self.done.append(step.name)
        seen = self.look(step, needs, known)
        text = self.files.get(step.name, "") + "".join(needs[need].result.decode() for need in step.needs)
        return f"{step.name}({text})".encode(), seen

    def explain(self, step, known, seen):
        """Compare the texts."""
        old, new = known.observed.decode(), seen.observed.decode()
        return (f"{old} became {new}",) if old != new else ()


@pytest.fixture
def world():
    """Nothing done yet."""
    return World()


@pytest.fixture
def engine(tmp_path, world):
    """An engine with an empty cache."""
    results = Results(tmp_path)
    yield Solver(results, tmp_path / "locks", world)
    results.close()


PLAN = Plan((take("a"), take("b"), take("c", "a", "b")), "here")


def test_needs_come_first_and_all_is_done_once(engine, world):
    """A step gets the outcomes of what it needs."""
    outcomes = engine.run(PLAN)

    assert outcomes["c"].result == b"c(a()b())"
    assert world.done[-1] == "c"
    assert sorted(world.done) == ["a", "b", "c"]


def test_a_second_run_does_nothing(engine, world):
    """Everything is found by its keys, also by `lookup` alone."""
    first = engine.run(PLAN)
    world.done.clear()

    found = engine.lookup(PLAN)

    assert {name: outcome.result for name, outcome in found.items()} == {
        name: outcome.result for name, outcome in first.items()
    }
    assert all(outcome.cached for outcome in engine.run(PLAN).values())
    assert world.done == []


def test_only_what_follows_a_change_is_done_again(engine, world):
    """The reason is what changed."""
    engine.run(PLAN)
    world.done.clear()
    world.files["a"] = "new"

    outcomes = engine.run(PLAN)

    assert world.done == ["a", "c"]
    assert outcomes["a"].reasons == (" became new",)
    assert outcomes["b"].cached


def test_a_change_taken_back_is_found_again(engine, world):
    """Two branches, built in turn, are built once each."""
    engine.run(PLAN)
    world.files["a"] = "branch"
    engine.run(PLAN)
    world.done.clear()
    del world.files["a"]

    engine.run(PLAN)

    assert world.done == []


def test_another_definition_names_the_field(engine, world):
    """A miss by definition is a comparison of fields."""
    engine.run(Plan((take("a", version="1"),), "here"))

    outcome = engine.run(Plan((take("a", version="2"),), "here"))["a"]

    assert outcome.reasons == ("content.version changed: 1 → 2",)


def test_what_another_step_made_is_no_reason(engine, world):
    """Two platforms pack by one definition: that the first one's program differs says nothing of the second."""
    first, second = take("a"), Step("b", take("a").action)
    world.files |= {"a": "one", "b": "two"}

    outcomes = engine.run(Plan((first, second), "here"))

    assert {outcomes[name].reasons[0] for name in "ab"} == {"not built before"}


def test_a_result_that_is_gone_is_made_again(engine, world):
    """Gc took the layer away."""
    engine.run(PLAN)
    world.gone.add(b"a()")
    world.done.clear()

    outcomes = engine.run(PLAN)

    assert world.done == ["a"]
    assert outcomes["a"].reasons == ("its result was deleted",)


def test_an_error_ends_the_plan(engine, world):
    """What needs the failed step is never begun; what was done before stays cached."""

    def fail(step):
        if step.name == "b":
            raise WherryError("b broke")

    world.meanwhile = fail
    with pytest.raises(WherryError):
        engine.run(PLAN)
    assert "c" not in world.done


def test_equal_steps_of_two_builds_are_joined(tmp_path, world):
    """The second waits for the first and takes its result."""
    started, go_on = threading.Event(), threading.Event()

    def slowly(step):
        started.set()
        assert go_on.wait(10)

    world.meanwhile = slowly
    plan = Plan((take("a"),), "here")
    outcomes: list[StepOutcome] = []
    waited: list[str] = []

    @contextmanager
    def waiting(name):
        waited.append(name)
        go_on.set()
        yield lambda *_: None

    def build():
        results = Results(tmp_path)
        outcomes.append(Solver(results, tmp_path / "locks", world, waiting=waiting).run(plan)["a"])
        results.close()

    builds = [threading.Thread(target=build) for _ in range(2)]
    builds[0].start()
    assert started.wait(10)
    builds[1].start()
    for thread in builds:
        thread.join()

    assert world.done == ["a"]
    assert sorted(outcome.cached for outcome in outcomes) == [False, True]
    assert waited == ["wait for another build: a"]


def test_steps_without_need_run_side_by_side(engine, world):
    """Each waits until the other has begun: one after the other, neither would end."""
    both = threading.Barrier(2)
    world.meanwhile = lambda _: both.wait(10)

    outcomes = engine.run(Plan((take("a"), take("b")), "here"))

    assert set(outcomes) == {"a", "b"}


def test_no_more_than_the_threads_there_are(engine, world):
    """With one, they run one after the other in the plan's order."""
    engine.threads = 1

    engine.run(Plan(tuple(take(name) for name in "dbca"), "here"))

    assert world.done == ["d", "b", "c", "a"]


def test_a_failure_abandons_the_rest(engine, world):
    """What is at work has to end, what needs it is not begun, and the error says which step it is of."""
    told = threading.Event()
    engine.abandon = told.set
    began = threading.Event()

    def work(step):
        if step.name == "long":
            began.set()
            assert told.wait(10)
        else:
            assert began.wait(10)
            raise WherryError("broken")

    world.meanwhile = work
    with pytest.raises(WherryError) as caught:
        engine.run(Plan((take("long"), take("bad"), take("after", "long")), "here"))

    assert caught.value.step == "bad"
    assert world.done == ["long"]


def test_what_was_done_before_a_failure_stays(engine, world):
    """The next build begins there."""

    def fail(step):
        if step.name == "b":
            raise WherryError("broken")

    plan = Plan((take("a"), take("b", "a")), "here")
    world.meanwhile = fail
    with pytest.raises(WherryError):
        engine.run(plan)
    world.meanwhile = lambda _: None

    outcomes = engine.run(plan)

    assert (outcomes["a"].cached, outcomes["b"].cached) == (True, False)


def test_who_watches_hears_of_each_step(engine, world):
    """Of those that are not cached before they begin, and of all once they have ended."""
    engine.run(Plan((take("a"),), "here"))
    began, finished = [], []
    engine.began = lambda step: began.append(step.name)
    engine.finished = lambda outcome: finished.append((outcome.step.name, outcome.cached))

    engine.run(Plan((take("a"), take("b", "a")), "here"))

    assert began == ["b"]
    assert finished == [("a", True), ("b", False)]


def test_chosen_steps_are_done_again(engine, world):
    """--no-cache-filter: their needs stay cached, and `lookup` does not answer for them."""
    engine.run(PLAN)
    world.done.clear()
    engine.renewed = frozenset({"c"})

    assert engine.lookup(PLAN) is None
    outcomes = engine.run(PLAN)

    assert world.done == ["c"]
    assert outcomes["c"].reasons == ("the cache was not used (--no-cache)",)


def test_an_output_that_is_the_same_ends_a_change(engine, world):
    """A step that made the same again gives those above it no reason."""
    plan = Plan((take("a", version="1"), take("b", "a")), "here")
    engine.run(plan)
    world.done.clear()

    outcomes = engine.run(Plan((take("a", version="2"), take("b", "a")), "here"))

    assert world.done == ["a"]
    assert outcomes["b"].cached


def test_seconds_are_the_clocks(engine, world):
    """A step's own time, by the clock that the engine is given."""
    now = iter(range(100, 200))
    engine.clock = lambda: float(next(now))

    outcome = engine.run(Plan((take("a"),), "here"))["a"]

    assert outcome.seconds > 0
    assert outcome.seconds == int(outcome.seconds)


def test_another_place_is_compared_with_its_own(engine, world):
    """Two builds that share a cache: the reason is not the other's file."""
    engine.run(Plan((take("a", version="1"),), "here"))

    outcome = engine.run(Plan((take("a", version="2"),), "there"))["a"]

    assert outcome.reasons == ("not built before",)


def test_a_dockerfiles_step_is_compared_with_its_number(engine, world):
    """Its words are part of its name: with others, it is still the third step."""
    engine.run(Plan((take("[2/3] RUN one", version="1"),), "here"))

    outcome = engine.run(Plan((take("[2/3] RUN two", version="2"),), "here"))["[2/3] RUN two"]

    assert "content.version changed: 1 → 2" in outcome.reasons


def test_credentials_are_in_no_reason():
    """An address in a definition may have some."""
    shown = list(changes({"a": "https://ann:s3cret@example.com/x"}, {"a": "https://ann:other@example.com/x"}))

    assert "s3cret" not in repr(shown)
    assert "other" not in repr(shown)


def test_no_cache_does_everything(engine, world):
    """And says so."""
    engine.run(PLAN)
    world.done.clear()
    engine.use_cache = False

    outcomes = engine.run(PLAN)

    assert sorted(world.done) == ["a", "b", "c"]
    assert outcomes["a"].reasons == ("the cache was not used (--no-cache)",)


@pytest.mark.parametrize("damage", [b"", b"not a database at all, but long enough to be looked at" * 50])
def test_a_damaged_cache_is_begun_anew(tmp_path, world, damage):
    """The cache may be deleted or broken at any time."""
    for _ in range(2):
        results = Results(tmp_path)
        assert Solver(results, tmp_path / "locks", world).run(PLAN)["c"].result
        results.close()
        (tmp_path / RESULTS).write_bytes(damage)

    assert world.done.count("c") == 2


def test_keys_tell_fields_apart():
    """No two mappings share a text."""
    assert key_of({"a": "b", "c": "d"}) == key_of({"c": "d", "a": "b"})
    assert key_of({"ab": "c"}) != key_of({"a": "bc"})
    assert key_of({"a": "", "b": "c"}) != key_of({"a": "b", "": "c"})


def test_every_field_of_an_action_is_in_its_definition():
    """A field left out would be a wrong hit."""
    pack = FilesLayerOp(files=(), mtime=0, algorithm="gzip", level=5, encoder="x", created_by="y")
    assert {*FilesLayerOp.__slots__} == {name.partition(".")[0] for name in Step("p", pack).definition()} - {"op"}


def test_changes_call_variables_by_name():
    """Not by their place in the list; one more in front of them is not a change of the others."""
    before = {"environment.count": "1", "environment.0.count": "2", "environment.0.0": "V", "environment.0.1": "1"}
    after = {
        "environment.count": "2", "environment.0.count": "2", "environment.0.0": "A", "environment.0.1": "x",
        "environment.1.count": "2", "environment.1.0": "V", "environment.1.1": "2",
    }  # fmt: skip

    assert list(changes(before, after)) == ["variable A is new: x", "variable V changed: 1 → 2"]


def test_changes_name_what_came_and_went():
    """Field by field."""
    assert list(changes({"a": "1", "b": "2"}, {"b": "3", "c": "4"})) == [
        "a was removed (was 1)", "b changed: 2 → 3", "c is new: 4",
    ]  # fmt: skip
