"""Plans of Dockerfiles: which stages count, in what order, and which steps are the same."""

import json

import pytest

from dockerfile_plans import AMD64, ARM64, PATH, Bases, planned, request, steps_of
from wherry.dockerfile.errors import DockerfileError
from wherry.oci.config import RuntimeConfig
from wherry.oci.reference import familiar
from wherry.plan.dockerfile import plan_dockerfile
from wherry.plan.dockerfile_target import StageLayerOptions
from wherry.plan.graph import BaseOp, key_of
from wherry.plan.ops import CopyFrom, CopyOp, CopySource, LayerOp, RunOp, StageImageOp
from wherry.plan.stage_state import StageOptions


def argv(text: str, **values) -> list[str]:
    """Give the last word of each RUN, in order."""
    return [step.action.argv[-1] for step in steps_of(text, RunOp, **values)]


def image(text: str, **values) -> StageImageOp:
    """Give what writes the image."""
    (finish,) = steps_of(text, StageImageOp, **values)
    assert isinstance(finish.action, StageImageOp)
    return finish.action


UNUSED = "FROM base AS unused\nRUN unused\nFROM base AS used\nRUN used\nFROM base\nCOPY --from=used /a /b\nRUN last"


class TestStages:
    """A stage is planned where the target needs it."""

    def test_unused_stages_are_left_out(self):
        """Even where they come first."""
        assert argv(UNUSED) == ["used", "last"]

    @pytest.mark.parametrize(("target", "commands"), [("unused", ["unused"]), ("USED", ["used"]), ("1", ["used"])])
    def test_a_target_ends_the_plan(self, target, commands):
        """By name, whatever its case, or by number."""
        assert argv(UNUSED, target=target) == commands

    def test_a_missing_target_names_the_stages(self):
        """With the nearest of them."""
        with pytest.raises(DockerfileError) as caught:
            planned(UNUSED, target="usde")

        assert "usde" in caught.value.message
        assert "unused, used" in caught.value.hint

    def test_the_base_of_an_unused_stage_is_not_read(self):
        """It may be gone, or cost a pull."""
        bases = Bases()
        planned("FROM gone AS a\nRUN a\nFROM base\nRUN b", bases)

        assert bases.read == [("base", AMD64)]

    @pytest.mark.parametrize(
        "taking",
        [
            "COPY --from=a /x /",
            "COPY --from=0 /x /",
            "RUN --mount=from=a,target=/m true",
            "RUN --mount=type=cache,from=a,target=/m true",
        ],
    )
    def test_what_is_taken_from_is_needed(self, taking):
        """By COPY and by mounts."""
        assert "made" in argv(f"FROM base AS a\nRUN made\nFROM base\n{taking}")

    def test_stages_on_stages_share_steps(self):
        """What two stages begin with is done once."""
        text = "FROM base AS a\nRUN one\nFROM a AS b\nRUN two\nFROM a\nCOPY --from=b /x /\nRUN three"

        assert argv(text) == ["one", "two", "three"]

    def test_equal_steps_of_two_stages_come_once(self):
        """Though neither is based on the other."""
        text = "FROM base AS a\nRUN same\nFROM base\nRUN same\nCOPY --from=a /x /"

        assert argv(text) == ["same"]

    def test_a_name_given_twice(self):
        """FROM means the last one above, COPY --from the last one of all."""
        text = "FROM base AS a\nRUN first\nFROM a AS a\nRUN second\nFROM base\nCOPY --from=a /x /"

        assert argv(text) == ["first", "second"]

    def test_a_long_chain_is_no_deep_call(self):
        """A thousand stages, each on the one above."""
        stages = "\n".join(f"FROM s{number} AS s{number + 1}\nENV A={number}" for number in range(1000))
        config = json.loads(image(f"FROM base AS s0\n{stages}").config)

        assert config["Env"] == [PATH, "A=999"]

    @pytest.mark.parametrize(
        ("text", "line", "word"),
        [
            ("FROM base AS a\nCOPY --from=a /x /", 2, "circular"),
            ("FROM base AS a\nCOPY --from=b /x /\nFROM base AS b\nCOPY --from=a /x /\nFROM a", 2, "circular"),
            ("FROM base\nCOPY --from=later /x /\nFROM base AS later\nRUN true\nFROM 0", 2, "before"),
            ("FROM base\nCOPY --from=7 /x /", 2, "invalid stage index"),
            ("ARG NONE\nFROM $NONE", 2, "blank"),
            ("FROM --platform=linux/none base", 1, "platform"),
            ("FROM base\nFROM gone", 2, "no such image"),
        ],
    )
    def test_what_cannot_be_planned_names_the_line(self, text, line, word):
        """And the words of the line."""
        bases = Bases({"base": RuntimeConfig(), "0": RuntimeConfig()})
        with pytest.raises(DockerfileError, match=word) as caught:
            planned(text, bases, target="0" if "later" in text else "")

        assert caught.value.lines.first == line


class TestArguments:
    """Variables of the preamble, of the command line and of the platform."""

    def test_the_command_line_is_stronger(self):
        """In FROM, and where a stage declares it."""
        text = "ARG V=one\nFROM base-$V\nARG V\nRUN $V"
        bases = Bases({"base-two": RuntimeConfig()})
        (run,) = (
            step.action
            for step in planned(text, bases, options=StageOptions(arguments={"V": "two"})).plan.steps
            if isinstance(step.action, RunOp)
        )

        assert ("V", "two") in run.environment

    def test_a_preamble_argument_is_not_seen_unless_declared(self):
        """As the reference says."""
        (run,) = steps_of("ARG V=one\nFROM base\nRUN true", RunOp)
        assert isinstance(run.action, RunOp)

        assert "V" not in dict(run.action.environment)

    def test_platforms_of_target_and_build(self):
        """TARGETARCH differs, so does the step; BUILDARCH does not, and the step comes once."""
        text = "FROM --platform=$BUILDPLATFORM base\nARG {}\nRUN true"
        platforms = (AMD64, ARM64)

        assert len(argv(text.format("TARGETARCH"), platforms=platforms)) == 2
        assert len(argv(text.format("BUILDARCH"), platforms=platforms)) == 1


class TestPlatforms:
    """Several images of one file."""

    def test_each_platform_has_its_image(self):
        """And its own base."""
        bases = Bases()
        found = planned("FROM base\nRUN true", bases, platforms=(AMD64, ARM64))

        assert list(found.images) == [AMD64, ARM64]
        assert bases.read == [("base", AMD64), ("base", ARM64)]
        for platform, name in found.images.items():
            action = found.plan.by_name[name].action
            assert isinstance(action, StageImageOp)
            assert action.platform == platform

    def test_names_of_steps_tell_platforms_apart(self):
        """The second says which it is."""
        steps = steps_of("FROM base\nRUN true", RunOp, platforms=(AMD64, ARM64))

        assert [step.name for step in steps] == ["[2/2] RUN true", "[linux/arm64 2/2] RUN true"]


class TestNames:
    """What steps are called: as BuildKit calls them."""

    def test_stage_and_count(self):
        """A file of one stage needs no name of it."""
        many = "FROM base AS build\nRUN a\nWORKDIR /w\nFROM base\nCOPY --from=build /x /y"
        names = [step.name for step in planned(many).plan.steps if step.name.startswith("[")]

        assert names == ["[build 2/3] RUN a", "[build 3/3] WORKDIR /w", "[stage-1 2/2] COPY --from=build /x /y"]

    def test_scratch_is_not_counted(self):
        """Nothing is done for it."""
        assert [step.name for step in steps_of("FROM scratch\nCOPY a /", CopyOp)] == ["[1/1] COPY a /"]

    def test_credentials_are_not_shown(self):
        """Progress is printed, and logs are kept."""
        (step,) = steps_of("FROM base\nADD https://ann:s3cret@example.com/a /", CopyOp)

        assert "s3cret" not in step.name

    def test_two_steps_of_one_name(self):
        """The second has a number, and both are done."""
        names = [step.name for step in steps_of("FROM base\nRUN a\nENV A=1\nRUN a", RunOp)]

        assert names == ["[2/3] RUN a", "[3/3] RUN a"]

    def test_bytes_that_are_no_text_are_shown(self):
        """A name is printed to a terminal that wants UTF-8."""
        (step,) = steps_of("FROM base\nRUN \udcff", RunOp)

        step.name.encode()


class TestImage:
    """The last step: layers in order, and a config."""

    def test_layers_come_in_order_each_on_those_below(self):
        """A layer is what its step changed, so it needs the steps before."""
        found = planned("FROM base\nRUN a\nRUN b")
        layers = {step.name: step.needs for step in found.plan.steps if isinstance(step.action, LayerOp)}

        assert layers == {
            "layer of [2/3] RUN a": ("[2/3] RUN a", "FROM base"),
            "layer of [3/3] RUN b": ("[3/3] RUN b", "FROM base", "[2/3] RUN a"),
        }
        assert found.plan.steps[-1].needs == ("FROM base", *layers)

    def test_scratch_has_no_base(self):
        """And a PATH all the same."""
        finish = image("FROM scratch\nCOPY a /")

        assert not finish.base
        assert json.loads(finish.config) == {"Env": [PATH], "WorkingDir": "/"}

    def test_options_stand_above_the_file(self):
        """`--label` and `--env`."""
        finish = image("FROM base\nENV A=1", changes=RuntimeConfig(env=("A=2",), labels={"a": "b"}))

        assert json.loads(finish.config) == {"Env": [PATH, "A=2"], "Labels": {"a": "b"}}

    def test_added_files_go_on_top(self):
        """And history says so."""
        added = CopyOp((CopySource(CopyFrom("context", "files"), "/a"),), "/a")
        found = planned("FROM base\nRUN last", added=(added,))

        assert found.plan.steps[-1].needs[-1] == "layer of [add] /a"
        assert found.history[-1] == "wherry build --add /a"

    @pytest.mark.parametrize(
        ("epoch", "rewrite", "created", "latest"),
        [(None, True, "", -1), (0, False, "1970-01-01T00:00:00Z", -1), (86400, True, "1970-01-02T00:00:00Z", 86400)],
    )
    def test_source_date_epoch(self, epoch, rewrite, created, latest):
        """It dates the image, and no layer has a later time where that is wanted."""
        packing = StageLayerOptions(algorithm="gzip", level=5, encoder="isal 1", rewrite=rewrite)
        found = planned("FROM base\nRUN a", options=StageOptions(epoch=epoch), packing=packing).plan.steps
        (layer,) = (step.action for step in found if isinstance(step.action, LayerOp))
        (finish,) = (step.action for step in found if isinstance(step.action, StageImageOp))

        assert (finish.created, layer.latest) == (created, latest)

    @pytest.mark.parametrize("epoch", ["tomorrow", "-1", "1.5", "99999999999", "٣"])
    def test_an_epoch_that_is_none(self, epoch):
        """Named with the way to make one."""
        with pytest.raises(DockerfileError, match="SOURCE_DATE_EPOCH"):
            planned(f"ARG SOURCE_DATE_EPOCH={epoch}\nFROM base")

    def test_what_everybody_can_read(self):
        """Arguments, variables and labels, for the judge of leaks."""
        assert planned("FROM base\nARG A=1\nENV B=2\nLABEL c=3", annotations=(("d", "4"),)).published == (
            ("ARG", "A", "1"),
            ("ENV", "B", "2"),
            ("LABEL", "c", "3"),
            ("--annotation", "d", "4"),
        )


class TestTriggers:
    """ONBUILD of a base."""

    def test_they_come_first_and_once(self):
        """The image made of them has none of its own."""
        bases = Bases({"base": RuntimeConfig(on_build=("RUN trigger", "ENV A=1"))})
        found = planned("FROM base AS a\nRUN own\nFROM a\nRUN more", bases)
        commands = [step.action.argv[-1] for step in found.plan.steps if isinstance(step.action, RunOp)]
        (finish,) = (step.action for step in found.plan.steps if isinstance(step.action, StageImageOp))

        assert commands == ["trigger", "own", "more"]
        assert "OnBuild" not in json.loads(finish.config)

    def test_a_stage_triggers_the_stage_on_it(self):
        """Not itself."""
        assert argv("FROM base AS a\nONBUILD RUN later\nRUN own\nFROM a\nRUN more") == ["own", "later", "more"]

    def test_a_bad_trigger_names_the_from(self):
        """The base is to blame, and the line that names it."""
        bases = Bases({"base": RuntimeConfig(on_build=("NONE x",))})
        with pytest.raises(DockerfileError, match="ONBUILD NONE x") as caught:
            planned("\nFROM base", bases)

        assert caught.value.lines.first == 2


class TestContexts:
    """--build-context: a name that is no stage and no image of a registry."""

    def test_an_image_stands_for_a_name(self):
        """The plan reads that one."""
        bases = Bases({"oci-layout:///x": RuntimeConfig()})
        found = planned(
            "FROM alpine:latest", bases, contexts={"alpine": "image"}, context_images={"alpine": "oci-layout:///x"}
        )

        assert bases.read == [("oci-layout:///x", AMD64)]
        assert found.plan.steps[0].name == "FROM alpine:latest"

    def test_a_folder_stands_for_a_stage(self):
        """Nothing of the stage is done."""
        found = planned(
            "FROM base AS deps\nRUN slow\nFROM base\nCOPY --from=deps /a /b", contexts={"deps": "files"}
        ).plan.steps
        takings = [step.action.takings[0] for step in found if isinstance(step.action, CopyOp)]

        assert not any(isinstance(step.action, RunOp) for step in found)
        assert takings[0].origin == CopyFrom("context", "deps")
        assert takings[-1].origin == CopyFrom("stack", "1")

    def test_a_folder_that_is_no_stage(self):
        """COPY takes it from the context itself."""
        (step,) = steps_of("FROM base\nCOPY --from=deps /a /b", CopyOp, contexts={"deps": "files"})
        assert isinstance(step.action, CopyOp)

        assert step.action.takings[0].origin == CopyFrom("context", "deps")


class TestNoCache:
    """--no-cache and --no-cache-filter."""

    TEXT = "FROM base AS a\nRUN one\nFROM a AS b\nRUN two"

    @pytest.mark.parametrize(
        ("stages", "renewed"),
        [
            ([], set()),
            (["b"], {"[b 2/2] RUN two"}),
            (["a"], {"[a 2/2] RUN one"}),
            ([""], {"[a 2/2] RUN one", "[b 2/2] RUN two"}),
        ],
    )
    def test_which_steps_are_done_again(self, stages, renewed):
        """An empty name stands for all."""
        assert planned(self.TEXT, no_cache=frozenset(stages)).renewed == renewed


def test_a_plan_is_the_same_each_time():
    """Names, keys and order: a second build finds what the first made."""
    one, other = (planned(UNUSED, platforms=(AMD64, ARM64)).plan for _ in range(2))

    assert one == other
    assert [key_of(step.definition()) for step in one.steps] == [key_of(step.definition()) for step in other.steps]


def test_another_base_is_another_key():
    """What decides its bytes is in the key."""
    moved = Bases({"base": RuntimeConfig(env=("A=1",))})
    found = [plan_dockerfile(request("FROM base"), bases).plan.steps[0] for bases in (Bases(), moved)]

    assert all(isinstance(step.action, BaseOp) for step in found)
    assert key_of(found[0].definition()) != key_of(found[1].definition())


def test_a_base_by_another_name_is_the_same_key():
    """A tag, a mirror, a layout: what is in it decides, so everything after FROM is found again."""
    same = RuntimeConfig(env=(PATH,))
    bases = Bases({"base": same, "mirror.example/library/base:1": same})
    plans = [plan_dockerfile(request(f"FROM {name}\nRUN true"), bases).plan for name in bases.configs]
    first, second = ([key_of(step.definition()) for step in plan.steps] for plan in plans)

    assert first == second


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("alpine", "alpine"),
        ("docker.io/library/alpine:latest", "alpine"),
        ("alpine:3.19", "alpine:3.19"),
        ("ghcr.io/a/b:latest", "ghcr.io/a/b"),
        ("Not A Name", "Not A Name"),
    ],
)
def test_familiar_names(name, short):
    """One name for what a context stands for."""
    assert familiar(name) == short


def test_a_mount_of_the_context_is_no_step_of_its_own():
    """Steps are counted as BuildKit counts them; what reads a mount's source has words of its own."""
    text = "FROM base\nRUN --mount=type=bind,target=/a --mount=type=bind,source=b,target=/b true\nRUN false"
    names = [step.name for step in plan_dockerfile(request(text), Bases()).plan.steps if step.name.startswith("[")]

    assert names == [
        "[2/3 mount] / of the build context",
        "[2/3 mount] /b of the build context",
        "[2/3] RUN --mount=type=bind,target=/a --mount=type=bind,source=b,target=/b true",
        "[3/3] RUN false",
    ]


def test_ports_that_are_none():
    """EXPOSE of a variable without a value leaves no trace in the config, as for BuildKit."""
    (finish,) = (
        step.action
        for step in plan_dockerfile(request("FROM scratch\nEXPOSE ${UNSET}"), Bases()).plan.steps
        if isinstance(step.action, StageImageOp)
    )

    assert "ExposedPorts" not in finish.config
    assert [entry.words for entry in finish.history] == ["EXPOSE []"]
